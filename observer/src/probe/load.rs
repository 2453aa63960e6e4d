//! Loads the embedded object: sets its constants, reuses pinned maps of the same shape, and loads each program, the
//! optional ones by trying. Attaches nothing.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::MapInfo,
    programs::{Iter, Program, ProgramError},
};
use nix::{
    sys::statfs::{BPF_FS_MAGIC, statfs},
    unistd::{SysconfVar, sysconf},
};
use observer_ebpf::abi::{
    self,
    field::{FIELDS, Field},
};
use sha2::{Digest as _, Sha256};

use super::{Limits, btf::member_offsets, sys};

/// The kernel half, built from the source in this repository.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observer-ebpf"));

/// What decides whether two builds may share maps: the structs that cross, and the maps' declarations.
const SHAPE: [&str; 5] = [
    include_str!("../../../observer-ebpf/src/abi.rs"),
    include_str!("../../../observer-ebpf/src/abi/capture.rs"),
    include_str!("../../../observer-ebpf/src/abi/http2.rs"),
    include_str!("../../../observer-ebpf/src/abi/request.rs"),
    include_str!("../../../observer-ebpf/src/kernel/maps.rs"),
];

/// Maps that outlive the agent when pinning is on, with the sizes of key and value; the rest is scratch.
pub const PINNED_MAPS: [(&str, usize, usize); 13] = [
    ("FLOWS", 4, size_of::<abi::Flow>()),
    ("ORIGINS", 4, size_of::<abi::Origin>()),
    (
        "UDP_FLOWS",
        size_of::<abi::UdpKey>(),
        size_of::<abi::UdpFlow>(),
    ),
    ("SLOTS", size_of::<abi::SlotKey>(), 4),
    ("SLOTS_FREE", 0, 4),
    ("SLOT_TOTALS", 4, size_of::<abi::Counters>()),
    ("PREFIXES", size_of::<abi::PrefixKey>(), 4),
    ("TAG_SETS", 4, 8),
    ("UPLINKS", size_of::<abi::UplinkKey>(), 4),
    ("UPLINK_CONFIGS", 4, size_of::<abi::UplinkConfig>()),
    ("UPLINK_TOTALS", 4, size_of::<abi::UplinkTotals>()),
    ("LOST", 4, 8),
    ("EVENTS", 0, 0),
];

/// Programs that nothing but reading requests needs; checking them takes the kernel some tenths of a second.
const PLAINTEXT: [&str; 4] = [
    "look_at_line",
    "find_request",
    "write_plaintext",
    "free_openssl",
];

/// Programs without which there is nothing to run.
const REQUIRED: [&str; 2] = ["count_egress", "count_ingress"];

/// Programs that are attached to nothing: the counting ones end in them.
const CALLED_ON: [&str; 3] = ["look_at_sent", "look_at_line", "look_at_received"];

/// The object in the kernel, not attached to anything yet.
pub struct Loaded {
    pub ebpf: Ebpf,
    /// Programs that this kernel or these privileges refused, with the reason.
    pub refused: Vec<(String, String)>,
    /// The maps were there already: their totals go on.
    pub reused: bool,
    /// By which lines of requests are hashed.
    pub line_keys: [u64; 2],
}

/// Directory for the pins of this build's shape.
pub fn pin_directory(base: &Path) -> PathBuf {
    let mut hash = Sha256::new();
    for part in SHAPE {
        hash.update(part);
    }
    let hash = hash.finalize();
    base.join(hash[..6].iter().fold(String::from("abi-"), |name, byte| {
        format!("{name}{byte:02x}")
    }))
}

/// Loads maps and programs. With `pins`, maps are pinned there or taken from there.
///
/// # Errors
/// Where a map or one of the two counting programs cannot be loaded, or a pinned map has another shape.
pub fn load(pins: Option<&Path>, limits: &Limits) -> Result<Loaded> {
    let reused = pins.map(prepare_pins).transpose()?.unwrap_or(false);
    let constants = Constants::of_this_kernel();
    let line_keys = constants.line_keys;
    let (ebpf, refused) = match load_all(pins, limits, &constants, limits.captures) {
        // Where programs with calls of their own may not end in others, they count without.
        Err(error) if limits.captures => {
            let (ebpf, mut refused) = load_all(pins, limits, &constants, false)?;
            let reason = format!("{error:#}");
            refused.extend(CALLED_ON.map(|program| (program.to_owned(), reason.clone())));
            (ebpf, refused)
        }
        loaded => loaded?,
    };
    Ok(Loaded {
        ebpf,
        refused,
        reused,
        line_keys,
    })
}

