//! What all reports for people without a terminal look like: one file that loads nothing. Whatever is written into it is escaped.

use std::fmt::{self, Display, Write as _};

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#1d2129;background:#fff}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%}
th,td{padding:.25em .7em;text-align:right;border-bottom:1px solid #e3e6ea;white-space:nowrap}
th{color:#59616e;font-weight:600}.l{text-align:left;white-space:normal}.s{color:#59616e}tfoot td{font-weight:600}
@media(prefers-color-scheme:dark){body{background:#15181d;color:#e6e8eb}th,td{border-color:#2c323a}}";

/// The head of a page.
#[must_use]
pub fn begin(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title><style>{STYLE}</style>\n",
        Escaped(title)
    )
}

/// A heading and the head of its table; the heads' texts, and whether their columns are to the left.
pub fn head(page: &mut String, title: &str, heads: &[(&str, bool)]) {
    let _ = writeln!(page, "<h2>{title}</h2>\n<table><thead><tr>");
    for (name, is_left) in heads {
        let class = if *is_left { " class=l" } else { "" };
        let _ = write!(page, "<th{class}>{}", Escaped(name));
    }
    page.push_str("<tbody>\n");
}

/// Words of records, which are of anybody's making.
pub struct Escaped<'t>(pub &'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
