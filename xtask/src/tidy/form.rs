//! The form of files: headers, size, blanks, and what may not stand in finished code.

use super::{Finding, files::Files};

/// Longest a file should be; a longer one is several rooms.
const LINES_MAX: usize = 500;

/// Files that may be longer, with the reason.
const LONG: [(&str, &str); 0] = [];

/// A panic needs its invariant in words: `expect`, or an error. Clippy says so too, but sees one target at a time.
pub fn unwraps(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in files.rust().filter(|(_, rust)| !rust.is_test) {
        for line in rust.lines_with(&[".", "unwrap", "(", ")"]) {
            findings.push(Finding::new(path, line, "`.unwrap()` outside tests"));
        }
    }
    findings
}

/// The first line says what the file holds.
pub fn headers(files: &Files) -> Vec<Finding> {
    files
        .texts()
        .filter(|(path, text)| path.ends_with(".rs") && !text.starts_with("//! "))
        .map(|(path, _)| Finding::new(path, 1, "no `//!` header that says what the file holds"))
        .collect()
}

/// What is not done is not there.
pub fn unfinished(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in files.rust() {
        for name in ["todo", "unimplemented"] {
            for line in rust.lines_with(&[name, "!"]) {
                findings.push(Finding::new(path, line, format!("`{name}!`")));
            }
        }
    }
    // In two parts, so that this file does not find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    for (path, text) in files.texts() {
        for (i, line) in text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| line.contains(**mark)) {
                findings.push(Finding::new(path, i + 1, format!("a note `{mark}`")));
            }
        }
    }
    findings
}

pub fn sizes(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.texts().filter(|(path, _)| path.ends_with(".rs")) {
        let lines = text.lines().count();
        if lines > LINES_MAX && !LONG.iter().any(|(long, _)| *long == path) {
            let what = format!("{lines} lines, more than {LINES_MAX}: split it by noun");
            findings.push(Finding::new(path, 0, what));
        }
    }
    findings
}

pub fn whitespace(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.texts() {
        for (i, line) in text.lines().enumerate() {
            if line.contains('\t') {
                findings.push(Finding::new(path, i + 1, "a tab"));
            }
            if line.trim_end() != line {
                findings.push(Finding::new(path, i + 1, "trailing space"));
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            findings.push(Finding::new(
                path,
                text.lines().count(),
                "no newline at the end",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(check: fn(&Files) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        check(&Files::of(&[(path, text)]))
            .into_iter()
            .map(|f| f.line)
            .collect()
    }

    #[test]
    fn unwraps_are_for_tests() {
        let text = "fn f() { a.unwrap(); }\n#[cfg(test)]\nmod tests { fn g() { a.unwrap(); } }\n";
        assert_eq!(lines(unwraps, "observer/src/a.rs", text), [1]);
        assert!(lines(unwraps, "tests/tests/bytes.rs", text).is_empty());
    }

    #[test]
    fn a_header_is_the_first_line() {
        assert!(lines(headers, "a.rs", "//! What it holds.\n").is_empty());
        assert_eq!(lines(headers, "a.rs", "fn f() {}\n"), [1]);
        assert_eq!(lines(headers, "a.rs", "\n//! Late.\n"), [1]);
        assert!(lines(headers, "a.md", "# Text\n").is_empty());
    }

    #[test]
    fn nothing_is_left_to_be_written() {
        // Put together, so that this file has none.
        let mark = concat!("to", "do!()");
        let left = format!("fn f() {{\n    {mark}\n}}\n");
        assert_eq!(lines(unfinished, "a.rs", &left), [2]);
        let note = format!("// {}: later\n", concat!("TO", "DO"));
        assert_eq!(lines(unfinished, "a.md", &note), [1]);
        let quoted = format!(
            "const A: &str = \"{mark}\"; // a list of what is {}\n",
            &mark[..4]
        );
        assert!(lines(unfinished, "a.rs", &quoted).is_empty());
    }

    #[test]
    fn long_files_are_found() {
        let text = "//! Long.\n".repeat(LINES_MAX);
        assert!(lines(sizes, "a.rs", &text).is_empty());
        assert_eq!(lines(sizes, "a.rs", &(text + "\n")), [0]);
    }

    #[test]
    fn blanks_are_found() {
        assert_eq!(lines(whitespace, "a.md", "a \nb\tc\nd\n"), [1, 2]);
        assert_eq!(lines(whitespace, "a.md", "a\nb"), [2]);
        assert!(lines(whitespace, "a.md", "").is_empty());
    }
}
