//! What this kernel and these privileges allow, found by trying, and what each missing thing costs. Changes nothing:
//! programs are loaded and dropped, never attached.

use std::{fs, path::Path};

use serde::Serialize;

use super::{Limits, cgroup, load};

/// One thing the agent can or cannot use here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capability {
    pub name: &'static str,
    pub available: bool,
    /// Without it the agent cannot count this host at all.
    pub required: bool,
    /// Why not, or what was found.
    pub detail: String,
    /// Record columns and metrics that stay null or absent without it.
    pub costs: Vec<&'static str>,
}

/// A program of the object, and what is lost without it.
struct Part {
    name: &'static str,
    program: &'static str,
    required: bool,
    costs: &'static [&'static str],
}

const PARTS: [Part; 17] = [
    Part {
        name: "count sent packets",
        program: "count_egress",
        required: true,
        costs: &[
            "wire_bytes_egress",
            "device_bytes_egress",
            "payload_bytes_egress",
            "packets_egress",
        ],
    },
    Part {
        name: "count received packets",
        program: "count_ingress",
        required: true,
        costs: &[
            "wire_bytes_ingress",
            "device_bytes_ingress",
            "payload_bytes_ingress",
            "packets_ingress",
        ],
    },
    Part {
        name: "namespace of new sockets",
        program: "note_origin",
        required: false,
        costs: &["netns (new sockets, before 6.15)", "initiator (UDP)"],
    },
    Part {
        name: "owner at connect (IPv4)",
        program: "own_connect4",
        required: false,
        costs: &["pid", "comm", "uid", "connect_us"],
    },
    Part {
        name: "owner at connect (IPv6)",
        program: "own_connect6",
        required: false,
        costs: &["pid", "comm", "uid", "connect_us"],
    },
    Part {
        name: "owner at sendmsg (IPv4)",
        program: "own_sendmsg4",
        required: false,
        costs: &["pid", "comm", "uid (UDP)"],
    },
    Part {
        name: "owner at sendmsg (IPv6)",
        program: "own_sendmsg6",
        required: false,
        costs: &["pid", "comm", "uid (UDP)"],
    },
    Part {
        name: "owner of accepted and older sockets",
        program: "find_holders",
        required: false,
        costs: &[
            "pid, comm, uid, executable (accepted, inherited and older sockets, while they are open)",
        ],
    },
    Part {
        name: "names of short-lived cgroups",
        program: "note_cgroup",
        required: false,
        costs: &["container_id, systemd_unit (cgroups gone within a tick)"],
    },
    Part {
        name: "end of sockets",
        program: "release",
        required: false,
        costs: &["outcome", "last interval of short UDP flows"],
    },
    Part {
        name: "TCP states",
        program: "follow_state",
        required: false,
        costs: &["initiator (TCP)", "outcome", "connect_us"],
    },
    Part {
        name: "read all flows each tick",
        program: "read_flows",
        required: false,
        costs: &[
            "records of open flows (only ended flows are written)",
            "netns",
        ],
    },
    Part {
        name: "names in hellos and requests",
        program: "look_at_sent",
        required: false,
        costs: &["server_name, api_family, service (what the address does not tell)"],
    },
    Part {
        name: "names in DNS answers",
        program: "look_at_received",
        required: false,
        costs: &["server_name (of flows that do not name it themselves)"],
    },
    Part {
        name: "plain requests",
        program: "look_at_line",
        required: false,
        costs: &["method, route, model, api_state (of requests without encryption)"],
    },
    Part {
        name: "sockets of encrypted requests",
        program: "find_request",
        required: false,
        costs: &["method, route, model, api_state (of encrypted requests)"],
    },
    Part {
        name: "requests before they are encrypted",
        program: "write_plaintext",
        required: false,
        costs: &["method, route, model, api_state (of encrypted requests)"],
    },
];

const UPLINK: Part = Part {
    name: "count at the uplink",
    program: "uplink0_egress",
    required: false,
    costs: &[
        "observer_balance_bytes",
        "observer_remainder_bytes_total (reasons counted at the device)",
    ],
};

/// Everything, in the order in which a reader should mend it.
pub fn survey(cgroup_path: Option<&Path>, pins: &Path) -> Vec<Capability> {
    let mut found = privileges();
    found.push(kernel_btf());
    found.push(cgroup_root(cgroup_path));
    found.push(pinning(pins));
    let limits = Limits {
        captures: true,
        requests: true,
        udp_flows: 1,
        events_bytes: 4096,
        reads_bytes: 4096,
        benchmark: false,
        rivals: false,
    };
    let refused = match load::load(None, &limits) {
        Ok(loaded) => loaded.refused,
        Err(error) => {
            let reason = first_line(&format!("{error:#}"));
            PARTS
                .iter()
                .chain([&UPLINK])
                .map(|part| (part.program.to_owned(), reason.clone()))
                .collect()
        }
    };
    found.extend(
        PARTS
            .iter()
            .chain([&UPLINK])
            .map(|part| part_capability(part, &refused)),
    );
    found
}

