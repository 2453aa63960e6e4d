//! The only room that imports aya: loads and attaches the kernel programs and reads what they counted. Hands out bytes
//! and numbers; what they mean is the business of `observer-core`.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "structs of the kernel's interfaces have fields of fixed width, filled with numbers made to fit"
)]

mod attach;
mod btf;
pub mod capability;
mod captures;
pub mod cgroup;
pub mod conntrack;
pub mod detach;
pub mod device;
mod ethtool;
pub mod health;
mod load;
#[cfg(kernel_log)]
mod messages;
mod netlink;
mod netns;
mod notes;
mod plaintext;
mod prefixes;
mod read;
mod ring;
pub mod route;
mod routes;
mod rows;
mod sys;
mod uplink;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, Queue, SkStorage},
};
use observer_ebpf::abi;

use self::{
    cgroup::Root,
    device::{Device, UplinkSpec},
    read::FlowReader,
    ring::Ring,
};
pub use self::{
    prefixes::{Addresses, Prefix},
    read::loaded_programs_of_ours,
    routes::{Learned, Told},
};

/// Sizes that an operator may change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each switches something of its own"
)]
pub struct Limits {
    /// Remotes of UDP sockets counted apart.
    pub udp_flows: u32,
    /// Bytes of the ring for ends of flows, a power of two and at least a page.
    pub events_bytes: u32,
    /// Bytes of the ring for one pass over all sockets, a power of two and at least a page.
    pub reads_bytes: u32,
    /// Hand over the bytes that name flows.
    pub captures: bool,
    /// Look for requests: in what programs encrypt, and in plain streams.
    pub requests: bool,
    /// Attach programs that do nothing beside the sockets' counting ones, to compare with.
    pub benchmark: bool,
    /// Attach programs that wipe callback flags before and after ours, as other agents' might.
    pub rivals: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            udp_flows: abi::UDP_FLOWS_MAX,
            events_bytes: abi::EVENTS_BYTES,
            reads_bytes: abi::READS_BYTES,
            captures: true,
            requests: true,
            benchmark: false,
            rivals: false,
        }
    }
}

/// What to attach to, and where to keep it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Directory of the unified hierarchy; found by itself where `None`.
    pub cgroup: Option<PathBuf>,
    /// Directory on a bpf filesystem for maps and links that outlive the agent.
    pub pins: Option<PathBuf>,
    pub uplinks: Vec<UplinkSpec>,
    /// A number that no earlier agent on the same maps had.
    pub generation: u32,
    pub limits: Limits,
}

/// One uplink being counted.
pub struct Uplink {
    pub device: Device,
    /// Row of the kernel's tables; the kernel reports it as `index + 1`.
    pub index: u32,
    /// The row is not the device's from before: what its account was is another device's.
    pub is_new: bool,
    attachment: uplink::UplinkAttachment,
    silent: [health::Silence; 2],
}

/// The kernel half at work. Dropping it detaches everything that is not pinned.
pub struct Probe {
    pub root: Root,
    /// The maps were there already: totals go on, and an earlier run's records too.
    pub reused: bool,
    /// Programs that this kernel or these privileges refused, with the reason.
    pub refused: Vec<(String, String)>,
    pub uplinks: Vec<Uplink>,
    /// What it took to fill the kernel's address table.
    pub address_table_time: Duration,
    flows: Option<FlowReader>,
    udp_flows: HashMap<MapData, [u8; UDP_KEY], [u8; UDP_VALUE]>,
    slots: HashMap<MapData, [u8; SLOT_KEY], u32>,
    slot_totals: PerCpuArray<MapData, [u8; COUNTERS]>,
    uplink_totals: PerCpuArray<MapData, [u8; UPLINK_TOTALS]>,
    lost: PerCpuArray<MapData, u64>,
    events: Ring,
    captures: captures::Captures,
    notes: notes::Notes,
    plaintext: plaintext::Plaintext,
    control: Array<MapData, u32>,
    prefixes: prefixes::Prefixes,
    routes: routes::Routes,
    programs: Vec<(String, u32)>,
    #[cfg(kernel_log)]
    messages: messages::Messages,
    hooks: Vec<attach::Attachment>,
    pins: Option<health::Pins>,
}

