//! The known word that was probably meant.

/// What to do instead of `word`: the nearest of `known`, or all of them.
pub fn hint<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let words: Vec<String> = known.map(|word| format!("`{word}`")).collect();
    format!("known are {}", words.join(", "))
}

/// A word that differs in at most a third of its letters.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to put in, take out or replace (Levenshtein). A word far longer than the known ones is not compared in full.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 2 * b.len() + 1 {
        return a.len();
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, letter) in a.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keys_leads_to_the_word() {
        let known = ["listen", "listen_plain", "tick", "uplinks"];
        for (word, found) in [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("listen-plain", Some("listen_plain")),
            ("uplink", Some("uplinks")),
            ("tock", Some("tick")),
            ("", None),
            ("interval", None),
            ("a word that is much longer than any", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), found, "{word}");
        }
        assert_eq!(
            hint("x", ["one", "two"].into_iter()),
            "known are `one`, `two`"
        );
    }
}
