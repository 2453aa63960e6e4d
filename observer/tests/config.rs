//! The real executable and its configuration: what is malformed costs one line and status 1, and checking attaches nothing.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Above the limit of a file's size.
const TOO_LARGE_BYTES: usize = 64 * 1024 + 1;

/// `nobody`, who may load no program.
const NOBODY: u32 = 65_534;

fn observer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_observer"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OBSERVER_") {
            command.env_remove(name);
        }
    }
    command
}

/// `observer run --check --config FILE` with further arguments.
fn check(file: &Path, arguments: &[&str]) -> Output {
    observer()
        .args(["run", "--check", "--config"])
        .arg(file)
        .args(arguments)
        .output()
        .expect("the executable starts")
}

/// Its one line on standard error; status 1, nothing on standard output.
fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("observer-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files can be written to");
        Self(path)
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).expect("can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn malformed_files_cost_one_line_and_status_1() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad");
    let mut cases = 0;
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let path = entry.expect("can be listed").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let said = refused(&check(&path, &[]));
        let said = said.replacen(&format!("{}/", folder.display()), "", 1);
        let expected = fs::read_to_string(path.with_extension("txt")).expect("its message");
        assert_eq!(said, format!("observer: {expected}"));
    }
    assert!(cases >= 30, "{cases} files");
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = Folder::new("no-file");
    let large = folder.file("large.yaml", &vec![b'#'; TOO_LARGE_BYTES]);
    let fitting = folder.file("fitting.yaml", &vec![b'#'; TOO_LARGE_BYTES - 1]);
    assert!(check(&fitting, &[]).status.success());
    for (path, what) in [
        (folder.0.clone(), "is a directory; name a file"),
        (folder.0.join("missing.yaml"), "there is no such file"),
        (
            large,
            "has more than 65536 bytes; no configuration needs as many",
        ),
        (
            PathBuf::from("/dev/null"),
            "is no regular file; a reload could not read it again",
        ),
    ] {
        let expected = format!("observer: config `{}`: {what}\n", path.display());
        assert_eq!(refused(&check(&path, &[])), expected);
    }
}

#[test]
fn other_layers_are_refused_as_a_file_is() {
    let folder = Folder::new("layers");
    let empty = folder.file("empty.yaml", b"");
    let output = observer()
        .args(["run", "--check"])
        .env("OBSERVER_LISTEN", "nowhere")
        .output()
        .expect("the executable starts");
    assert_eq!(
        refused(&output),
        "observer: environment `OBSERVER_LISTEN`: `nowhere` is not an address and a port such as `127.0.0.1:9464` or `[::1]:9464`\n"
    );
    let output = check(&empty, &["--uplink", "eth0", "--uplink", "eth0"]);
    assert_eq!(
        refused(&output),
        "observer: flag `--uplink`: `eth0` is named twice\n"
    );
    let output = check(&empty, &["--listen", "0.0.0.0:9464"]);
    assert!(
        refused(&output).starts_with("observer: flag `--listen`: `0.0.0.0:9464` can be reached")
    );
    // What a single flag cannot be is a matter of usage.
    assert_eq!(check(&empty, &["--tick", "0"]).status.code(), Some(2));
}

#[test]
fn a_check_says_where_each_value_comes_from() {
    let folder = Folder::new("check");
    let file = folder.file(
        "observer.yaml",
        b"cluster: prod\ntick: 1s\nmetrics: {series_max: 1700}\n",
    );
    let output = observer()
        .args(["run", "--check", "--output", "json", "--tick", "0.2"])
        .env("OBSERVER_CONFIG", &file)
        .env("OBSERVER_HOST", "web-1")
        .output()
        .expect("the executable starts");
    assert!(output.status.success(), "{output:?}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let path = file.to_string_lossy();
    for (key, value, origin, from) in [
        ("tick", "200ms".into(), "flag", Some("--tick")),
        ("host", "web-1".into(), "environment", Some("OBSERVER_HOST")),
        ("cluster", "prod".into(), "file", Some(&*path)),
        ("metrics.series_max", 1700.into(), "file", Some(&*path)),
        ("listen", serde_json::Value::Null, "default", None),
    ] {
        let settings = found["settings"].as_array().expect("a list");
        let row = settings.iter().find(|row| row["key"] == key).expect(key);
        assert_eq!(row["value"], value, "{key}");
        assert_eq!(row["origin"], origin, "{key}");
        assert_eq!(row["from"].as_str(), from, "{key}");
    }
    let table = check(&file, &["--cluster", "test"]);
    let table = String::from_utf8(table.stdout).expect("text");
    let line = |key: &str| {
        let line = table
            .lines()
            .find(|line| line.starts_with(&format!("{key} ")));
        let words: Vec<&str> = line.expect(key).split_whitespace().collect();
        words.join(" ")
    };
    assert_eq!(line("cluster"), "cluster test flag --cluster");
    assert_eq!(line("tick"), format!("tick 1s file {path}"));
    assert_eq!(line("pin"), "pin - default");
    assert!(line("config_version").len() == "config_version ".len() + 12);
}

/// As somebody who may not attach anything: were it tried, it would fail.
#[test]
fn a_check_attaches_nothing() {
    let folder = Folder::new("nobody");
    let executable = folder.0.join("observer");
    fs::copy(env!("CARGO_BIN_EXE_observer"), &executable).expect("can be copied");
    let file = folder.file(
        "observer.yaml",
        b"listen: 127.0.0.1:9464\npin: /sys/fs/bpf/observer\n",
    );
    let start = |arguments: &[&str]| {
        Command::new(&executable)
            .args(arguments)
            .arg(&file)
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
    };
    let checked = match start(&["run", "--check", "--config"]) {
        Err(error) => {
            println!("SKIP: a_check_attaches_nothing: cannot become another user: {error}");
            return;
        }
        Ok(checked) => checked,
    };
    assert!(checked.status.success(), "{checked:?}");
    assert!(checked.stderr.is_empty(), "{checked:?}");
    let run = start(&["run", "--flows", "-", "--duration", "0.1", "--config"]).expect("starts");
    assert_eq!(
        run.status.code(),
        Some(1),
        "nobody may run the agent: {run:?}"
    );
}

#[test]
fn a_web_config_that_cannot_be_used_is_found_by_the_check_too() {
    let folder = Folder::new("tls");
    let file = folder.file(
        "observer.yaml",
        b"listen: 0.0.0.0:0\nweb_config: web.yaml\n",
    );
    assert!(refused(&check(&file, &[])).contains("web config `web.yaml`"));
    let run = observer()
        .args(["run", "--config"])
        .arg(&file)
        .output()
        .expect("the executable starts");
    assert!(refused(&run).contains("web config `web.yaml`"));
}

#[test]
fn a_web_config_that_guards_nothing_is_found_by_the_check_too() {
    let folder = Folder::new("unguarded");
    let web = folder.file("web.yaml", b"");
    let text = format!("listen: 0.0.0.0:9464\nweb_config: {}\n", web.display());
    let file = folder.file("observer.yaml", text.as_bytes());
    let expected = "will not serve on `0.0.0.0:9464` without TLS or authentication";
    assert!(refused(&check(&file, &[])).contains(expected));
    assert!(check(&file, &["--listen-plain"]).status.success());
    assert!(
        check(&file, &["--listen", "127.0.0.1:9464"])
            .status
            .success()
    );
}
