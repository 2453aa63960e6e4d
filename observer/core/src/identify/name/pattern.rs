//! One label of a pattern, and which labels of names fit it.

/// What a captured part is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capture {
    /// A region in the form that AWS and OCI give theirs: `us-east-1`, `us-gov-west-1`.
    DashedRegion,
    /// A region in the form of Google's: `us-central1`.
    GoogleRegion,
    /// The same, and the number of a project behind it: `us-central1-123456`.
    GoogleRegionAndProject,
    /// A region in the form of Azure's: `eastus2`.
    PlainRegion,
    /// A region in the form of IBM's: `us-south`.
    IbmRegion,
    /// A country or continent: two letters.
    Geography,
    /// Anything, and nothing is taken from it.
    Any,
}

/// A label that is not written out whole: what stands before and behind the captured part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    pub before: Box<str>,
    pub capture: Capture,
    pub behind: Box<str>,
}

impl Capture {
    /// The word in braces.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "region" => Self::DashedRegion,
            "google-region" => Self::GoogleRegion,
            "google-region-project" => Self::GoogleRegionAndProject,
            "azure-region" => Self::PlainRegion,
            "ibm-region" => Self::IbmRegion,
            "geography" => Self::Geography,
            "name" => Self::Any,
            _ => return None,
        })
    }

    /// What is taken of a part; `None` where it does not fit.
    fn taken(self, part: &str) -> Option<&str> {
        if self == Self::GoogleRegionAndProject {
            let (region, project) = part.rsplit_once('-')?;
            let is_number = project.bytes().all(|byte| byte.is_ascii_digit());
            return (is_number && !project.is_empty() && is_google_region(region))
                .then_some(region);
        }
        self.fits(part).then_some(part)
    }

    fn fits(self, part: &str) -> bool {
        match self {
            Self::DashedRegion => is_dashed_region(part),
            Self::GoogleRegion | Self::GoogleRegionAndProject => is_google_region(part),
            Self::PlainRegion => {
                part.starts_with(|c: char| c.is_ascii_lowercase())
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
            Self::IbmRegion => {
                let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase());
                part.split_once('-').is_some_and(|(country, place)| {
                    country.len() == 2 && !place.is_empty() && is_word(country) && is_word(place)
                })
            }
            Self::Geography => {
                part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_lowercase())
            }
            Self::Any => !part.is_empty(),
        }
    }
}

impl Label {
    /// The captured part, where the label fits.
    pub fn part<'n>(&self, label: &'n str) -> Option<&'n str> {
        let part = label
            .strip_prefix(&*self.before)?
            .strip_suffix(&*self.behind)?;
        self.capture.taken(part)
    }

    /// Bytes that are written out.
    pub const fn literal_bytes(&self) -> usize {
        self.before.len() + self.behind.len()
    }
}

/// Words joined by `-`, the last one a number, the first of two to five letters: `eu-west-1`, `us-gov-east-1`.
pub fn is_dashed_region(part: &str) -> bool {
    let Some((words, number)) = part.rsplit_once('-') else {
        return false;
    };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let mut parts = words.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=5).contains(&first.len())
        && words.contains('-')
        && words.split('-').all(is_word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Two words joined by `-`, a number behind the second: `europe-west4`.
fn is_google_region(part: &str) -> bool {
    let Some((continent, place)) = part.split_once('-') else {
        return false;
    };
    let word = place.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    is_word(continent) && is_word(word) && (1..=2).contains(&(place.len() - word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_their_providers_forms() {
        for (region, dashed, google) in [
            ("us-east-1", true, false),
            ("us-gov-west-1", true, false),
            ("eusc-de-east-1", true, false),
            ("ap-southeast-12", true, false),
            ("us-central1", false, true),
            ("europe-west12", false, true),
            ("us", false, false),
            ("bucket-1", false, false),
            ("my-bucket-1a", false, false),
            ("u-s-1", false, false),
            ("us-east-", false, false),
            ("-east-1", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_dashed_region(region), dashed, "{region}");
            assert_eq!(is_google_region(region), google, "{region}");
        }
    }
}