const UDP_KEY: usize = size_of::<abi::UdpKey>();
const UDP_VALUE: usize = size_of::<abi::UdpFlow>();
const SLOT_KEY: usize = size_of::<abi::SlotKey>();
const COUNTERS: usize = size_of::<abi::Counters>();
const UPLINK_TOTALS: usize = size_of::<abi::UplinkTotals>();

impl Probe {
    /// Loads and attaches everything. `addresses` makes the address table, given what the numbers hash to that the maps of
    /// an earlier run have.
    ///
    /// # Errors
    /// Where the counting programs cannot be loaded or attached, or an uplink is not there.
    pub fn start(
        settings: &Settings,
        addresses: impl FnOnce(Vec<u64>) -> Result<Addresses>,
    ) -> Result<Self> {
        if settings.uplinks.len() > abi::UPLINKS_MAX as usize {
            bail!(
                "{} uplinks are named, at most {} can be balanced",
                settings.uplinks.len(),
                abi::UPLINKS_MAX
            );
        }
        let root = match &settings.cgroup {
            Some(path) => cgroup::inspect(path)?,
            None => cgroup::find()?,
        };
        let pins = settings.pins.as_deref();
        let pins = pins.map(load::pin_directory);
        let load::Loaded {
            mut ebpf,
            refused,
            reused,
            line_keys,
        } = load::load(pins.as_deref(), &settings.limits)?;

        let mut prefixes = prefixes::Prefixes::take(&mut ebpf)?;
        let address_table_time = prefixes.fill(addresses)?;
        let mut control = Array::try_from(take(&mut ebpf, "CONTROL")?)?;
        control
            .set(abi::control::GENERATION, settings.generation, 0)
            .context("tell the iterator the agent's generation")?;
        if !reused {
            fill_free_slots(&mut ebpf)?;
        }
        let captures = captures::Captures::open(&mut ebpf, &refused)?;
        let notes = notes::Notes::open(&mut ebpf, &refused)?;
        let routes = routes::Routes::open(&mut ebpf, line_keys)?;
        let flows = if is_loaded(&refused, "read_flows") {
            Some(FlowReader::open(&mut ebpf)?)
        } else {
            None
        };
        // A socket's namespace is noted when it is made, so that hook comes before the first device is opened.
        let hooks = attach::attach_hooks(&mut ebpf, &root.path, pins.as_deref())?;
        let uplinks = attach_uplinks(&mut ebpf, &settings.uplinks, &root.path, pins.as_deref())?;
        let pins = pins.as_deref().map(health::Pins::of).transpose()?;
        let programs = ebpf
            .programs()
            .filter_map(|(name, program)| Some((name.to_owned(), program.info().ok()?.id())))
            .collect();
        let requests = settings.limits.requests && is_loaded(&refused, "find_request");
        Ok(Self {
            address_table_time,
            root,
            reused,
            refused,
            uplinks,
            flows,
            udp_flows: HashMap::try_from(take(&mut ebpf, "UDP_FLOWS")?)?,
            slots: HashMap::try_from(take(&mut ebpf, "SLOTS")?)?,
            slot_totals: PerCpuArray::try_from(take(&mut ebpf, "SLOT_TOTALS")?)?,
            uplink_totals: PerCpuArray::try_from(take(&mut ebpf, "UPLINK_TOTALS")?)?,
            lost: PerCpuArray::try_from(take(&mut ebpf, "LOST")?)?,
            events: open_ring(&take(&mut ebpf, "EVENTS")?)
                .context("map the ring of ended flows")?,
            captures,
            notes,
            control,
            prefixes,
            routes,
            programs,
            #[cfg(kernel_log)]
            messages: messages::Messages::open(&mut ebpf)?,
            hooks,
            pins,
            plaintext: plaintext::Plaintext::open(ebpf, requests)?,
        })
    }

    /// Puts another address table in the place of the one in force, while programs look addresses up.
    ///
    /// # Errors
    /// Where the kernel refuses a part of it; what was done is undone as far as it goes.
    pub fn replace_addresses(&mut self, addresses: &Addresses) -> Result<()> {
        self.prefixes.replace(addresses)
    }

