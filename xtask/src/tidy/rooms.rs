//! The dependency rule: which room may know what. Tests inside a room may use what they like; the code may not.

use super::{
    Finding,
    files::Files,
    rust::{Named, Rust},
};

const CORE: &str = "observer/core/src/";
/// Every stage may import it; it imports none.
const MODEL: &str = "model";
/// The only room that knows the order of the stages.
const PIPELINE: &str = "pipeline";

/// What would tie the stages to a machine, a clock or a framework.
const EDGES: [&[&str]; 16] = [
    &["aya"],
    &["aya_obj"],
    &["clap"],
    &["libc"],
    &["nix"],
    &["prometheus"],
    &["rustix"],
    &["tokio"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "os"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "net", "TcpListener"],
    &["std", "net", "TcpStream"],
    &["std", "net", "UdpSocket"],
];
/// Files of observer-core that may have one of them, with what they need it for.
const EXCEPTED: [(&str, &[&str], &str); 1] = [(
    "observer/core/src/judge/expression/parse.rs",
    &["std", "thread"],
    "a library's parser that recurses gets a stack of a known size, and nothing else runs meanwhile",
)];
/// Time arrives as an argument.
const CLOCKS: [&[&str]; 2] = [&["SystemTime", "now"], &["Instant", "now"]];

/// Rooms that may import aya, with what they do there.
const AYA: [(&str, &str); 1] = [("observer/src/probe/", "loads and reads the kernel programs")];

/// Files and rooms that may say `unsafe`, with the reason why safe code cannot do it.
const UNSAFE: [(&str, &str); 4] = [
    (
        "observer/src/probe/",
        "raw bpf system calls and the layout of what the kernel hands over",
    ),
    (
        "observer/src/agent/heap.rs",
        "the C library is asked to give free memory back",
    ),
    (
        "observer-ebpf/src/",
        "kernel programs work on raw pointers and helpers",
    ),
    (
        "tests/src/",
        "the testbed enters namespaces and cgroups by system calls std does not have",
    ),
];

/// A stage imports the model and its own files, never a sibling; `pipeline` and the crate's root may name all.
pub fn stages(files: &Files) -> Vec<Finding> {
    let rooms: Vec<&str> = core(files).filter_map(|(path, _)| room(path)).collect();
    let mut findings = Vec::new();
    for (path, rust) in core(files) {
        let Some(own) = room(path).filter(|room| *room != PIPELINE) else {
            continue;
        };
        for named in &rust.paths {
            let Some(other) = resolve(path, named) else {
                continue;
            };
            if rooms.contains(&other) && other != own && other != MODEL {
                let what = format!("stage `{own}` imports `{other}`; only `{PIPELINE}` may");
                findings.push(Finding::new(path, named.line, what));
            }
        }
    }
    findings
}

/// observer-core knows no system call, clock, file, thread or framework.
pub fn core_is_pure(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in core(files) {
        for named in &rust.paths {
            let is_excepted = |edge: &[&str]| {
                let mut excepted = EXCEPTED.iter();
                excepted.any(|(file, of, _)| *file == path && *of == edge)
            };
            let edge = EDGES
                .iter()
                .any(|edge| named.begins_with(edge) && !is_excepted(edge));
            let clock = CLOCKS.iter().any(|clock| named.ends_with(clock));
            if edge || clock {
                let what = format!("observer-core names `{}`", named.segments.join("::"));
                findings.push(Finding::new(path, named.line, what));
            }
        }
    }
    findings
}

pub fn aya_stays_in_probe(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in files.rust() {
        if AYA.iter().any(|(room, _)| path.starts_with(room)) {
            continue;
        }
        for named in &rust.paths {
            let first = named.segments.first().map(String::as_str);
            if matches!(first, Some("aya" | "aya_obj" | "aya_log")) {
                let what = format!("`{}` outside `{}`", named.segments.join("::"), AYA[0].0);
                findings.push(Finding::new(path, named.line, what));
            }
        }
    }
    findings
}

pub fn unsafe_is_gathered(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in files.rust() {
        if rust.is_test || UNSAFE.iter().any(|(room, _)| path.starts_with(room)) {
            continue;
        }
        for line in rust.lines_with(&["unsafe"]) {
            let what = "`unsafe` outside the rooms that may (xtask/src/tidy/rooms.rs)";
            findings.push(Finding::new(path, line, what));
        }
    }
    findings
}

/// A root whose package says `unsafe` nowhere says `#![forbid(unsafe_code)]`.
pub fn roots_forbid_unsafe(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in files.rust() {
        let Some(source) = ["lib.rs", "main.rs"]
            .iter()
            .find_map(|f| path.strip_suffix(f))
        else {
            continue;
        };
        let is_root = source.ends_with("src/") && source.matches("src/").count() == 1;
        let mut package = files.rust().filter(|(other, _)| other.starts_with(source));
        let has_unsafe = package.any(|(_, rust)| rust.lines_with(&["unsafe"]).next().is_some());
        let forbids = rust
            .lines_with(&["forbid", "(", "unsafe_code"])
            .next()
            .is_some();
        if is_root && !has_unsafe && !forbids {
            let what = "no `unsafe` below: say `#![forbid(unsafe_code)]`";
            findings.push(Finding::new(path, 1, what));
        }
    }
    findings
}

fn core(files: &Files) -> impl Iterator<Item = (&str, &Rust)> {
    files
        .rust()
        .filter(|(path, rust)| path.starts_with(CORE) && !rust.is_test)
}

