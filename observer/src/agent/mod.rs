//! The agent: starts the probe, drives the pipeline from tick to tick, writes records, serves metrics, and ends in
//! order. One task reads and writes; the metrics server sees finished snapshots only.

mod clock;
mod lookup;
mod namespaces;
mod output;
mod reload;
mod service;
pub mod settings;
mod signals;

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use observer_core::{
    aggregate::{InterfaceCounters, LinkRule, UplinkReading},
    decode,
    identify::address::AddressTable,
    model::{
        flow::FlowTotals,
        kernel::{ProgramRunTime, UplinkIndex},
        names::Measure,
        record::RecordContext,
        time::Moment,
    },
    pipeline::{Pipeline, PipelineConfig, TickInput},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval_at, sleep},
};

use self::{
    lookup::Tables,
    namespaces::Namespaces,
    output::Output,
    reload::{Reload, with_config},
    service::Service,
    settings::Settings,
    signals::{Hurry, Signals},
};
use crate::{
    config::Loaded,
    metrics::{self, BuildInfo, Shared},
    probe::{self, Prefix, Probe, device::Device},
};

/// Runs until SIGTERM, SIGINT or the given duration, then drains and detaches. SIGHUP reloads.
///
/// # Errors
/// Where it cannot start, cannot write records any more, or a second signal ended the drain.
pub fn run(settings: Settings) -> Result<()> {
    let signals = Signals::listen()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(serve(settings, &signals))
}

async fn serve(settings: Settings, signals: &Signals) -> Result<()> {
    let server = match settings.loaded.config.listen {
        Some(address) => Some(metrics::server::bind(address).await?),
        None => None,
    };
    // Held: the kernel ends its statistics with this descriptor, however the agent ends.
    let statistics = match settings.print_run_times {
        true => Some(probe::switch_run_times_on()?),
        false => None,
    };
    let mut agent = Agent::start(&settings, signals.hurry())?;
    let shared = Shared::new(agent.build_info())?;
    let mut servers = JoinSet::new();
    if let Some(listener) = server {
        servers.spawn(metrics::server::serve(listener, shared.clone()));
    }
    let end = sleep(settings.duration.unwrap_or(FOREVER));
    let mut reload = Reload::new(settings, &shared);
    agent.publish_tick(&shared)?;
    let mut service = Service::of_environment();
    service.ready(&reload.status());

    tokio::pin!(end);
    let mut ticks = every(reload.tick());
    let mut signs_of_life = every(service.watchdog().unwrap_or(FOREVER));
    let filling = Arc::new(Notify::new());
    let wake = Arc::clone(&filling);
    agent.probe.on_filling_events(move || wake.notify_one())?;
    loop {
        tokio::select! {
            biased;
            () = signals.end() => break,
            () = &mut end => break,
            () = signals.reload() => {
                service.reloading();
                let tick = reload.tick();
                reload.again(&mut agent, &shared);
                if reload.tick() != tick {
                    ticks = every(reload.tick());
                }
                service.ready(&reload.status());
            }
            // Served by the task that ticks: an agent that hangs in a tick gives no sign.
            _ = signs_of_life.tick() => service.lives(),
            _ = ticks.tick() => agent.publish_tick(&shared)?,
            () = filling.notified() => agent.drain_events()?,
        }
    }
    service.stopping();
    agent.publish_tick(&shared)?;
    if statistics.is_some() {
        agent.print_run_times()?;
    }
    servers.shutdown().await;
    Ok(())
}

/// 136 years.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Ticks, the first of them in one `period`.
fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Everything that one tick touches.
struct Agent {
    probe: Probe,
    pipeline: Pipeline,
    tables: Tables,
    output: Output,
    context: Arc<RecordContext>,
    undecoded: u64,
    namespaces: Namespaces,
    print_tick_times: bool,
}