/// Programs that were refused, with the reason.
type Refused = Vec<(String, String)>;

fn load_all(
    pins: Option<&Path>,
    limits: &Limits,
    constants: &Constants,
    captures: bool,
) -> Result<(Ebpf, Refused)> {
    let mut ebpf = load_object(pins, limits, constants, captures)?;
    if let Some(directory) = pins {
        check_shapes(directory)?;
        check_sizes(directory, limits)?;
    }
    let btf = Btf::from_sys_fs().ok();
    let mut refused = Vec::new();
    let names: Vec<String> = ebpf.programs().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        if is_spare_uplink(&name)
            || (name.starts_with("empty_") && !limits.benchmark)
            || (name.starts_with("rival_") && !limits.rivals)
            || (PLAINTEXT.contains(&name.as_str()) && !limits.requests)
        {
            continue;
        }
        let loaded = if name == "find_holders" && !constants.socket_is_as_expected() {
            Err(anyhow!("`struct socket` of this kernel is not known"))
        } else {
            load_program(&mut ebpf, &name, btf.as_ref())
        };
        let Err(error) = loaded else {
            continue;
        };
        if REQUIRED.contains(&name.as_str()) {
            return Err(error.context(format!("load program `{name}`")));
        }
        refused.push((name, format!("{error:#}")));
    }
    Ok((ebpf, refused))
}

/// What the programs are told of the running kernel; 0 = not known.
struct Constants {
    netns_by_packet: u8,
    sock_net: u32,
    net_inum: u32,
    net_cookie: u32,
    bytes_received: u32,
    srtt_us: u32,
    rtt_min_us: u32,
    /// Offset + 1 of each of [`FIELDS`].
    fields: Vec<u32>,
    /// Of this agent alone.
    line_keys: [u64; 2],
}

impl Constants {
    /// Whether the holders' iterator finds a socket's `sk` where it looks for it.
    fn socket_is_as_expected(&self) -> bool {
        const SK: u32 = 24;
        self.fields.get(Field::SocketSk as usize) == Some(&(SK + 1))
    }
}

impl Constants {
    fn of_this_kernel() -> Self {
        let vmlinux = fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default();
        let wanted = [
            ("sock_common", "skc_net"),
            ("net", "ns"),
            ("ns_common", "inum"),
            ("net", "net_cookie"),
            ("tcp_sock", "bytes_received"),
            ("tcp_sock", "srtt_us"),
            ("tcp_sock", "rtt_min"),
        ];
        let all: Vec<_> = wanted.iter().chain(FIELDS).copied().collect();
        let offsets = member_offsets(&vmlinux, &all);
        let (own, fields) = offsets.split_at(wanted.len());
        let offset = |name, member| {
            let position = wanted.iter().position(|pair| *pair == (name, member))?;
            own[position]
        };
        let (sock_net, net_inum) = match (
            offset("sock_common", "skc_net"),
            offset("net", "ns"),
            offset("ns_common", "inum"),
        ) {
            (Some(sock_net), Some(namespace), Some(inode)) => (sock_net, namespace + inode),
            _ => (0, 0),
        };
        // With an skb the helper may be called from 6.15 on: tried, not looked up by version.
        let netns_by_packet = sys::cgroup_skb_may_run(&sys::asks_for_netns_cookie());
        let may_read = !netns_by_packet && sys::cgroup_skb_may_run(&sys::reads_kernel());
        Self {
            netns_by_packet: u8::from(netns_by_packet),
            sock_net,
            net_inum,
            net_cookie: offset("net", "net_cookie")
                .filter(|_| may_read)
                .unwrap_or(0),
            bytes_received: offset("tcp_sock", "bytes_received").unwrap_or(0),
            srtt_us: offset("tcp_sock", "srtt_us").unwrap_or(0),
            // `struct minmax` begins with its newest sample, a time and a value (include/linux/win_minmax.h).
            rtt_min_us: offset("tcp_sock", "rtt_min").map_or(0, |minmax| minmax + 4),
            fields: fields
                .iter()
                .map(|offset| offset.map_or(0, |offset| offset + 1))
                .collect(),
            line_keys: [0, 1].map(|nth: u8| RandomState::new().hash_one(nth)),
        }
    }
}

