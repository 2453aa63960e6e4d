//! Every row of the catalogue that the name table was translated from: hosts of that row, and what the table says of them.

use std::{collections::BTreeSet, env, fmt::Write as _, fs};

use observer_core::{
    identify::name::{NameIdentity, NameTable},
    model::{
        host_name::HostName,
        identity::Word,
        names::{ApiFamily, ApiState},
    },
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/names.txt");
const ROWS: usize = 163;

#[test]
fn every_row_of_the_catalogue_is_known() {
    let golden = fs::read_to_string(FILE).expect("the file can be read");
    let table = NameTable::embedded().expect("the embedded table is whole");
    let (mut written, mut rows) = (String::new(), BTreeSet::new());
    for line in golden.lines() {
        let mut words = line.splitn(3, ' ');
        let (row, host) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        if row == "#" {
            writeln!(written, "{line}").expect("text");
            continue;
        }
        rows.insert(row.to_owned());
        let name = HostName::from_wire(host.as_bytes()).expect("a host name");
        let found = table.identify(&name).expect(host);
        writeln!(written, "{row} {host} {}", said(&found)).expect("text");
    }
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(FILE, &written).expect("the file can be written");
        return;
    }
    assert_eq!(rows.len(), ROWS);
    for (found, expected) in written.lines().zip(golden.lines()) {
        assert_eq!(found, expected);
    }
}

fn said(found: &NameIdentity) -> String {
    let word = |word: &Option<Word>| word.as_deref().unwrap_or("-").to_owned();
    let state = if found.is_control {
        ApiState::ControlPlane
    } else {
        ApiState::Unknown
    };
    let place = if found.region.is_some() {
        &found.region
    } else {
        &found.geography
    };
    [
        word(&found.provider),
        word(&found.cloud),
        word(&found.front),
        word(&found.service),
        word(place),
        found.api_family.map_or("-", ApiFamily::word).to_owned(),
        state.word().to_owned(),
    ]
    .join(" ")
}