impl Agent {
    fn start(settings: &Settings, hurry: Hurry) -> Result<Self> {
        let flows = settings.loaded.config.flows.as_ref();
        let addresses = AddressTable::embedded().context("read the embedded address table")?;
        let context = Arc::new(record_context(&settings.loaded, &addresses)?);
        let earlier = output::earlier(flows, &context.boot_id)?;
        let output = Output::open(flows, earlier.tails.whole_bytes, hurry)?;
        let prefixes = addresses.prefixes().map(|(prefix, set)| Prefix {
            address: prefix.address(),
            length: prefix.prefix_length(),
            tag: set.number(),
        });
        let started = clock::now();
        let probe = Probe::start(&settings.probe(generation(started))?, prefixes)?;
        let tables = Tables::new(addresses, &probe.uplinks);
        let namespaces = Namespaces::of(&probe.uplinks);
        let config = PipelineConfig::new(Arc::clone(&context), started);
        let pipeline = if probe.reused {
            Pipeline::resume(config, &earlier.state, earlier.tails, |name| {
                tables.uplink_by_name(name)
            })
        } else {
            Pipeline::new(config)
        };
        for (program, reason) in &probe.refused {
            let reason = reason.lines().next().unwrap_or_default();
            eprintln!("observer: goes on without program `{program}`: {reason}");
        }
        if !probe.root.is_true_root {
            eprintln!(
                "observer: `{}` is not the true cgroup root: only sockets below it are seen; see `observer doctor`",
                probe.root.path.display()
            );
        }
        Ok(Self {
            probe,
            pipeline,
            tables,
            output,
            context,
            undecoded: 0,
            namespaces,
            print_tick_times: settings.print_tick_times,
        })
    }

    fn build_info(&self) -> BuildInfo {
        BuildInfo {
            version: self.context.agent_version.clone(),
            catalog_version: self.context.catalog_version.clone(),
        }
    }

    /// One interval, and what the metrics say of it.
    fn publish_tick(&mut self, shared: &Shared) -> Result<()> {
        let snapshot = self.tick()?;
        let timed = self
            .probe
            .run_times()
            .into_iter()
            .filter(|time| time.run_ns > 0);
        let run_times = timed.map(|time| ProgramRunTime {
            program: time.program.into(),
            run_seconds: Duration::from_nanos(time.run_ns).as_secs_f64(),
        });
        shared.publish(snapshot, run_times.collect());
        Ok(())
    }

    /// One interval: reads everything, writes its records, and returns what the metrics say.
    fn tick(&mut self) -> Result<observer_core::aggregate::Snapshot> {
        let (now, cpu_before_ns) = (clock::now(), clock::cpu_ns());
        let mut undecoded = 0;
        let namespaces = &mut self.namespaces;
        let mut keep = |flows: &mut Vec<FlowTotals>,
                        decoded: Result<FlowTotals, decode::DecodeError>| {
            match decoded {
                Ok(mut flow) => {
                    namespaces.complete(&mut flow);
                    flows.push(flow);
                }
                Err(_) => undecoded += 1,
            }
        };
        let uplinks = read_uplinks(&mut self.probe)?;
        let mut undecoded_slots = 0;
        let mut slots = Vec::new();
        self.probe
            .read_slots(|key, counters| match decode::slot(key, &counters) {
                Ok(slot) => slots.push(slot),
                Err(_) => undecoded_slots += 1,
            })?;
        // Ends are read after open flows: a flow that ends in between is then in one of them for sure.
        let mut flows = Vec::new();
        self.probe
            .read_flows(|value| keep(&mut flows, decode::flow(value)))?;
        let mut events = Vec::new();
        self.probe
            .look_at_events(usize::MAX, |value| keep(&mut events, decode::flow(value)));
        // Remotes after the ends: the end of a socket is the end of its remotes, whose last bytes must not be missed.
        let mut remotes = Vec::new();
        self.probe
            .read_udp(|key, value| keep(&mut remotes, decode::udp_flow(key, value)))?;
        let losses = decode::losses(&self.probe.losses()?);
        self.undecoded += undecoded + undecoded_slots;

        let input = TickInput {
            flows,
            remotes: Some(remotes),
            events,
            slots,
            uplinks,
            losses,
        };
        let mut written = Ok(());
        let mut records = 0_u64;
        let output = &mut self.output;
        let done = self.pipeline.tick(input, now, &self.tables, |record| {
            records += 1;
            if written.is_ok() {
                written = output.write(record);
            }
        });
        written?;
        self.output.flush()?;
        self.probe.release_events();
        self.output
            .keep(&self.context.boot_id, self.pipeline.state())?;
        let ended: Vec<_> = done.remotes_ended.iter().map(decode::remote_key).collect();
        self.probe.forget_udp(&ended);
        #[cfg(kernel_log)]
        self.probe.print_messages();
        if self.print_tick_times {
            let tick_ns = clock::now().monotonic_ns.saturating_sub(now.monotonic_ns);
            let cpu_ns = clock::cpu_ns().saturating_sub(cpu_before_ns);
            eprintln!("{{\"tick_ns\":{tick_ns},\"cpu_ns\":{cpu_ns},\"records\":{records}}}");
        }
        Ok(done.snapshot)
    }