/// Whether the agent can count the whole host.
pub fn can_run(capabilities: &[Capability]) -> bool {
    capabilities
        .iter()
        .all(|capability| capability.available || !capability.required)
}

fn part_capability(part: &Part, refused: &[(String, String)]) -> Capability {
    let reason = refused
        .iter()
        .find(|(name, _)| name == part.program)
        .map(|(_, reason)| first_line(reason));
    Capability {
        name: part.name,
        available: reason.is_none(),
        required: part.required,
        detail: reason.unwrap_or_else(|| format!("program `{}` loads", part.program)),
        costs: part.costs.to_vec(),
    }
}

/// Verifier logs fill pages; their first line says what failed.
fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}

/// Numbers of capability bits: capabilities(7).
const PRIVILEGES: [(u32, &str, &[&str]); 3] = [
    (39, "CAP_BPF", &["everything"]),
    (38, "CAP_PERFMON", &["everything"]),
    (12, "CAP_NET_ADMIN", &["everything"]),
];
const CAP_SYS_ADMIN: u32 = 21;

fn privileges() -> Vec<Capability> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = effective_capabilities(&status).unwrap_or(0);
    PRIVILEGES
        .iter()
        .map(|(bit, name, costs)| {
            // CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, which were cut out of it (5.8).
            let stands_in = *bit != 12 && effective >> CAP_SYS_ADMIN & 1 == 1;
            let available = effective >> bit & 1 == 1 || stands_in;
            let detail = if available {
                "held"
            } else {
                "not held; grant it, or run as root"
            };
            Capability {
                name,
                available,
                required: true,
                detail: detail.to_owned(),
                costs: costs.to_vec(),
            }
        })
        .collect()
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn kernel_btf() -> Capability {
    let path = Path::new("/sys/kernel/btf/vmlinux");
    let available = fs::File::open(path).is_ok();
    let detail = if available {
        "found"
    } else {
        "not there: the kernel was built without CONFIG_DEBUG_INFO_BTF"
    };
    Capability {
        name: "kernel BTF",
        available,
        required: false,
        detail: format!("`{}` {detail}", path.display()),
        costs: vec![
            "records of open flows (only ended flows are written)",
            "netns",
        ],
    }
}

fn cgroup_root(path: Option<&Path>) -> Capability {
    let found = path.map_or_else(cgroup::find, cgroup::inspect);
    let (available, detail) = match found {
        Ok(root) if root.is_true_root => (
            true,
            format!("`{}` is the hierarchy's root", root.path.display()),
        ),
        Ok(root) => (
            false,
            format!(
                "`{}` is the root of a private cgroup namespace: only this container's sockets would be seen; mount \
                 the host's cgroup directory and name it with --cgroup",
                root.path.display()
            ),
        ),
        Err(error) => (false, format!("{error:#}")),
    };
    Capability {
        name: "true cgroup root",
        available,
        required: true,
        detail,
        costs: vec!["every other workload's flows"],
    }
}

fn pinning(directory: &Path) -> Capability {
    let (available, detail) = match load::pin_filesystem(directory) {
        Ok(()) => (
            true,
            format!("`{}` is on a bpf filesystem", directory.display()),
        ),
        Err(error) => (false, format!("{error:#}")),
    };
    Capability {
        name: "pinning",
        available,
        required: false,
        detail,
        costs: vec!["bytes that pass while the agent restarts (remainder `not_attached`)"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_read_as_bits() {
        let status = "Name:\tx\nCapPrm:\t0\nCapEff:\t000000c000001000\n";
        let bits = effective_capabilities(status).expect("a line is there");
        assert_eq!(
            (
                bits >> 39 & 1,
                bits >> 38 & 1,
                bits >> 12 & 1,
                bits >> 21 & 1
            ),
            (1, 1, 1, 0)
        );
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
    }

    #[test]
    fn a_missing_required_part_stops_the_agent() {
        let refused = vec![("count_egress".to_owned(), "no\nlong log".to_owned())];
        let parts: Vec<Capability> = PARTS
            .iter()
            .map(|part| part_capability(part, &refused))
            .collect();
        assert!(!can_run(&parts));
        assert_eq!(parts[0].detail, "no");
        assert!(can_run(&parts[1..]));
    }
}
