//! `observer catalog` with the real executable: what it takes, what it refuses, and that a refusal changes nothing. Feeds over
//! HTTP come from a server of the test's own on loopback.

mod common;

use std::{fs, path::Path};

use common::{Folder, Verb, serve};

const CATALOG: Verb = Verb("catalog");

fn linode(rows: usize) -> String {
    let row = |row| format!("198.18.{row}.0/24,US,US-TX,Richardson,\n");
    (0..rows).map(row).collect::<Vec<_>>().concat()
}

#[test]
fn a_table_is_renewed_checked_and_compared() {
    let folder = Folder::new("catalog");
    let (table, feed) = (folder.path("a.bin"), folder.file("linode.csv", &linode(10)));
    let said = CATALOG.done(&["import", "--into", &table, &feed]);
    assert!(
        said.contains("linode geofeed         0        10"),
        "{said}"
    );
    assert!(
        CATALOG
            .done(&["verify", "--table", &table])
            .starts_with("whole: ")
    );
    let said = CATALOG.done(&["diff", "embedded", &table]);
    assert!(
        said.ends_with("linode        10         0         0\n"),
        "{said}"
    );
    assert!(
        CATALOG
            .done(&["show", "--table", &table])
            .contains("linode geofeed")
    );
    let expected = folder.file("t", "# ours\n198.18.3.1 cloud=linode\n\n");
    assert_eq!(
        CATALOG.done(&["test", "--table", &table, &expected]),
        "1 lines, 0 differences\n"
    );
    CATALOG.refused(
        &["test", &expected],
        &["line 2", "`cloud` is `private`, expected is `linode`"],
    );
    CATALOG.refused(&["test", &folder.file("e", "\n")], &["expects nothing"]);
    CATALOG.refused(
        &["test", &folder.file("f", "10.0.0.1 cloud=a color=b\n")],
        &["`color`"],
    );
    let before = folder.bytes("a.bin");
    folder.file("linode.csv", &linode(7));
    CATALOG.refused(
        &["import", "--into", &table, &feed],
        &["linode", "7", "10", "20 %", "--shrink"],
    );
    let wrong = folder.file("wrong.csv", "cidr,cloud\n10.0.0.0/8,a\n10.0.0.1/8,b\n");
    CATALOG.refused(
        &["import", "--into", &table, &wrong, &feed],
        &["wrong.csv", "line 3"],
    );
    CATALOG.refused(
        &["import", "--into", &table, &folder.path("none")],
        &["none"],
    );
    assert!(
        folder.bytes("a.bin") == before,
        "a refusal changed the table"
    );
    CATALOG.done(&["import", "--into", &table, "--shrink", "30", &feed]);
    assert!(folder.bytes("a.bin") != before);
    fs::write(&table, &before[..before.len() - 1]).expect("can be written");
    CATALOG.refused(&["verify", "--table", &table], &["a.bin", "sha256"]);
}

#[test]
fn words_are_listed() {
    let said = CATALOG.done(&["show", "--words"]);
    for line in [
        "path_kind     internet",
        "api_state     control_plane",
        "confidence    likely",
    ] {
        assert!(said.contains(line), "{line}");
    }
}

fn answer(path: &str, head: &[String]) -> String {
    let known = head.iter().any(|line| line == "if-none-match: \"v1\"");
    let body = linode(5);
    match path {
        "/linode" if known => "HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".into(),
        "/linode" => format!(
            "HTTP/1.1 200 OK\r\netag: \"V1\"\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
        _ => "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".into(),
    }
}

#[test]
fn a_server_is_asked_for_what_has_changed_alone() {
    let folder = Folder::new("update");
    let table = folder.path("a.bin");
    let (server, asked) = serve(answer);
    let (feed, gone) = (format!("{server}/linode"), format!("{server}/gone"));
    CATALOG.refused(
        &["update", "--into", &table, "--from", &feed, "--from", &gone],
        &["/gone", "404"],
    );
    assert!(!Path::new(&table).exists(), "half of the feeds were taken");
    assert!(
        CATALOG
            .done(&["update", "--into", &table, "--from", &feed])
            .contains("linode geofeed")
    );
    let before = folder.bytes("a.bin");
    let said = CATALOG.done(&["update", "--into", &table, "--from", &feed]);
    assert!(
        said.starts_with(&format!("not changed: {feed}\n")),
        "{said}"
    );
    assert!(folder.bytes("a.bin") == before);
    // Of another table nothing is known.
    fs::remove_file(&table).expect("is there");
    assert!(
        CATALOG
            .done(&["update", "--into", &table, "--from", &feed])
            .contains("linode geofeed")
    );
    assert_eq!(asked.lock().expect("not poisoned").len(), 5);
    CATALOG.refused(
        &["update", "--into", &table, "--from", "http://127.0.0.1:1/x"],
        &["127.0.0.1:1"],
    );
}