    /// One JSON line a program, for the benchmark.
    fn print_run_times(&self) -> Result<()> {
        for run_time in self.probe.run_times() {
            eprintln!("{}", serde_json::to_string(&run_time)?);
        }
        Ok(())
    }

    /// Writes the flows that have ended, before their ring is full.
    fn drain_events(&mut self) -> Result<()> {
        let now = clock::now();
        let mut events = Vec::new();
        let (undecoded, namespaces) = (&mut self.undecoded, &mut self.namespaces);
        self.probe
            .look_at_events(usize::MAX, |value| match decode::flow(value) {
                Ok(mut flow) => {
                    namespaces.complete(&mut flow);
                    events.push(flow);
                }
                Err(_) => *undecoded += 1,
            });
        let mut written = Ok(());
        let output = &mut self.output;
        self.pipeline.events(events, now, &self.tables, |record| {
            if written.is_ok() {
                written = output.write(record);
            }
        });
        written?;
        self.output.flush()?;
        self.probe.release_events();
        Ok(())
    }
}

/// Milliseconds since boot, cut to 32 bits: two agents on the same maps never start in the same one.
fn generation(started: Moment) -> u32 {
    let [a, b, c, d, ..] = (started.monotonic_ns / 1_000_000).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn read_uplinks(probe: &mut Probe) -> Result<Vec<UplinkReading>> {
    (0..probe.uplinks.len())
        .map(|position| {
            let (totals, interface) = probe.read_uplink(position)?;
            let uplink = &probe.uplinks[position];
            Ok(UplinkReading {
                index: UplinkIndex(u16::try_from(uplink.index).unwrap_or(u16::MAX)),
                device: uplink.device.spec.to_string().into(),
                rules: rules(&uplink.device),
                interface: InterfaceCounters {
                    bytes: [interface.tx_bytes, interface.rx_bytes],
                    packets: [interface.tx_packets, interface.rx_packets],
                    tx_drops: interface.tx_dropped + interface.queue_dropped,
                },
                totals: totals.into(),
                attached: [true, true],
            })
        })
        .collect()
}

/// How the device counts: bundles with one header where it takes them as they are, else what is on the wire.
fn rules(device: &Device) -> [LinkRule; 2] {
    let rule = |bundles: bool| LinkRule {
        measure: if bundles {
            Measure::Device
        } else {
            Measure::Wire
        },
        link_header_bytes: device.link_header,
        skb_bytes_max: 65_536,
    };
    [rule(device.counts_bundles), rule(device.receives_bundles)]
}

fn record_context(loaded: &Loaded, addresses: &AddressTable) -> Result<RecordContext> {
    let host = match &loaded.config.host {
        Some(host) => host.clone(),
        None => nix::unistd::gethostname()
            .context("ask for the host name")?
            .to_string_lossy()
            .into_owned(),
    };
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("read `/proc/sys/kernel/random/boot_id`")?;
    let context = RecordContext {
        host,
        boot_id: boot_id.trim().to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        catalog_version: Some(addresses.version()),
        ..RecordContext::default()
    };
    Ok(with_config(&context, loaded))
}
