//! Model ids as paths have them: whose model it is, and where it may run. Keeps no id that looks like something else.

use std::collections::BTreeMap;

use crate::model::identity::Word;

/// Longest id that is kept.
const BYTES_MAX: usize = 128;

/// What an id says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelId {
    pub model: Option<Word>,
    pub vendor: Option<Word>,
    /// The first part of a cross-region inference profile.
    pub residency: Option<Word>,
}

impl ModelId {
    /// Reads `VENDOR.MODEL`, `PLACE.VENDOR.MODEL`, or an ARN that ends in one of them; of anything else it is the id alone.
    /// Account numbers of ARNs are left out.
    pub fn read(text: &str, vendors: &BTreeMap<String, Word>, places: &[Word]) -> Self {
        let name = match text.strip_prefix("arn:") {
            Some(rest) => rest.rsplit_once('/').map_or("", |(_, name)| name),
            None => text,
        };
        if !is_id(name) {
            return Self::default();
        }
        let first = name.split('.').next().unwrap_or_default();
        let residency = places.iter().find(|place| ***place == *first).cloned();
        let named = match (&residency, name.split_once('.')) {
            (Some(_), Some((_, rest))) => rest,
            _ => name,
        };
        let vendor = named
            .split_once('.')
            .and_then(|(vendor, _)| vendors.get(vendor));
        Self {
            model: Some(name.into()),
            vendor: vendor.cloned(),
            residency: residency.filter(|_| name.contains('.')),
        }
    }
}

/// Whether it can be an id: no blanks, no signs of other things.
pub fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte);
    !text.is_empty() && text.len() <= BYTES_MAX && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_vendor_and_place() {
        let vendors = ["anthropic", "openai", "amazon"];
        let vendors = vendors.map(|vendor| (vendor.to_owned(), Word::from(vendor)));
        let vendors = BTreeMap::from(vendors);
        let places = ["us", "eu", "global"].map(Word::from);
        let long = "a".repeat(129);
        for (text, expected) in [
            (
                "anthropic.claude-x-v1:0",
                "anthropic.claude-x-v1:0 anthropic -",
            ),
            (
                "us.anthropic.claude-x",
                "us.anthropic.claude-x anthropic us",
            ),
            (
                "global.openai.gpt-5.4",
                "global.openai.gpt-5.4 openai global",
            ),
            (
                "openai.gpt-oss-120b-1:0",
                "openai.gpt-oss-120b-1:0 openai -",
            ),
            ("gpt-5.5", "gpt-5.5 - -"),
            ("us", "us - -"),
            ("somebody.model", "somebody.model - -"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.amazon.nova",
                "eu.amazon.nova amazon eu",
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12",
                "ab12 - -",
            ),
            ("arn:aws:bedrock:us-east-1", "- - -"),
            ("my model", "- - -"),
            ("a=b&c", "- - -"),
            ("", "- - -"),
            (&long, "- - -"),
        ] {
            let found = ModelId::read(text, &vendors, &places);
            let word = |word: Option<Word>| word.map_or("-".to_owned(), |word| word.to_string());
            let found = format!(
                "{} {} {}",
                word(found.model),
                word(found.vendor),
                word(found.residency)
            );
            assert_eq!(found, expected, "{text}");
        }
    }
}
