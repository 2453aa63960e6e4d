//! Where in a file a part of a value stands: values are quoted, folded and indented there.

use crate::model::placed::Placed;

/// From 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// The place of the value's byte `offset`. Both texts are walked side by side; where the file writes a letter by an escape that is
/// not known here, it is the place where they part.
pub fn of(file: &str, value: &Placed<String>, offset: usize) -> Place {
    let mut source = file
        .get(value.offset..)
        .unwrap_or_default()
        .char_indices()
        .peekable();
    let quote = source
        .peek()
        .map(|(_, letter)| *letter)
        .filter(|letter| ['"', '\''].contains(letter));
    // What begins with a quote in the value too is not quoted: a block.
    let quote = quote.filter(|quote| {
        let rest = file.get(value.offset + 1..).unwrap_or_default();
        !value.value.starts_with(*quote) || rest.starts_with(['\\', *quote])
    });
    if quote.is_some() {
        source.next();
    }
    for (at, letter) in value.value.char_indices() {
        if matches!(letter, ' ' | '\n') {
            if at >= offset {
                break;
            }
            skip_blank(&mut source, letter);
            continue;
        }
        // Indentation of a block's line.
        while source
            .next_if(|(_, found)| found.is_whitespace() && *found != letter)
            .is_some()
        {}
        if at >= offset {
            break;
        }
        let escape = match quote {
            Some('"') => '\\',
            Some(_) => '\'',
            None => '\0',
        };
        let is_escaped = source.next_if(|(_, found)| *found == escape && escape != letter);
        if is_escaped.is_none() && escape == letter && quote.is_some() {
            source.next();
        }
        source.next();
    }
    let end = source.peek().map(|(at, _)| value.offset + at);
    place(file, end.unwrap_or(file.len()))
}

/// One blank of the value is a run of them, and line ends, in the file, if it is folded there.
fn skip_blank(source: &mut std::iter::Peekable<std::str::CharIndices<'_>>, letter: char) {
    let Some((_, found)) = source.next_if(|(_, found)| found.is_whitespace()) else {
        return;
    };
    if found != letter || letter == '\n' {
        while source.next_if(|(_, found)| found.is_whitespace()).is_some() {}
    }
}

fn place(file: &str, offset: usize) -> Place {
    let before = file.get(..offset).unwrap_or(file);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct File {
        key: Placed<String>,
    }

    #[test]
    fn a_part_of_a_value_is_found_in_the_file() {
        for (text, part, expected) in [
            ("key: one == two\n", "two", (1, 13)),
            ("a: 1\nkey:   one == two\n", "one", (2, 8)),
            ("key: \"one == two\"\n", "two", (1, 14)),
            ("key: \"one == \\\"x\\\" && two\"\n", "two", (1, 23)),
            ("key: 'one == ''x'' && two'\n", "two", (1, 23)),
            ("key: |\n  one\n  two\n", "two", (3, 3)),
            ("key: |\n  one &&\n    two\n", "two", (3, 5)),
            ("key: >-\n  one &&\n  two\n", "two", (3, 3)),
            ("key: one &&\n  two\n", "two", (2, 3)),
            ("key: \"one &&\n  two\"\n", "two", (2, 3)),
            ("key: |\n  \"x\" == two\n", "two", (2, 10)),
            ("key: 'é == two'\n", "two", (1, 12)),
        ] {
            let file = text.trim_start_matches("a: 1\n");
            let skipped = text.len() - file.len();
            let read: File = serde_saphyr::from_str(file).expect("YAML");
            let mut value = read.key;
            value.offset += skipped;
            let offset = value.value.find(part).expect("the part");
            let Place { line, column } = of(text, &value, offset);
            assert_eq!((line, column), expected, "{text}");
        }
    }
}
