//! The Kubernetes manifest: valid by Kubernetes' own schemas, with no more rights than it says, and with a command line
//! that the real agent takes under exactly those rights.

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, guarded};
use observer_tests::{
    Testbed, Wire, agent::executable, observed::Observed, topology, traffic::TcpTalk,
};
use serde_json::{Value, json};

const MANIFEST: &str = "deploy/daemonset.yaml";
const KUBERNETES: &str = "1.37";
const PENDING: &str = "dashboards/pending.json";
const TIMEOUT: Duration = Duration::from_secs(20);

/// Reads YAML documents, writes a JSON array. Python is there with the checker.
const TO_JSON: &str = "import json, sys, yaml
print(json.dumps([d for d in yaml.safe_load_all(sys.stdin) if d is not None]))";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// A program of the checker's environment; `None` with a printed reason where it is not there.
fn tool(test: &str, name: &str) -> Option<PathBuf> {
    let path = path("target/tools/kubernetes-validate/bin").join(name);
    if path.is_file() {
        return Some(path);
    }
    println!("SKIP: {test}: no `{name}`: run `cargo xtask setup k8s`");
    None
}

fn validate(validator: &Path, manifest: &Path) -> Output {
    Command::new(validator)
        .args(["-k", KUBERNETES, "--strict"])
        .arg(manifest)
        .stdin(Stdio::null())
        .output()
        .expect("the checker runs")
}

#[test]
fn manifests_are_valid() {
    let Some(validator) = tool("manifests_are_valid", "kubernetes-validate") else {
        return;
    };
    let output = validate(&validator, &path(MANIFEST));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn unknown_fields_and_wrong_types_are_refused() {
    let name = "unknown_fields_and_wrong_types_are_refused";
    let Some(validator) = tool(name, "kubernetes-validate") else {
        return;
    };
    let manifest = fs::read_to_string(path(MANIFEST)).expect("the manifest");
    for (index, (right, wrong)) in [
        ("hostPID: true", "hostPid: true"),
        ("hostNetwork: true", "hostNetwork: sometimes"),
        ("drop: [ALL]", "dropped: [ALL]"),
        ("periodSeconds: 20", "periodSeconds: twenty"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(manifest.contains(right), "`{right}` is not in {MANIFEST}");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("wrong-{index}.yaml"));
        fs::write(&file, manifest.replace(right, wrong)).expect("a file is written");
        let output = validate(&validator, &file);
        let _ = fs::remove_file(&file);
        assert!(!output.status.success(), "`{wrong}` is taken");
    }
}

/// The manifest's objects; `None` with a printed reason where nothing reads YAML.
fn objects(test: &str) -> Option<Vec<Value>> {
    let python = tool(test, "python")?;
    let output = Command::new(python)
        .args(["-c", TO_JSON])
        .stdin(fs::File::open(path(MANIFEST)).expect("the manifest"))
        .output()
        .expect("python runs");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind)
        .unwrap_or_else(|| panic!("{MANIFEST} has no {kind}"))
}

fn pod(objects: &[Value]) -> &Value {
    &of_kind(objects, "DaemonSet")["spec"]["template"]["spec"]
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

/// What a change may not bring in unnoticed.
#[test]
fn rights_are_these_and_no_more() {
    let Some(objects) = objects("rights_are_these_and_no_more") else {
        return;
    };
    let pod = pod(&objects);
    let containers = pod["containers"].as_array().expect("containers");
    assert_eq!(containers.len(), 1);
    assert_eq!(
        containers[0]["securityContext"],
        json!({
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
            "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON", "NET_ADMIN"]},
        })
    );
    assert_eq!(
        pod["securityContext"],
        json!({"seccompProfile": {"type": "RuntimeDefault"}})
    );
    assert_eq!(pod["automountServiceAccountToken"], false);
    for mount in containers[0]["volumeMounts"].as_array().expect("mounts") {
        assert_eq!(mount["readOnly"], true, "{mount}");
    }
    assert!(
        containers[0]["resources"]["limits"]["memory"].is_string(),
        "memory is not bounded"
    );
    for rule in ["ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"] {
        assert!(
            objects.iter().all(|object| object["kind"] != rule),
            "{rule}"
        );
    }
}

