//! What could be done otherwise: bytes from another place, on another way, or fewer of them. Prices nothing.

use observer_core::model::{
    identity::Word,
    names::{PathElement, PathKind},
};

use crate::tally::{Sum, Way};

/// One change of the bytes that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// They are sent from there. Gateways of the old place are left behind; a place in the far end's own region is taken to
    /// be another zone of it.
    Move { cloud: Word, region: Word },
    /// They take this way, through these gateways alone.
    Path { kind: PathKind, elements: Vec<Word> },
    /// They shrink to so many thousandths.
    Compress { permille: u16 },
}

impl Change {
    /// Reads `azure/eastus`.
    ///
    /// # Errors
    /// Where it names no cloud and region.
    pub fn to(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((cloud, region)) if !cloud.is_empty() && !region.is_empty() => Ok(Self::Move {
                cloud: cloud.into(),
                region: region.into(),
            }),
            _ => Err("no CLOUD/REGION such as `azure/eastus`".to_owned()),
        }
    }

    /// Reads `interconnect` or `interconnect:transit_gateway,vpn`.
    ///
    /// # Errors
    /// Where a word is none of those that there are.
    pub fn path(text: &str) -> Result<Self, String> {
        let (kind, elements) = text.split_once(':').unwrap_or((text, ""));
        let kind = PathKind::from_word(kind)
            .ok_or_else(|| format!("`{kind}` is none of {:?}", PathKind::WORDS))?;
        let elements = elements.split(',').filter(|word| !word.is_empty());
        let element = |word: &str| {
            PathElement::from_word(word)
                .map(|element| element.word().into())
                .ok_or_else(|| format!("`{word}` is none of {:?}", PathElement::WORDS))
        };
        Ok(Self::Path {
            kind,
            elements: elements.map(element).collect::<Result<_, _>>()?,
        })
    }

    /// Reads the part that is left: `0.4`.
    ///
    /// # Errors
    /// Where it is no number from 0 to 1 of at most three decimals.
    pub fn compress(text: &str) -> Result<Self, String> {
        let wrong = || "no part from 0 to 1 such as `0.4`".to_owned();
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        if part.len() > 3 || whole.is_empty() {
            return Err(wrong());
        }
        let permille: u16 = format!("{whole}{part:0<3}").parse().map_err(|_| wrong())?;
        match permille {
            0..=1000 => Ok(Self::Compress { permille }),
            _ => Err(wrong()),
        }
    }

    /// The way and the bytes after it.
    #[must_use]
    pub fn applied(&self, way: &Way, sum: &Sum) -> (Way, Sum) {
        let (mut way, mut sum) = (way.clone(), *sum);
        match self {
            Self::Move { cloud, region } => way.leave_from(cloud, region),
            Self::Path { kind, elements } => way.take(*kind, elements),
            Self::Compress { permille } => {
                for bytes in &mut sum.bytes {
                    let less = u128::from(*bytes) * u128::from(*permille) / 1000;
                    *bytes = u64::try_from(less).unwrap_or(*bytes);
                }
            }
        }
        (way, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_or_refused() {
        let path = |kind, elements: &[&str]| Change::Path {
            kind,
            elements: elements.iter().map(|word| Word::from(*word)).collect(),
        };
        assert_eq!(
            Change::path("interconnect"),
            Ok(path(PathKind::Interconnect, &[]))
        );
        assert_eq!(
            Change::path("peering:transit_gateway,vpn"),
            Ok(path(PathKind::Peering, &["transit_gateway", "vpn"]))
        );
        for wrong in ["", "wormhole", "peering:magic"] {
            assert!(Change::path(wrong).is_err(), "{wrong}");
        }
        for (text, permille) in [("0.4", 400), ("1", 1000), ("0", 0), ("0.125", 125)] {
            assert_eq!(
                Change::compress(text),
                Ok(Change::Compress { permille }),
                "{text}"
            );
        }
        for wrong in ["1.1", "-0.5", "", ".5", "0.1234", "half"] {
            assert!(Change::compress(wrong).is_err(), "{wrong}");
        }
        assert!(Change::to("azure/eastus").is_ok());
        for wrong in ["azure", "/eastus", "azure/"] {
            assert!(Change::to(wrong).is_err(), "{wrong}");
        }
    }
}
