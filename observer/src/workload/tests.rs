//! Names of workloads, and that nothing told of one process or cgroup is taken for another's.

use std::{env, fs, os::unix::fs::MetadataExt as _, path::PathBuf, process};

use observer_core::model::{
    counters::Counters,
    flow::{FlowFlags, FlowKey, Owner, Timing},
    names::{Initiator, OwnerBasis, OwnerMissing, Protocol},
};

use super::{processes::PROCESSES_MAX, *};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn flow(cgroup_id: u64, owner: Result<(u32, u32), OwnerMissing>) -> FlowTotals {
    FlowTotals {
        key: FlowKey::Socket(1),
        counters: Counters::default(),
        protocol: Protocol::Tcp,
        ip_version: Some(4),
        local: None,
        remote: None,
        initiator: Initiator::Local,
        flags: FlowFlags::default(),
        start_ns: 1,
        netns_cookie: None,
        netns_inode: None,
        cgroup_id: Some(cgroup_id),
        owner: owner.map(|(pid, process)| Owner {
            pid,
            uid: 0,
            comm: Comm(*b"worker\0\0\0\0\0\0\0\0\0\0"),
            process,
            basis: OwnerBasis::Caller,
        }),
        ifindex: [0; 2],
        tag: 0,
        timing: Timing::default(),
        turns: 0,
    }
}

/// A directory that goes with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("observer-workload-{name}-{}", process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    fn make(&self, below: &str) -> u64 {
        let path = self.0.join(below);
        fs::create_dir_all(&path).expect("a directory");
        fs::metadata(&path).expect("its metadata").ino()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_workload_is_container_else_unit_else_executable_else_task() {
    let root = Directory::new("names");
    let (container, unit) = (
        root.make(&format!("docker/{ID}")),
        root.make("system.slice/nginx.service"),
    );
    let mut workloads = Workloads::new(root.0.clone());
    workloads.learn(Note::Process {
        pid: 10,
        process: 1,
        executable: Some("/usr/bin/curl".to_owned()),
    });
    let none = 1;
    let cases = [
        (container, Ok((10, 1)), Some("container"), Some(&ID[..12])),
        (unit, Ok((10, 1)), Some("unit"), Some("nginx.service")),
        (none, Ok((10, 1)), Some("executable"), Some("curl")),
        (none, Ok((11, 1)), Some("comm"), Some("worker")),
        (none, Ok((10, 2)), Some("comm"), Some("worker")),
        (none, Err(OwnerMissing::Unseen), None, None),
        (
            container,
            Err(OwnerMissing::Kernel),
            Some("container"),
            Some(&ID[..12]),
        ),
    ];
    for (cgroup_id, owner, kind, name) in cases {
        let workload = workloads.of(&flow(cgroup_id, owner));
        let found = (workload.kind.as_deref(), workload.name.as_deref());
        assert_eq!(found, (kind, name), "{cgroup_id} {owner:?}");
    }
}

#[test]
fn a_cgroup_that_came_later_is_looked_for_and_one_that_is_gone_was_told_of() {
    let root = Directory::new("later");
    let mut workloads = Workloads::new(root.0.clone());
    let later = root.make("system.slice/later.service");
    workloads.learn(Note::Cgroup {
        id: 999_999,
        path: Some("/system.slice/gone.service".to_owned()),
    });
    let missing = Err(OwnerMissing::Unseen);
    let flows = [
        flow(later, missing),
        flow(999_999, missing),
        flow(7, missing),
    ];
    workloads.prepare(flows.iter());
    let units = flows.map(|flow| workloads.of(&flow).systemd_unit.clone());
    let units = units.each_ref().map(Option::as_deref);
    assert_eq!(units, [Some("later.service"), Some("gone.service"), None]);
}

/// What is kept by cgroup and executable is of every process that runs it.
#[test]
fn a_cgroup_that_is_told_of_late_is_known_from_then_on() {
    let root = Directory::new("late");
    let mut workloads = Workloads::new(root.0.clone());
    let flow = flow(888_888, Err(OwnerMissing::Unseen));
    workloads.prepare(std::iter::once(&flow));
    assert_eq!(workloads.of(&flow).systemd_unit, None);
    workloads.learn(Note::Cgroup {
        id: 888_888,
        path: Some("/system.slice/late.service".to_owned()),
    });
    let unit = workloads.of(&flow).systemd_unit.clone();
    assert_eq!(unit.as_deref(), Some("late.service"));
}

#[test]
fn what_is_idle_is_forgotten_and_the_caches_are_bounded() {
    let root = Directory::new("bounds");
    let mut workloads = Workloads::new(root.0.clone());
    for pid in 0..u32::try_from(PROCESSES_MAX).expect("a small limit") + 10 {
        workloads.learn(Note::Process {
            pid,
            process: 1,
            executable: None,
        });
    }
    assert_eq!(workloads.losses()[&LossPlace::ProcessCache], 10);
    let forgotten: usize = (0..=2 * IDLE_TICKS)
        .map(|_| workloads.end_tick().len())
        .sum();
    assert_eq!(forgotten, PROCESSES_MAX);
}
