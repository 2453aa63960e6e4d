//! The table of requests whose body decides in `docs/routes.md`, written from the table itself, and the check that what is
//! committed is current.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use observer_core::{
    identify::route::{Dialect, RouteTable},
    model::names::ApiState,
};

const BEGIN: &str = "<!-- begin: written by the tests of `observer-core` -->\n";
const END: &str = "<!-- end -->\n";

fn written() -> String {
    let table = RouteTable::embedded().expect("the embedded table is whole");
    let mut rows: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (request, kind) in table.rows() {
        if let Some(unseen) = kind.unseen {
            let Dialect::Family(family) = kind.dialect else {
                panic!("{request}: a control host's body decides nothing");
            };
            let confidence = if kind.verified { "likely" } else { "recalled" };
            let key = (family.word(), unseen, confidence, &kind.why);
            rows.entry(key).or_default().push(format!("`{request}`"));
        }
    }
    let mut text =
        "| dialect | requests | most likely | how sure | what decides |\n|---|---|---|---|---|\n"
            .to_owned();
    for ((family, unseen, confidence, why), requests) in rows {
        let (unseen, requests) = (unseen.word(), requests.join(", "));
        let _ = writeln!(
            text,
            "| `{family}` | {requests} | `{unseen}` | {confidence} | {why} |"
        );
    }
    text
}

#[test]
fn the_manual_of_requests_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/routes.md");
    let text = fs::read_to_string(&path).expect("docs/routes.md");
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (committed, after) = rest.split_once(END).expect("where the table ends");
    let current = written();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{current}{END}{after}")).expect("docs/routes.md");
        return;
    }
    assert_eq!(
        committed, current,
        "run `UPDATE_DOCS=1 cargo test -p observer-core`"
    );
    assert_eq!(
        ApiState::WORDS.len(),
        8,
        "a new state needs a line above the table"
    );
}