/// `decode` for `.../decode.rs` and `.../decode/tcp.rs`; `None` for the crate's root.
fn room(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(CORE)?;
    let first = rest.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib").then_some(name)
}

/// First module of the crate that a path leads to; `None` where it leaves the crate or stays in its own module.
fn resolve<'a>(path: &'a str, named: &'a Named) -> Option<&'a str> {
    let segments: Vec<&str> = named.segments.iter().map(String::as_str).collect();
    if segments.first() == Some(&"crate") {
        return segments.get(1).copied();
    }
    let ups = segments
        .iter()
        .take_while(|segment| **segment == "super")
        .count();
    // As many steps up as the file is deep lead to the crate's root.
    let rest = path.strip_prefix(CORE)?.strip_suffix(".rs")?;
    let depth = rest.strip_suffix("/mod").unwrap_or(rest).split('/').count();
    if ups > 0 && ups == depth {
        segments.get(ups).copied()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(check: fn(&Files) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<(String, usize)> {
        check(&Files::of(files))
            .into_iter()
            .map(|f| (f.path, f.line))
            .collect()
    }

    #[test]
    fn a_stage_may_not_know_its_sibling() {
        let sibling = ("observer/core/src/identify.rs", "");
        for (path, text, found) in [
            (
                "observer/core/src/decode.rs",
                "use crate::identify::X;",
                true,
            ),
            (
                "observer/core/src/decode.rs",
                "use crate::{model::Y, identify};",
                true,
            ),
            (
                "observer/core/src/decode.rs",
                "use super::identify::X;",
                true,
            ),
            (
                "observer/core/src/decode/tcp.rs",
                "use super::super::identify::X;",
                true,
            ),
            (
                "observer/core/src/decode.rs",
                "fn f() { crate::identify::x() }",
                true,
            ),
            (
                "observer/core/src/model/flow.rs",
                "use crate::identify::X;",
                true,
            ),
            (
                "observer/core/src/decode/tcp.rs",
                "use super::identify::X;",
                false,
            ),
            ("observer/core/src/decode.rs", "use crate::model::Y;", false),
            (
                "observer/core/src/decode.rs",
                "use crate::decode::tcp::Z;",
                false,
            ),
            (
                "observer/core/src/pipeline.rs",
                "use crate::identify::X;",
                false,
            ),
            (
                "observer/core/src/lib.rs",
                "pub use crate::identify::X;",
                false,
            ),
            (
                "observer/core/src/decode.rs",
                "#[cfg(test)] mod t { use crate::identify::X; }",
                false,
            ),
        ] {
            let files = [sibling, ("observer/core/src/model.rs", ""), (path, text)];
            let wanted = if found {
                vec![(path.to_owned(), 1)]
            } else {
                vec![]
            };
            assert_eq!(findings(stages, &files), wanted, "{path}: {text}");
        }
    }

    #[test]
    fn the_core_touches_no_edge() {
        let path = "observer/core/src/decode.rs";
        for (text, found) in [
            ("use std::{fs, collections::BTreeMap};", true),
            ("use std::time::Instant;\nfn f() { Instant::now(); }", true),
            ("fn f() { std::env::var(\"X\"); }", true),
            ("use tokio::net::TcpStream;", true),
            ("use std::net::IpAddr;", false),
            ("use std::time::{Duration, SystemTime};", false),
        ] {
            assert_eq!(
                !findings(core_is_pure, &[(path, text)]).is_empty(),
                found,
                "{text}"
            );
        }
        assert!(findings(core_is_pure, &[("observer/src/agent.rs", "use std::fs;")]).is_empty());
    }

    #[test]
    fn aya_is_for_the_probe() {
        let text = "use aya::Ebpf;";
        assert!(findings(aya_stays_in_probe, &[("observer/src/probe/load.rs", text)]).is_empty());
        for path in [
            "observer/src/agent.rs",
            "observer/core/src/decode.rs",
            "tests/src/bed.rs",
        ] {
            assert_eq!(
                findings(aya_stays_in_probe, &[(path, text)]),
                [(path.to_owned(), 1)]
            );
        }
    }

    #[test]
    fn unsafe_is_for_named_rooms() {
        let text = "fn f() {\n    unsafe { g() }\n}";
        assert!(findings(unsafe_is_gathered, &[("observer/src/probe/map.rs", text)]).is_empty());
        let found = findings(unsafe_is_gathered, &[("observer/src/agent.rs", text)]);
        assert_eq!(found, [("observer/src/agent.rs".to_owned(), 2)]);
        let word = "// unsafe\n#![forbid(unsafe_code)]\nconst X: &str = \"unsafe\";";
        assert!(findings(unsafe_is_gathered, &[("observer/src/agent.rs", word)]).is_empty());
    }

    #[test]
    fn roots_without_unsafe_forbid_it() {
        let root = "observer/core/src/lib.rs";
        let room = "observer/core/src/decode.rs";
        let bare = findings(
            roots_forbid_unsafe,
            &[(root, "mod decode;"), (room, "fn f() {}")],
        );
        assert_eq!(bare, [(root.to_owned(), 1)]);
        let forbids = [
            (root, "#![forbid(unsafe_code)]\nmod decode;"),
            (room, "fn f() {}"),
        ];
        assert!(findings(roots_forbid_unsafe, &forbids).is_empty());
        let uses = [(root, "mod decode;"), (room, "fn f() { unsafe { g() } }")];
        assert!(findings(roots_forbid_unsafe, &uses).is_empty());
    }
}