/// Namespaces, names and ports that must agree.
#[test]
fn objects_fit_together() {
    let Some(objects) = objects("objects_fit_together") else {
        return;
    };
    let pod = pod(&objects);
    let template = &of_kind(&objects, "DaemonSet")["spec"]["template"]["metadata"];
    let selector = &of_kind(&objects, "DaemonSet")["spec"]["selector"]["matchLabels"];
    assert_eq!(&template["labels"], selector);
    let name_of = |kind: &str| of_kind(&objects, kind)["metadata"]["name"].clone();
    assert_eq!(pod["serviceAccountName"], name_of("ServiceAccount"));
    assert_eq!(pod["priorityClassName"], name_of("PriorityClass"));
    for kind in ["ServiceAccount", "ConfigMap", "DaemonSet"] {
        let namespace = &of_kind(&objects, kind)["metadata"]["namespace"];
        assert_eq!(*namespace, name_of("Namespace"), "{kind}");
    }
    let container = &pod["containers"][0];
    let port = &container["ports"][0];
    assert_eq!(
        template["annotations"]["prometheus.io/port"].as_str(),
        Some(port["containerPort"].to_string().as_str())
    );
    assert!(
        words(&container["args"])
            .iter()
            .any(|word| word.ends_with(&format!(":{}", port["containerPort"])))
    );
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], port["name"], "{probe}");
    }
    let names = |list: &Value, field: &str| -> Vec<Value> {
        let rows = list.as_array().map(Vec::as_slice).unwrap_or_default();
        rows.iter().map(|row| row[field].clone()).collect()
    };
    assert_eq!(
        names(&container["volumeMounts"], "name"),
        names(&pod["volumes"], "name")
    );
    // A config file that the manifest names is a key of the ConfigMap.
    let config = of_kind(&objects, "ConfigMap")["data"]
        .as_object()
        .expect("data");
    for word in words(&container["args"]) {
        if let Some(file) = word.strip_prefix("--config=/etc/observer/") {
            assert!(config.contains_key(file), "`{file}`");
        }
    }
}

/// What other changes bring; see dashboards/pending.json.
fn pending(list: &str) -> Vec<String> {
    let text = fs::read_to_string(path(PENDING)).expect("the list of what is pending");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    words(&json[list]).into_iter().map(str::to_owned).collect()
}

/// The option of an argument.
fn option(argument: &str) -> &str {
    argument.split('=').next().unwrap_or(argument)
}

