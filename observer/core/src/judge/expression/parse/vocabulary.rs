//! Which values a field can have: closed lists of words, and what the catalogue's tables name.

use std::collections::{BTreeMap, BTreeSet};

use super::{UNKNOWN, field, hint};
use crate::model::{
    fact::FieldId,
    identity::{Basis, Confidence},
    nearest,
};

/// Values of fields whose words come from tables; a field that is not in it is not checked, but by its closed list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary(BTreeMap<FieldId, BTreeSet<String>>);

impl Vocabulary {
    /// Words that a field of this name can have, besides those it has already.
    pub fn extend(&mut self, field: &str, words: impl IntoIterator<Item = String>) {
        if let Some(field) = FieldId::named(field) {
            self.0.entry(field).or_default().extend(words);
        }
    }

    /// Whether tables name this value, or nobody says which values there are.
    #[must_use]
    pub fn has(&self, field: FieldId, word: &str) -> bool {
        self.0.get(&field).is_none_or(|known| known.contains(word))
    }

    /// Whether a field can have this value.
    ///
    /// # Errors
    /// Where it cannot, or where it is a slip of the pen for a value that it can have.
    pub(in crate::judge) fn check(&self, field: FieldId, word: &str) -> Result<(), String> {
        let name = field.name();
        if word.is_empty() {
            return match field {
                field::FRONT | field::BLIND_REASON => Ok(()),
                _ => Err(format!("`{name}` is never empty: ask `!known({name})`")),
            };
        }
        if let Some(closed) = closed(field) {
            if word == UNKNOWN {
                return Err(format!(
                    "nothing is compared with `unknown`: ask `!known({name})`"
                ));
            }
            return match closed.contains(&word) {
                true => Ok(()),
                false => {
                    let hint = hint(word, closed.iter().copied().filter(|word| *word != UNKNOWN));
                    Err(format!("`{name}` is never `{word}`; {hint}"))
                }
            };
        }
        let Some(known) = self.0.get(&field).filter(|known| !known.contains(word)) else {
            return Ok(());
        };
        match nearest::nearest(word, known.iter().map(String::as_str)) {
            // A further region or zone is not a slip of the pen.
            Some(near) if without_digits(near) != without_digits(word) => Err(format!(
                "`{name}` is never `{word}`: nothing in the catalogue is called that; did you mean `{near}`?"
            )),
            _ => Ok(()),
        }
    }
}

fn closed(field: FieldId) -> Option<Vec<&'static str>> {
    match field {
        field::CONFIDENCE => Some(Confidence::ALL.iter().map(|word| word.word()).collect()),
        field::BASIS => Some(Basis::ALL.iter().map(|word| word.word()).collect()),
        field => {
            let words = field.declared().words;
            (!words.is_empty()).then(|| words.to_vec())
        }
    }
}

fn without_digits(word: &str) -> String {
    word.chars()
        .filter(|letter| !letter.is_ascii_digit())
        .collect()
}
