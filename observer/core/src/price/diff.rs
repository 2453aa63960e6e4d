//! What one book says of rates and another does not.

use std::collections::BTreeMap;

use super::{book::Book, rate::Rate};
use crate::model::identity::Word;

/// A rate that two books have differently: what each has under its name, by time; nothing where it has none.
#[derive(Clone, Debug)]
pub struct Difference<'b> {
    pub id: Word,
    pub old: Vec<&'b Rate>,
    pub new: Vec<&'b Rate>,
}

/// Differences by name. Which file of a book a rate stands in is none.
#[must_use]
pub fn diff<'b>(old: &'b Book, new: &'b Book) -> Vec<Difference<'b>> {
    let mut ids: BTreeMap<&Word, Difference<'b>> = BTreeMap::new();
    for (book, is_new) in [(old, false), (new, true)] {
        for rate in book.rates() {
            let difference = ids.entry(&rate.facts.id).or_insert_with(|| Difference {
                id: rate.facts.id.clone(),
                old: Vec::new(),
                new: Vec::new(),
            });
            match is_new {
                true => difference.new.push(rate),
                false => difference.old.push(rate),
            }
        }
    }
    let mut all: Vec<_> = ids.into_values().collect();
    for difference in &mut all {
        difference.old.sort_by_key(|rate| rate.since);
        difference.new.sort_by_key(|rate| rate.since);
    }
    all.retain(|difference| {
        let [old, new] = [&difference.old, &difference.new];
        old.len() != new.len() || old.iter().zip(new).any(|(old, new)| !is_same(old, new))
    });
    all
}

fn is_same(one: &Rate, other: &Rate) -> bool {
    let [one, other] = [one, other].map(|rate| Rate {
        layer: 0,
        ..rate.clone()
    });
    one == other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::book::{BookSettings, Layer};

    fn book(rates: &str) -> Book {
        let text = format!("version: v\ncurrency: USD\nrates:\n{rates}");
        let layer = Layer {
            name: "b",
            text: &text,
        };
        Book::of(&[layer], &BookSettings::default()).expect("whole")
    }

    #[test]
    fn rates_differ_by_anything_but_their_file() {
        let a = "- {id: a, cloud: aws, kind: internet, price: '0.09', source: [x]}\n";
        let b = "- {id: b, cloud: gcp, kind: internet, price: '0.12', source: [x]}\n";
        for (old, new, expected) in [
            (a.to_owned(), a.to_owned(), &[][..]),
            (a.to_owned(), format!("{a}{b}"), &[("b", 0, 1)]),
            (format!("{b}{a}"), b.to_owned(), &[("a", 1, 0)]),
            (a.to_owned(), a.replace("0.09", "0.08"), &[("a", 1, 1)]),
            (a.to_owned(), a.replace("[x]", "[y]"), &[("a", 1, 1)]),
            (
                a.to_owned(),
                a.replace("price", "from: [us-*], price"),
                &[("a", 1, 1)],
            ),
            (format!("{a}{b}"), format!("{b}{a}"), &[]),
        ] {
            let (old, new) = (book(&old), book(&new));
            let found = diff(&old, &new);
            let found: Vec<_> = found
                .iter()
                .map(|one| (&*one.id, one.old.len(), one.new.len()))
                .collect();
            assert_eq!(found, expected);
        }
    }
}