#[test]
fn the_agent_has_every_option() {
    let Some(objects) = objects("the_agent_has_every_option") else {
        return;
    };
    let Some(executable) = executable() else {
        return;
    };
    let help = Command::new(executable)
        .args(["run", "--help"])
        .output()
        .expect("the agent runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let container = &pod(&objects)["containers"][0];
    assert_eq!(words(&container["command"]), ["observer", "run"]);
    let pending = pending("run_options");
    let arguments = words(&container["args"]);
    for argument in &arguments {
        let name = option(argument);
        let is_there = help
            .split(|c: char| c.is_whitespace() || c == ',' || c == '=')
            .any(|word| word == name);
        let is_pending = pending.iter().any(|option| option == name);
        assert_ne!(
            is_there,
            is_pending,
            "`{name}`: {}",
            if is_there {
                "the agent has it: take it out of dashboards/pending.json"
            } else {
                "the agent does not know it"
            }
        );
    }
    for name in pending {
        assert!(
            arguments.iter().any(|argument| option(argument) == name),
            "`{name}` is pending and not in {MANIFEST}"
        );
    }
}

/// Three capabilities, nothing writable, the cgroup directory read-only at another place: it counts all the same.
#[test]
fn the_agent_counts_with_these_rights() {
    let name = "the_agent_counts_with_these_rights";
    let Some(objects) = objects(name) else {
        return;
    };
    guarded(name, || {
        let container = &pod(&objects)["containers"][0];
        let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join("pod"));
        let script = confined(&folder.0, container)?;
        let cgroup = folder.0.join("cgroup").display().to_string();
        let config = config(&folder.0, &objects)?;
        let arguments = arguments(container, &cgroup, &config);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

        let bed = Testbed::new("pod")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        // Inside the node's own network, whose uplink it finds by itself.
        let agent = Observed::start_without_records(&net.near, &script, &arguments)?;
        let talk = TcpTalk::bulk(500_000, 1_000).plan();
        talk.run(&net.near, &net.far, net.far_address(4, PORT))?;
        let start = Instant::now();
        while sent_to_aws(&agent.text("/metrics")?) < 500_000.0 {
            ensure!(
                start.elapsed() < TIMEOUT,
                "what was sent is not counted: {}",
                agent.said()?
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        probes(&agent, container)?;
        agent.stop().map(drop)
    });
}

/// Removed when dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A script that runs the agent as the manifest has it run.
fn confined(folder: &Path, container: &Value) -> Result<PathBuf> {
    fs::create_dir_all(folder.join("cgroup"))?;
    let executable = executable().context("the agent is not built")?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let unified = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1).zip(line.split(' ').nth(2)))
        .find(|(_, kind)| *kind == "cgroup2")
        .context("no cgroup2")?
        .0;
    let added = words(&container["securityContext"]["capabilities"]["add"]);
    let capabilities = added.iter().fold("-all".to_owned(), |list, capability| {
        format!("{list},+{}", capability.to_lowercase())
    });
    let text = format!(
        "#!/bin/sh\n\
         exec unshare --mount --propagation private sh -ec '\n\
         mount --bind {unified} {cgroup}\n\
         mount -o remount,bind,ro {cgroup}\n\
         mount -o remount,bind,ro /\n\
         exec setpriv --bounding-set={capabilities} --inh-caps={capabilities} --no-new-privs {agent} \"$@\"' sh \"$@\"\n",
        cgroup = folder.join("cgroup").display(),
        agent = executable.display(),
    );
    let script = folder.join("observer");
    fs::write(&script, text).with_context(|| format!("write `{}`", script.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// The config of the ConfigMap as a file.
fn config(folder: &Path, objects: &[Value]) -> Result<String> {
    let text = of_kind(objects, "ConfigMap")["data"]["observer.yaml"]
        .as_str()
        .context("no config")?;
    let file = folder.join("observer.yaml");
    fs::write(&file, text)?;
    Ok(file.display().to_string())
}

/// The manifest's arguments as far as the agent has them, with what stands for the node put in. Where it listens is the
/// test's own business.
fn arguments(container: &Value, cgroup: &str, config: &str) -> Vec<String> {
    let pending = pending("run_options");
    let mut arguments: Vec<String> = words(&container["args"])
        .into_iter()
        .filter(|argument| !option(argument).starts_with("--listen"))
        .filter(|argument| !pending.iter().any(|name| name == option(argument)))
        .map(|argument| {
            argument
                .replace("/host/cgroup", cgroup)
                .replace("/etc/observer/observer.yaml", config)
                .replace("$(NODE_NAME)", "node")
        })
        .collect();
    arguments.extend(["--tick".to_owned(), "0.2".to_owned()]);
    arguments
}

/// Wire bytes sent to addresses of AWS.
fn sent_to_aws(metrics: &str) -> f64 {
    metrics
        .lines()
        .filter(|line| line.starts_with("observer_wire_bytes_total{"))
        .filter(|line| line.contains("cloud=\"aws\"") && line.contains("direction=\"egress\""))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

/// What the kubelet asks is answered, or listed as pending.
fn probes(agent: &Observed, container: &Value) -> Result<()> {
    let pending = pending("run_paths");
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"]
            .as_str()
            .context("no path")?;
        let is_pending = pending.iter().any(|pending| pending == path);
        let answer = agent.get(path);
        ensure!(
            answer.is_ok() != is_pending,
            "{probe} `{path}`: {}",
            match answer {
                Ok(_) => "answered: take it out of dashboards/pending.json".to_owned(),
                Err(error) => format!("{error:#}"),
            }
        );
    }
    Ok(())
}