fn load_object(
    pins: Option<&Path>,
    limits: &Limits,
    constants: &Constants,
    captures: bool,
) -> Result<Ebpf> {
    let wakeup_bytes = ring_bytes(limits.events_bytes)? / 4;
    let captures_on = u32::from(captures);
    let requests_on = u32::from(captures && limits.requests);
    let mut loader = EbpfLoader::new();
    loader
        .override_global("NETNS_BY_PACKET", &constants.netns_by_packet, true)
        .override_global("SOCK_NET_OFFSET", &constants.sock_net, true)
        .override_global("NET_INUM_OFFSET", &constants.net_inum, true)
        .override_global("NET_COOKIE_OFFSET", &constants.net_cookie, true)
        .override_global("BYTES_RECEIVED_OFFSET", &constants.bytes_received, true)
        .override_global("SRTT_US_OFFSET", &constants.srtt_us, true)
        .override_global("RTT_MIN_US_OFFSET", &constants.rtt_min_us, true)
        .override_global("FIELD_OFFSETS", constants.fields.as_slice(), true)
        .override_global("EVENTS_WAKEUP_BYTES", &wakeup_bytes, true)
        .override_global("LINE_KEYS", constants.line_keys.as_slice(), true)
        .override_global("CAPTURES_ON", &captures_on, true)
        .override_global("REQUESTS_ON", &requests_on, true)
        .map_max_entries("UDP_FLOWS", limits.udp_flows)
        .map_max_entries("EVENTS", limits.events_bytes)
        .map_max_entries("READS", limits.reads_bytes);
    if let Some(directory) = pins {
        for (name, _, _) in PINNED_MAPS {
            loader.map_pin_path(name, directory.join(name));
        }
    }
    loader
        .load(OBJECT)
        .context("load the maps of the kernel programs")
}

