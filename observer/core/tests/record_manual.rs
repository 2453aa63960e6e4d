//! `docs/record.md`, written from the declared fields of the record, and the check that what is committed is current.

use std::{env, fmt::Write as _, fs, path::Path};

use observer_core::model::record::{FIELDS, Field, SCHEMA_VERSION};

const HEAD: &str = "\
# The flow record

<!-- Written by the tests of `observer-core` from the declarations in `observer/core/src/model/record/fields.rs`; change
it there and run `UPDATE_DOCS=1 cargo test -p observer-core`. -->

`observer run --flows PATH` writes one JSON object a line, `-` to standard output. A flow is the traffic between one
local socket and one remote endpoint, both directions. It gives one record for each interval in which something
changed, and a `closed` one when it has an outcome. Written records are not rewritten.

- Every record has every field, in this order. A field that may be null is null where nothing is known, and never 0 or
  an empty string instead. Fields that no stage of this version fills in are always null: whoever reads records now
  will find them filled in later under the same name.
- The bytes of a flow are the sum over its records. `sequence` tells whether one is missing; the `_since_start` totals
  tell what was in it.
- An unsigned integer goes up to 2^64-1: read it with a reader that keeps integers whole above 2^53.
- A time is RFC 3339, UTC, with six decimals.
";

fn text() -> String {
    let mut text = HEAD.to_owned();
    let _ = write!(text, "\n`schema_version` is {SCHEMA_VERSION}.\n");
    let mut group = "";
    for field in FIELDS {
        if field.group != group {
            group = field.group;
            let _ = write!(
                text,
                "\n## {}\n\n| field | type | unit | null | since | meaning |\n|---|---|---|---|---|---|\n",
                capitalised(group)
            );
        }
        row(&mut text, field);
    }
    text
}

fn row(text: &mut String, field: &Field) {
    let null = if field.nullable { "may be" } else { "never" };
    let _ = write!(
        text,
        "| `{}` | {} | {} | {null} | {} | {}",
        field.name,
        field.kind.word(),
        field.unit,
        field.since,
        field.meaning
    );
    if !field.words.is_empty() {
        let words: Vec<String> = field.words.iter().map(|word| format!("`{word}`")).collect();
        let _ = write!(text, " One of {}.", words.join(", "));
    }
    text.push_str(" |\n");
}

fn capitalised(title: &str) -> String {
    let (first, rest) = title.split_at(title.len().min(1));
    format!("{}{rest}", first.to_ascii_uppercase())
}

#[test]
fn the_manual_of_the_record_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/record.md");
    let text = text();
    if env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&file, &text).expect("the repository can be written to");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == text,
        "`docs/record.md` is stale; run the tests once with UPDATE_DOCS=1. It should be:\n{text}"
    );
}
