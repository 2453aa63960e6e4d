//! `observer catalog` with the real executable: what it takes, what it refuses, and that a refusal changes nothing. Feeds over
//! HTTP come from a server of the test's own on loopback.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

fn catalog(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_observer"))
        .arg("catalog")
        .args(arguments)
        .env("no_proxy", "127.0.0.1")
        .output()
        .expect("the executable starts")
}

/// Its standard output, where it succeeds.
fn done(arguments: &[&str]) -> String {
    let output = catalog(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Its one line on standard error, where it fails.
fn refused(arguments: &[&str], parts: &[&str]) {
    let output = catalog(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` in {said}");
    }
}

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("observer-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files can be written to");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn file(&self, name: &str, contents: &str) -> String {
        let path = self.path(name);
        fs::write(&path, contents).expect("can be written");
        path
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).expect("can be read")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn linode(rows: usize) -> String {
    let row = |row| format!("198.18.{row}.0/24,US,US-TX,Richardson,\n");
    (0..rows).map(row).collect::<Vec<_>>().concat()
}

#[test]
fn a_table_is_renewed_checked_and_compared() {
    let folder = Folder::new("catalog");
    let (table, feed) = (folder.path("a.bin"), folder.file("linode.csv", &linode(10)));
    let said = done(&["import", "--into", &table, &feed]);
    assert!(
        said.contains("linode geofeed         0        10"),
        "{said}"
    );
    assert!(done(&["verify", "--table", &table]).starts_with("whole: "));
    let said = done(&["diff", "embedded", &table]);
    assert!(
        said.ends_with("linode        10         0         0\n"),
        "{said}"
    );
    assert!(done(&["show", "--table", &table]).contains("linode geofeed"));
    let expected = folder.file("t", "# ours\n198.18.3.1 cloud=linode\n\n");
    assert_eq!(
        done(&["test", "--table", &table, &expected]),
        "1 lines, 0 differences\n"
    );
    refused(
        &["test", &expected],
        &["line 2", "`cloud` is `private`, expected is `linode`"],
    );
    refused(&["test", &folder.file("e", "\n")], &["expects nothing"]);
    refused(
        &["test", &folder.file("f", "10.0.0.1 cloud=a color=b\n")],
        &["`color`"],
    );
    let before = folder.bytes("a.bin");
    folder.file("linode.csv", &linode(7));
    refused(
        &["import", "--into", &table, &feed],
        &["linode", "7", "10", "20 %", "--shrink"],
    );
    let wrong = folder.file("wrong.csv", "cidr,cloud\n10.0.0.0/8,a\n10.0.0.1/8,b\n");
    refused(
        &["import", "--into", &table, &wrong, &feed],
        &["wrong.csv", "line 3"],
    );
    refused(
        &["import", "--into", &table, &folder.path("none")],
        &["none"],
    );
    assert!(
        folder.bytes("a.bin") == before,
        "a refusal changed the table"
    );
    done(&["import", "--into", &table, "--shrink", "30", &feed]);
    assert!(folder.bytes("a.bin") != before);
    fs::write(&table, &before[..before.len() - 1]).expect("can be written");
    refused(&["verify", "--table", &table], &["a.bin", "sha256"]);
}

#[test]
fn words_are_listed() {
    let said = done(&["show", "--words"]);
    for line in [
        "path_kind     internet",
        "api_state     control_plane",
        "confidence    likely",
    ] {
        assert!(said.contains(line), "{line}");
    }
}

/// Answers each request by `answer`, given the path and the head's lines in small letters; keeps what was asked.
fn serve(answer: fn(&str, &[String]) -> String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
    let address = listener.local_addr().expect("bound");
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .map(|line| line.to_ascii_lowercase())
                .collect();
            let path = head[0].split(' ').nth(1).expect("a path").to_owned();
            let text = answer(&path, &head);
            kept.lock().expect("not poisoned").push(path);
            let _ = stream.write_all(text.as_bytes());
        }
    });
    (format!("http://{address}"), asked)
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
    refused(
        &["update", "--into", &table, "--from", &feed, "--from", &gone],
        &["/gone", "404"],
    );
    assert!(!Path::new(&table).exists(), "half of the feeds were taken");
    assert!(done(&["update", "--into", &table, "--from", &feed]).contains("linode geofeed"));
    let before = folder.bytes("a.bin");
    let said = done(&["update", "--into", &table, "--from", &feed]);
    assert!(
        said.starts_with(&format!("not changed: {feed}\n")),
        "{said}"
    );
    assert!(folder.bytes("a.bin") == before);
    // Of another table nothing is known.
    fs::remove_file(&table).expect("is there");
    assert!(done(&["update", "--into", &table, "--from", &feed]).contains("linode geofeed"));
    assert_eq!(asked.lock().expect("not poisoned").len(), 5);
    refused(
        &["update", "--into", &table, "--from", "http://127.0.0.1:1/x"],
        &["127.0.0.1:1"],
    );
}
