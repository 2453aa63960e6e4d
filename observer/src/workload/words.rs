//! One copy of each name, however many processes have it: a host runs few programs, and runs them often.

use std::collections::HashSet;

use observer_core::model::identity::Word;

/// Names that are in use. Bounded by what uses them.
#[derive(Default)]
pub struct Words(HashSet<Word>);

impl Words {
    /// `text`, as the copy that others have too.
    pub fn share(&mut self, text: &str) -> Word {
        if let Some(word) = self.0.get(text) {
            return word.clone();
        }
        let word = Word::from(text);
        self.0.insert(word.clone());
        word
    }

    /// Forgets names that nothing else has.
    pub fn forget_unused(&mut self) {
        self.0.retain(Word::is_shared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_copy_while_something_has_it() {
        let mut words = Words::default();
        let (curl, again) = (words.share("/usr/bin/curl"), words.share("/usr/bin/curl"));
        assert!(std::ptr::eq(curl.as_str(), again.as_str()));
        drop((curl, words.share("/usr/bin/wget")));
        words.forget_unused();
        assert_eq!(words.0, HashSet::from([again]));
    }
}
