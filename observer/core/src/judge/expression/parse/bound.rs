//! What is done to a text before it is parsed: what is so long or so deep that parsing it would take a machine's time or stack is
//! refused, and a field whose name CEL reserves gets another one.

use super::Fault;

/// Of one expression.
pub const EXPRESSION_BYTES_MAX: usize = 4_096;
/// Brackets inside brackets.
pub const NESTING_MAX: usize = 16;
/// Signs between two commas, `&&` or `||`, a pair of brackets being one: each may nest what it joins.
const SIGNS_MAX: usize = 16;

/// The field whose name is a reserved word of CEL, and what stands for it: of the same length, so that places stay the same.
pub const RESERVED: &str = "namespace";
pub const STAND_IN: &str = "namespac_";
/// As Kubernetes writes such a name.
pub const ESCAPED: &str = "__namespace__";

const _: () = assert!(RESERVED.len() == STAND_IN.len());

/// The text as the parser takes it.
///
/// # Errors
/// Where a bound is passed.
pub fn checked(text: &str) -> Result<String, Fault> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return fault(0, format!("is longer than {EXPRESSION_BYTES_MAX} bytes"));
    }
    if text.trim().is_empty() {
        return fault(0, "is empty");
    }
    let mut parsed = text.to_owned();
    // Of each bracket that is open, the signs before it.
    let (mut outside, mut signs) = (Vec::new(), 0_usize);
    for (offset, letter) in code(text)? {
        match letter {
            '(' | '[' | '{' => outside.push(std::mem::take(&mut signs) + 1),
            ')' | ']' | '}' => signs = outside.pop().unwrap_or_default(),
            ',' | '&' | '|' => signs = 0,
            '.' | '+' | '-' | '*' | '/' | '%' | '!' | '?' | '<' | '>' | '=' => signs += 1,
            'n' if is_word(text, offset, RESERVED) => {
                parsed.replace_range(offset..offset + RESERVED.len(), STAND_IN);
            }
            _ => {}
        }
        if outside.len() > NESTING_MAX {
            let what = format!("has more than {NESTING_MAX} brackets inside each other");
            return fault(offset, what);
        }
        if signs > SIGNS_MAX {
            let what =
                format!("has more than {SIGNS_MAX} signs in a row without `,`, `&&` or `||`");
            return fault(offset, what);
        }
    }
    Ok(parsed)
}

fn fault<T>(offset: usize, what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        offset,
        what: what.into(),
    })
}

/// Whether this word stands here as a whole.
fn is_word(text: &str, offset: usize, word: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    let (before, after) = text.split_at(offset);
    let is_end = |rest: &str| !rest.chars().next().is_some_and(is_part) || rest.starts_with('.');
    !before.ends_with(is_part) && after.strip_prefix(word).is_some_and(is_end)
}

/// Every letter that is in no text and no comment, with its place. Texts that only some readers of CEL take in one way are
/// refused.
fn code(text: &str) -> Result<Vec<(usize, char)>, Fault> {
    let mut code = Vec::new();
    let mut letters = text.char_indices().peekable();
    while let Some((offset, letter)) = letters.next() {
        let rest = &text[offset..];
        if rest.starts_with("//") {
            while letters.next_if(|(_, letter)| *letter != '\n').is_some() {}
            continue;
        }
        if !matches!(letter, '"' | '\'') {
            code.push((offset, letter));
            continue;
        }
        if rest.starts_with("\"\"\"") || rest.starts_with("'''") {
            return fault(offset, "a text is written in one pair of quotes");
        }
        if text[..offset].ends_with(|before: char| before.is_ascii_alphanumeric()) {
            return fault(
                offset,
                "a text is written in quotes alone, without a letter before them",
            );
        }
        while let Some((_, inner)) = letters.next() {
            match inner {
                '\\' => {
                    letters.next();
                }
                inner if inner == letter => break,
                _ => {}
            }
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_name_is_another_one_outside_of_texts() {
        for (text, parsed) in [
            ("namespace == \"namespace\"", "namespac_ == \"namespace\""),
            ("known(namespace)", "known(namespac_)"),
            ("my_namespace == 'a'", "my_namespace == 'a'"),
            ("namespaces == 'a'", "namespaces == 'a'"),
            ("x.namespace == 'a'", "x.namespace == 'a'"),
            ("__namespace__ == 'a'", "__namespace__ == 'a'"),
            ("'\\'namespace' == namespace", "'\\'namespace' == namespac_"),
            (
                "true // namespace \"\n&& namespace",
                "true // namespace \"\n&& namespac_",
            ),
        ] {
            assert_eq!(checked(text).as_deref(), Ok(parsed), "{text}");
        }
    }

    #[test]
    fn texts_that_could_hide_what_follows_are_refused() {
        for (text, at) in [
            ("\"\"\"a\"\"\" == cloud", 0),
            ("cloud == r'\\'", 10),
            ("b\"aws\" == cloud", 1),
        ] {
            assert_eq!(checked(text).expect_err(text).offset, at, "{text}");
        }
    }
}