fn load_program(ebpf: &mut Ebpf, name: &str, btf: Option<&Btf>) -> Result<()> {
    let program = ebpf
        .program_mut(name)
        .with_context(|| format!("no program `{name}` in the object"))?;
    let loaded = match program {
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::SockOps(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        Program::Iter(program) => return load_iterator(program, name, btf),
        Program::UProbe(program) => program.load(),
        Program::BtfTracePoint(program) => {
            let tracepoint = if name == "find_request" {
                "sock_send_length"
            } else {
                "cgroup_mkdir"
            };
            program.load(tracepoint, kernel_btf(btf)?)
        }
        _ => bail!("program `{name}` is of a kind this loader does not know"),
    };
    match loaded {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn load_iterator(program: &mut Iter, name: &str, btf: Option<&Btf>) -> Result<()> {
    let over = if name == "find_holders" {
        "task_file"
    } else {
        "bpf_sk_storage_map"
    };
    Ok(program.load(over, kernel_btf(btf)?)?)
}

fn kernel_btf(btf: Option<&Btf>) -> Result<&Btf> {
    btf.context("the kernel has no BTF (`/sys/kernel/btf/vmlinux`)")
}

/// Whether `name` is an entry point of another uplink than the first: those are loaded when they are attached, and the
/// first tells whether the kernel takes them.
fn is_spare_uplink(name: &str) -> bool {
    name.strip_prefix("uplink")
        .and_then(|rest| rest.split('_').next()?.parse::<usize>().ok())
        .is_some_and(|index| index > 0)
}

/// Makes the pin directory; `true` where the maps of an earlier run are in it.
fn prepare_pins(directory: &Path) -> Result<bool> {
    let base = directory.parent().unwrap_or(directory);
    pin_filesystem(base)?;
    fs::create_dir_all(directory)
        .with_context(|| format!("make pin directory `{}`", directory.display()))?;
    Ok(PINNED_MAPS
        .iter()
        .all(|(name, _, _)| directory.join(name).exists()))
}

/// Whether `directory` is, or would be made, on a bpf filesystem.
///
/// # Errors
/// Where it would not.
pub fn pin_filesystem(directory: &Path) -> Result<()> {
    let existing = directory
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let filesystem =
        statfs(existing).with_context(|| format!("look at `{}`", existing.display()))?;
    if filesystem.filesystem_type() != BPF_FS_MAGIC {
        bail!(
            "`{}` is not on a bpf filesystem; mount one with `mount -t bpf bpf /sys/fs/bpf`",
            directory.display()
        );
    }
    Ok(())
}

/// aya takes a pinned map as it is, whatever its shape; a wrong one would be read past its end.
fn check_shapes(directory: &Path) -> Result<()> {
    for (name, key, value) in PINNED_MAPS {
        let path = directory.join(name);
        let info = MapInfo::from_pin(&path)
            .with_context(|| format!("look at pinned map `{}`", path.display()))?;
        if (info.key_size() as usize, info.value_size() as usize) != (key, value) {
            bail!(
                "pinned map `{}` has {}-byte keys and {}-byte values, this build has {key} and {value}; \
                 remove it with `observer detach`",
                path.display(),
                info.key_size(),
                info.value_size()
            );
        }
    }
    Ok(())
}

/// Bytes of a ring for which `configured` are asked: the kernel takes whole pages alone.
fn ring_bytes(configured: u32) -> Result<u32> {
    let page = sysconf(SysconfVar::PAGE_SIZE)
        .context("ask for the size of a page")?
        .and_then(|bytes| u32::try_from(bytes).ok())
        .unwrap_or(4_096);
    Ok(configured.max(page))
}

/// A pinned map keeps the size that it was made with, so another one in the configuration would not be in force.
fn check_sizes(directory: &Path, limits: &Limits) -> Result<()> {
    for (name, key, configured) in [
        ("UDP_FLOWS", "limits.udp_flows", limits.udp_flows),
        (
            "EVENTS",
            "limits.events_bytes",
            ring_bytes(limits.events_bytes)?,
        ),
    ] {
        let path = directory.join(name);
        let info = MapInfo::from_pin(&path)
            .with_context(|| format!("look at pinned map `{}`", path.display()))?;
        check_size(&path, info.max_entries(), key, configured)?;
    }
    Ok(())
}

fn check_size(path: &Path, pinned: u32, key: &str, configured: u32) -> Result<()> {
    if pinned != configured {
        bail!(
            "pinned map `{}` was made with `{key}` {pinned}, it is {configured} now; set it back, or start over with \
             `observer detach`",
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_map_of_another_size_is_refused() {
        let path = Path::new("/pins/EVENTS");
        assert!(check_size(path, 4_096, "limits.events_bytes", 4_096).is_ok());
        let error = check_size(path, 4_096, "limits.events_bytes", 8_192)
            .expect_err("another size")
            .to_string();
        for part in [
            "/pins/EVENTS",
            "limits.events_bytes",
            "4096",
            "8192",
            "observer detach",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn rings_have_whole_pages() {
        let page = ring_bytes(1).expect("a page");
        assert!(page.is_power_of_two() && page >= 4_096);
        assert_eq!(ring_bytes(page * 2).expect("two pages"), page * 2);
    }

    #[test]
    fn spare_uplinks_are_told_by_name() {
        let cases = [
            ("uplink0_egress", false),
            ("uplink1_ingress", true),
            ("count_egress", false),
        ];
        for (name, spare) in cases {
            assert_eq!(is_spare_uplink(name), spare, "{name}");
        }
    }

    #[test]
    fn the_pin_directory_names_the_shape() {
        let directory = pin_directory(Path::new("/sys/fs/bpf/observer"));
        let path = directory.to_string_lossy();
        assert!(path.starts_with("/sys/fs/bpf/observer/abi-"), "{path}");
    }
}
