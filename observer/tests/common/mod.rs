//! The real executable as a user calls it, a folder of the test's own, and a server of the test's own on loopback.

#![allow(dead_code, reason = "each test target uses its own part of this file")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

/// A verb of the executable.
pub struct Verb(pub &'static str);

impl Verb {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_observer"))
            .arg(self.0)
            .args(arguments)
            .env("no_proxy", "127.0.0.1")
            .output()
            .expect("the executable starts")
    }

    /// Its standard output, where it succeeds.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Its one line on standard error, where it fails.
    pub fn refused(&self, arguments: &[&str], parts: &[&str]) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in parts {
            assert!(said.contains(part), "`{part}` in {said}");
        }
    }
}

/// A folder of its own, gone when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("observer-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files can be written to");
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn file(&self, name: &str, contents: &str) -> String {
        let path = self.path(name);
        fs::write(&path, contents).expect("can be written");
        path
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).expect("can be read")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Answers each request by `answer`, given the path and the head's lines in small letters; keeps what was asked.
pub fn serve(answer: fn(&str, &[String]) -> String) -> (String, Arc<Mutex<Vec<String>>>) {
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
