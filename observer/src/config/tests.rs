//! Layers, sample, versions, and the malformed files with their messages.

use std::{collections::BTreeSet, ffi::OsString, fs, path::PathBuf};

use super::{
    Config, Destination, Known, Layer, Loaded, Origin, Sources, file, layer::variable, rows,
};

const KNOWN: Known<'static> = &[
    ("observer_flows_total", &["cloud", "region", "outcome"]),
    ("observer_packets_total", &["direction", "cloud"]),
];

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sample() -> String {
    fs::read_to_string(repository().join("docs/observer.yaml")).expect("the sample is there")
}

/// What the layers come to; the file's contents are given, and put where they can be read.
fn load(
    flags: &[(&str, &str)],
    environment: &[(&str, &str)],
    file: &str,
) -> Result<Loaded, String> {
    let path = std::env::temp_dir().join(format!(
        "observer-config-{}-{:?}.yaml",
        std::process::id(),
        std::thread::current().id()
    ));
    fs::write(&path, file).expect("the folder for temporary files can be written to");
    let mut typed = Layer::default();
    for (key, text) in flags {
        typed.parse(key, text).expect("a right flag");
    }
    let variable = |name: &str| {
        let found = environment.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let loaded = Sources::new(typed, Some(path.clone()), variable).and_then(|s| s.load(KNOWN));
    let _ = fs::remove_file(&path);
    loaded.map_err(|error| error.to_string().replace(&*path.to_string_lossy(), "FILE"))
}

fn config(file: &str) -> Config {
    load(&[], &[], file).expect(file).config
}

#[test]
fn the_sample_holds_every_key_with_its_default() {
    let layer = file::parse(sample().as_bytes()).expect("the sample is right");
    for key in Layer::NAMES {
        let (section, word) = key.split_once('.').unwrap_or(("", key));
        let indent = if section.is_empty() { "" } else { "  " };
        let sample = sample();
        let mut lines = sample.lines().collect::<Vec<_>>();
        if !section.is_empty() {
            let begin = format!("{section}:");
            let begin = lines.iter().position(|line| *line == begin);
            lines.drain(..=begin.expect(section));
            let is_outside = |line: &&str| !line.is_empty() && !line.starts_with(' ');
            lines.truncate(lines.iter().position(is_outside).unwrap_or(lines.len()));
        }
        lines.retain(|line| line.starts_with(&format!("{indent}{word}:")));
        assert_eq!(lines.len(), 1, "`{key}` is in the sample once: {lines:?}");
        assert_eq!(
            layer.shown(key),
            Layer::defaults().shown(key),
            "`{key}` has its default in the sample"
        );
    }
    assert_eq!(layer.over(&Layer::defaults()), Layer::defaults());
}

#[test]
fn the_sample_says_what_waits_for_a_restart() {
    let text = sample();
    let mut paragraphs = text
        .split("\n\n")
        .filter(|text| text.lines().any(|line| !line.starts_with('#')));
    for key in Layer::NAMES {
        let first = key.split('.').next().unwrap_or(key);
        let paragraph = paragraphs
            .clone()
            .find(|text| {
                text.lines()
                    .any(|line| line.starts_with(&format!("{first}:")))
            })
            .expect(key);
        let restart = Layer::reach(key) == Some(super::Reach::Restart);
        assert_eq!(paragraph.contains("[restart]"), restart, "`{key}`");
    }
    assert!(paragraphs.next().is_some());
}

#[test]
fn nothing_said_means_the_defaults() {
    let defaults = config("");
    for file in [
        "# a comment\n",
        "---\n",
        "null\n",
        "{}",
        "source:\n",
        "tick: null\n",
        "\u{feff}",
        &sample(),
    ] {
        assert_eq!(config(file), defaults, "{file}");
    }
    assert_eq!(defaults.tick.as_secs(), 5);
    assert_eq!(defaults.metrics.series_max, 5_000);
    assert_eq!(defaults.flows, None);
}

#[test]
fn every_key_has_a_meaning() {
    let config = config(
        "flows: '-'\nlisten: 0.0.0.0:9464\nlisten_plain: true\nweb_config: web.yaml\ntick: 200ms\nhost: near\n\
         cluster: prod\nuplinks: [eth0, '/run/netns/x:eth1']\ncgroup: /sys/fs/cgroup\npin: /sys/fs/bpf/observer\n\
         source: {cloud: aws, account: 012345678901, region: eu-central-1, zone: eu-central-1a, instance: i-1, metadata: off}\n\
         metrics: {series_max: 1200, idle_expiry: 1m, labels: {observer_flows_total: [cloud]}}\n\
         captures: false\nplaintext: off\ncatalog: {table: a.bin, networks: n.csv, names: n.txt, routes: r.yaml}\n\
         paths: [{cidr: 10.0.0.0/8, kind: peering}]\n\
         limits: {udp_flows: 100, events_bytes: 4096, reads_bytes: 8192}\n",
    );
    assert_eq!(config.flows, Some(Destination::Stdout));
    assert!(config.listen_plain && config.listen.is_some_and(|listen| listen.port() == 9464));
    assert_eq!(config.web_config, Some(PathBuf::from("web.yaml")));
    assert_eq!(config.tick.as_millis(), 200);
    assert_eq!(config.host.as_deref(), Some("near"));
    assert_eq!(config.cluster.as_deref(), Some("prod"));
    let uplinks: Vec<String> = config.uplinks.iter().map(ToString::to_string).collect();
    assert_eq!(uplinks, ["eth0", "/run/netns/x:eth1"]);
    assert_eq!(config.cgroup, Some(PathBuf::from("/sys/fs/cgroup")));
    assert_eq!(config.pin, Some(PathBuf::from(super::PINS)));
    assert!(!config.captures && !config.plaintext);
    assert_eq!(config.catalog.table, Some(PathBuf::from("a.bin")));
    assert_eq!(config.catalog.networks, Some(PathBuf::from("n.csv")));
    assert_eq!(config.catalog.names, Some(PathBuf::from("n.txt")));
    assert_eq!(config.catalog.routes, Some(PathBuf::from("r.yaml")));
    assert_eq!(config.paths.len(), 1);
    let source = &config.source;
    assert_eq!(source.cloud.as_deref(), Some("aws"));
    assert_eq!(source.account.as_deref(), Some("012345678901"));
    assert_eq!(source.region.as_deref(), Some("eu-central-1"));
    assert_eq!(source.zone.as_deref(), Some("eu-central-1a"));
    assert_eq!(source.instance.as_deref(), Some("i-1"));
    assert_eq!(source.metadata, super::Metadata::Off);
    assert_eq!(config.metrics.series_max, 1_200);
    assert_eq!(config.metrics.idle_expiry.as_secs(), 60);
    assert_eq!(config.metrics.labels["observer_flows_total"], ["cloud"]);
    let limits = config.limits;
    assert_eq!(
        [limits.udp_flows, limits.events_bytes, limits.reads_bytes],
        [100, 4_096, 8_192]
    );
}

#[test]
fn a_flag_comes_before_a_variable_before_the_file() {
    let file = "cluster: file\ntick: 1s\nhost: file\n";
    let environment = [
        ("OBSERVER_CLUSTER", "variable"),
        ("OBSERVER_HOST", "variable"),
        ("OBSERVER_METRICS_SERIES_MAX", "3000"),
        ("OBSERVER_UPLINKS", "eth0, eth1"),
        ("OBSERVER_SOURCE_ZONE", ""),
        ("OBSERVER_SERVICE_HOST", "10.0.0.1"),
    ];
    let loaded = load(&[("cluster", "flag")], &environment, file).expect("right");
    let origin = |key: &str| {
        let row = rows(&loaded)
            .into_iter()
            .find(|row| row.key == key)
            .expect(key);
        (row.origin, row.value)
    };
    for (key, from, value) in [
        ("cluster", "flag", "flag".into()),
        ("host", "environment", "variable".into()),
        ("metrics.series_max", "environment", 3_000.into()),
        (
            "uplinks",
            "environment",
            serde_json::json!(["eth0", "eth1"]),
        ),
        ("tick", "file", "1s".into()),
        ("source.zone", "default", serde_json::Value::Null),
        ("limits.udp_flows", "default", 16_384.into()),
    ] {
        assert_eq!(origin(key), (from, value), "{key}");
    }
}

#[test]
fn errors_of_other_layers_name_them() {
    for (flags, environment, message) in [
        (
            &[][..],
            &[("OBSERVER_TICK", "5")][..],
            "environment `OBSERVER_TICK`: `5` has no unit; known are `ms`, `s`, `m`, `h`",
        ),
        (
            &[],
            &[("OBSERVER_LISTEN", "0.0.0.0:1")],
            "environment `OBSERVER_LISTEN`: `0.0.0.0:1` can be reached from other hosts; set `web_config` for TLS, or `listen_plain: true` for plain HTTP",
        ),
        (
            &[("pin", "/a/b")],
            &[("OBSERVER_FLOWS", "/a/b/c")],
            "flag `--pin`: `/a/b` and `flows: /a/b/c` lie in one another; pins need a directory of their own on a bpf filesystem, such as `/sys/fs/bpf/observer`",
        ),
    ] {
        let error = load(flags, environment, "").expect_err(message);
        assert_eq!(error, message);
    }
    let listed = load(
        &[],
        &[("OBSERVER_METRICS_LABELS", "{observer_flows_total: [cloud]}")],
        "",
    );
    assert_eq!(listed.expect("right").config.metrics.labels.len(), 1);
}

#[test]
fn the_version_names_what_is_in_force() {
    let version = |flags: &[(&str, &str)], file: &str| load(flags, &[], file).expect(file).version;
    let defaults = version(&[], "");
    assert_eq!(defaults.len(), 12);
    assert_eq!(version(&[], &sample()), defaults);
    assert_eq!(version(&[("tick", "5000ms")], "# said anew\n"), defaults);
    let others = [
        "tick: 6s",
        "host: a",
        "cluster: a",
        "source: {zone: a}",
        "uplinks: [a]",
    ];
    let versions: BTreeSet<String> = others.iter().map(|file| version(&[], file)).collect();
    assert!(versions.len() == others.len() && !versions.contains(&defaults));
    assert_eq!(version(&[("host", "a")], ""), version(&[], "host: a"));
}

#[test]
fn a_second_reading_keeps_what_needs_a_restart() {
    let path =
        std::env::temp_dir().join(format!("observer-config-again-{}.yaml", std::process::id()));
    let write = |text: &str| fs::write(&path, text).expect("can be written");
    write("cluster: a\nhost: one\nlisten: 127.0.0.1:1\n");
    let sources = Sources::new(Layer::default(), Some(path.clone()), |_| None).expect("right");
    let old = sources.load(KNOWN).expect("right");
    write("cluster: b\nhost: two\n");
    let (new, kept) = sources.load_again(&old, KNOWN).expect("right");
    assert_eq!(kept, ["listen", "host"]);
    assert_eq!(new.changed_since(&old), ["cluster"]);
    assert_eq!(new.config.host.as_deref(), Some("one"));
    assert_eq!(new.config.listen, old.config.listen);
    assert_eq!(new.config.cluster.as_deref(), Some("b"));
    write("cluster: b\nhost: one\nlisten: 127.0.0.1:1\n");
    let whole = sources.load(KNOWN).expect("right");
    assert_eq!(
        new.version, whole.version,
        "the version is of what is in force"
    );
    write("listen_plain: true\nlisten: 0.0.0.0:1\nweb_config: a\n");
    let plain = sources.load(KNOWN).expect("right");
    write("web_config: a\n");
    let (kept, _) = sources
        .load_again(&plain, KNOWN)
        .expect("`listen` and `listen_plain` stay");
    assert_eq!(kept.config, plain.config);
    let _ = fs::remove_file(&path);
}

#[test]
fn origins_are_complete() {
    let loaded = load(&[], &[], "tick: 1s\n").expect("right");
    assert_eq!(loaded.origins.len(), Layer::NAMES.len());
    assert!(
        loaded
            .origins
            .iter()
            .all(|(key, origin)| (*key == "tick") == matches!(origin, Origin::File(_)))
    );
    assert!(
        Layer::NAMES
            .iter()
            .all(|key| variable(key).starts_with("OBSERVER_"))
    );
}

/// Each file beside its message; the message names the file as `NAME.yaml`. `UPDATE_DOCS=1` writes the messages anew.
#[test]
fn malformed_files_have_one_clear_line() {
    let folder = repository().join("observer/tests/config/bad");
    let known = crate::metrics::known_labels();
    let mut cases = 0;
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let path = entry.expect("can be listed").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let sources = Sources::new(Layer::default(), Some(path.clone()), |_| None).expect("right");
        let error = match sources.load(&known) {
            Err(error) => error.to_string(),
            Ok(loaded) => panic!("`{}` is right: {loaded:?}", path.display()),
        };
        let found = error.replacen(&format!("{}/", folder.display()), "", 1) + "\n";
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
            fs::write(&golden, &found).expect("the repository can be written to");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(found, expected, "`{}`", path.display());
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    assert!(cases >= 30, "{cases} files");
}