    /// By which the kernel half hashes lines of requests.
    pub const fn line_keys(&self) -> [u64; 2] {
        self.routes.line_keys
    }

    /// Says which requests the kernel half knows by itself from now on.
    ///
    /// # Errors
    /// Where the kernel refuses a part of it; what it does not know is handed over.
    pub fn replace_routes(&mut self, routes: &[Told]) -> Result<()> {
        self.routes.replace(routes)
    }

    /// Says which lines of requests the kernel half has been told of.
    pub fn learn_routes(&mut self, learned: &Learned) {
        self.routes.learn(learned);
    }

    /// Prints to standard error what the programs told since the last call; debug builds alone.
    #[cfg(kernel_log)]
    pub fn print_messages(&mut self) {
        self.messages.print();
    }
}

fn is_loaded(refused: &[(String, String)], program: &str) -> bool {
    !refused.iter().any(|(refused, _)| refused == program)
}

/// Slot 0 takes what finds no other.
fn fill_free_slots(ebpf: &mut Ebpf) -> Result<()> {
    let mut free = Queue::try_from(lend(ebpf, "SLOTS_FREE")?)?;
    for slot in 1..abi::SLOTS_MAX {
        free.push(slot, 0).context("fill the list of free slots")?;
    }
    Ok(())
}

fn attach_uplinks(
    ebpf: &mut Ebpf,
    specs: &[UplinkSpec],
    root: &Path,
    pins: Option<&Path>,
) -> Result<Vec<Uplink>> {
    let origins = SkStorage::try_from(take(ebpf, "ORIGINS")?)?;
    let mut devices = Vec::new();
    for spec in specs {
        let mut device = Device::open(spec)?;
        if device.netns_cookie == 0 {
            device.netns_cookie = noted_cookie(&origins, spec).unwrap_or(0);
        }
        devices.push(device);
    }
    let mut rows = rows::UplinkRows::open(ebpf, &devices, pins)?;
    let mut uplinks = Vec::new();
    for device in devices {
        let rows::Row { index, is_new } = rows.enter(&device)?;
        let attachment = uplink::attach(ebpf, index as usize, &device, root, pins)?;
        uplinks.push(Uplink {
            device,
            index,
            is_new,
            attachment,
            silent: Default::default(),
        });
    }
    Ok(uplinks)
}

/// The map for a moment. Programs that are not loaded yet name maps by descriptor, so those stay open until the last
/// uplink is attached.
fn lend<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Map> {
    ebpf.map_mut(name)
        .with_context(|| format!("no map `{name}` in the object"))
}

/// The map, to be kept.
fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name)
        .with_context(|| format!("no map `{name}` in the object"))
}

/// The cookie that the hook noted for a socket made in the uplink's namespace, on kernels that tell it no other way.
fn noted_cookie(origins: &SkStorage<MapData, [u8; 8]>, spec: &UplinkSpec) -> Result<u64> {
    netns::within(spec.netns.as_deref(), || {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).context("make a socket")?;
        Ok(u64::from_ne_bytes(
            origins
                .get(&socket, 0)
                .context("read the socket's origin")?,
        ))
    })
}

/// Maps the ring in the size that the kernel gives it.
fn open_ring(map: &Map) -> Result<Ring> {
    use std::os::fd::AsFd as _;
    let Map::RingBuf(data) = map else {
        bail!("a map that should be a ring is none");
    };
    let bytes = data
        .info()
        .context("ask for the ring's size")?
        .max_entries();
    Ok(Ring::open(data.fd().as_fd(), bytes)?)
}

/// How long and how often one program ran; all zero unless the operator switched `kernel.bpf_stats_enabled` on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RunTime {
    pub program: String,
    pub run_ns: u64,
    pub runs: u64,
}

/// Lets the kernel time every program until the returned descriptor is closed; the operator's own
/// `kernel.bpf_stats_enabled` stays as it is.
///
/// # Errors
/// Where the kernel (before 5.8) or the privileges do not allow it.
pub fn switch_run_times_on() -> Result<std::os::fd::OwnedFd> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime)
        .context("switch the kernel's program statistics on")
}
