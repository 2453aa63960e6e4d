//! The agent: starts the probe, drives the pipeline from tick to tick, writes records, serves metrics, and ends in
//! order. One task reads and writes; the metrics server sees finished snapshots only.

mod beside;
mod catalogue;
mod clock;
mod context;
mod ends;
mod faults;
mod heap;
mod judging;
mod lookup;
mod names;
mod namespaces;
mod output;
mod owners;
mod reload;
mod requests;
mod service;
pub mod settings;
mod signals;
mod typing;
mod uplinks;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use observer_core::{
    aggregate::UplinkReading,
    decode,
    model::{
        flow::FlowTotals,
        kernel::{Losses, ProgramRunTime},
        names::{Fault, LossPlace},
        record::{RecordContext, SourcePlace},
        time::{Moment, UnixUs},
    },
    pipeline::{Pipeline, PipelineConfig, TickInput},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};

use self::{
    beside::{FOREVER, every, find_place, listen},
    catalogue::Catalogue,
    ends::FarEnds,
    faults::Faults,
    heap::Heap,
    judging::Tellers,
    lookup::Tables,
    names::Names,
    namespaces::Namespaces,
    output::Output,
    owners::HolderWalks,
    reload::Reload,
    requests::Plaintext,
    service::Service,
    settings::{Settings, declared, files, series},
    signals::{Hurry, Signals},
};
use crate::{
    contracts,
    metrics::{self, BuildInfo, ExemptionEnd, FaultState, Readiness, Shared, Web},
    prices,
    probe::{self, Probe, conntrack::Conntrack, health::Finding},
    workload::Workloads,
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
    let config = &settings.loaded.config;
    let web = Web::new(config.web_config.as_deref())?;
    let server = listen(config, &web).await?;
    // Held: the kernel ends its statistics with this descriptor, however the agent ends.
    let statistics = match settings.print_run_times {
        true => Some(probe::switch_run_times_on()?),
        false => None,
    };
    let mut agent = Agent::start(&settings, signals.hurry())?.typing(config);
    let shared = Shared::new(agent.build_info())?;
    shared.started(agent.readiness(config.tick));
    let mut servers = JoinSet::new();
    if let Some(listener) = server {
        servers.spawn(metrics::server::serve(
            listener,
            shared.clone(),
            web.clone(),
        ));
    }
    let end = sleep(settings.duration.unwrap_or(FOREVER));
    let (saying, mut found) = find_place(&settings, &mut servers);
    agent.stand(found.borrow_and_update().place(), &shared);
    let mut reload = Reload::new(settings, web, saying, &shared);
    agent.look_for_plaintext();
    agent.publish_tick(&shared)?;
    let mut service = Service::of_environment();
    service.ready(&reload.status());

    tokio::pin!(end);
    let mut ticks = every(reload.tick());
    let mut signs_of_life = every(service.watchdog().unwrap_or(FOREVER));
    let mut looks = every(requests::LOOK);
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
                    shared.started(agent.readiness(reload.tick()));
                }
                service.ready(&reload.status());
            }
            // Served by the task that ticks: an agent that hangs in a tick gives no sign.
            _ = signs_of_life.tick() => service.lives(),
            _ = ticks.tick() => agent.publish_tick(&shared)?,
            _ = looks.tick() => agent.look_for_plaintext(),
            looked = agent.plaintext.looked() => agent.attach_to(looked),
            Ok(()) = found.changed() => {
                let found = found.borrow_and_update().clone();
                eprintln!("observer: source place: {found}");
                agent.stand(found.place(), &shared);
            }
            () = filling.notified() => agent.drain_events()?,
        }
    }
    service.stopping();
    agent.publish_tick(&shared)?;
    if statistics.is_some() {
        agent.print_run_times()?;
    }
    servers.shutdown().await;
    agent.tellers.finish();
    Ok(())
}

/// What one tick reads.
type Reading = TickInput<Vec<FlowTotals>, Vec<FlowTotals>, Vec<FlowTotals>>;

/// Everything that one tick touches.
struct Agent {
    probe: Probe,
    pipeline: Pipeline,
    tables: Tables,
    output: Output,
    context: Arc<RecordContext>,
    undecoded: u64,
    namespaces: Namespaces,
    holder_walks: HolderWalks,
    faults: Faults,
    heap: Heap,
    /// Of the tick that is under way.
    findings: Vec<Finding>,
    print_tick_times: bool,
    tellers: Tellers,
    exemptions: Vec<ExemptionEnd>,
    plaintext: Plaintext,
}

impl Agent {
    fn start(settings: &Settings, hurry: Hurry) -> Result<Self> {
        let heap = Heap::new();
        let began = clock::now();
        let flows = settings.loaded.config.flows.as_ref();
        let files = files(&settings.loaded.config);
        let networks = files.addresses()?;
        let addresses = networks.table;
        let paths = declared(&settings.loaded.config.paths);
        let names = Names::new(files.name_tables()?, networks.zones, paths);
        let pricing = prices::pricing(&settings.loaded.config.price)?;
        let files = &settings.loaded.config.contracts.files;
        let rules = contracts::named(files, &addresses, names.tables())?.map(Arc::new);
        let tellers = Tellers::new(&settings.loaded.config.contracts)?;
        let versions = (&addresses, names.tables(), &**pricing.book());
        let context = context::of(&settings.loaded, versions)?;
        let context = Arc::new(context::with_rules(&context, rules.as_deref()));
        let mut earlier = output::earlier(flows, &context.boot_id)?;
        let output = Output::open(flows, earlier.tails.whole_bytes, hurry)?;
        let started = clock::now();
        let told = settings.probe(clock::generation(started))?;
        let mut catalogue = None;
        let probe = Probe::start(&told, |hashes| {
            let made = catalogue.insert(Catalogue::new(addresses, hashes)?);
            Ok(made.for_kernel(told.pins.is_some()))
        })?;
        let catalogue = catalogue.context("the probe asked for no address table")?;
        let workloads = Workloads::new(probe.root.path.clone());
        // An account is of one device, even where the next one in its row has the same name.
        let new_rows = probe.uplinks.iter().filter(|uplink| uplink.is_new);
        let new_rows: Vec<u32> = new_rows.map(|uplink| uplink.index).collect();
        let accounts = &mut earlier.state.uplinks;
        accounts.retain(|account| !new_rows.contains(&account.uplink.into()));
        let namespaces = probe.uplinks.iter().map(|uplink| &uplink.device.spec.netns);
        let ends = FarEnds::new(Conntrack::new(namespaces.cloned()));
        let tables = Tables::new(catalogue, names, &probe.uplinks, workloads, ends);
        let config = PipelineConfig {
            series: series(&settings.loaded.config)?,
            pricing: Some(pricing),
            rules: rules.clone(),
            ..PipelineConfig::new(Arc::clone(&context), started)
        };
        let pipeline = if probe.reused {
            Pipeline::resume(config, &earlier.state, earlier.tails, |name| {
                tables.uplink_by_name(name)
            })
        } else {
            Pipeline::new(config)
        };
        warn(&probe);
        if rules.is_some() {
            judging::say(rules.as_deref(), UnixUs::from_ns(started.unix_ns));
        }
        if settings.print_tick_times {
            clock::print_start(began, probe.address_table_time);
        }
        Ok(Self {
            namespaces: Namespaces::of(&probe.uplinks),
            probe,
            pipeline,
            tables,
            output,
            context,
            undecoded: 0,
            holder_walks: HolderWalks::default(),
            faults: Faults::default(),
            heap,
            findings: Vec::new(),
            print_tick_times: settings.print_tick_times,
            tellers,
            exemptions: judging::exemption_ends(rules.as_deref(), UnixUs::from_ns(started.unix_ns)),
            plaintext: Plaintext::new(),
        })
    }

    fn build_info(&self) -> BuildInfo {
        BuildInfo {
            version: self.context.agent_version.clone(),
            catalog_version: self.context.catalog_version.clone(),
            exemptions: self.exemptions.clone(),
        }
    }

    /// Says in all records from now on, and in the metrics, where this host stands.
    fn stand(&mut self, source: SourcePlace, shared: &Shared) {
        shared.stand(source.clone());
        self.tables.names.get_mut().stand(source.clone());
        self.context = Arc::new(RecordContext {
            source,
            ..(*self.context).clone()
        });
        self.pipeline.set_context(Arc::clone(&self.context));
    }

    fn readiness(&self, tick: Duration) -> Readiness {
        Readiness {
            tick,
            is_true_root: self.probe.root.is_true_root,
            has_catalogue: self.context.catalog_version.is_some(),
        }
    }

    /// One interval, and what the metrics say of it.
    fn publish_tick(&mut self, shared: &Shared) -> Result<()> {
        let mut snapshot = self.tick()?;
        snapshot.requests_typed = self.tables.names.get_mut().typed();
        let timed = self
            .probe
            .run_times()
            .into_iter()
            .filter(|time| time.run_ns > 0);
        let run_times = timed.map(|time| ProgramRunTime {
            program: time.program.into(),
            run_seconds: Duration::from_nanos(time.run_ns).as_secs_f64(),
        });
        let faults = FaultState {
            counts: self.faults.counts(),
            degraded: self.faults.degraded(),
        };
        shared.publish(snapshot, run_times.collect(), faults);
        shared.ticked(Instant::now());
        Ok(())
    }

    /// One interval: reads everything, writes its records, and returns what the metrics say.
    fn tick(&mut self) -> Result<observer_core::aggregate::Snapshot> {
        let (now, cpu_before_ns) = (clock::now(), clock::cpu_ns());
        let input = self.read(now)?;
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
        self.tellers.tell(&done.violations, &self.context);
        let pipeline = &self.pipeline;
        let names = self.tables.names.get_mut();
        names.end_tick(self.probe.reads_open_flows(), |flow| pipeline.follows(flow));
        let ends = self.tables.ends.get_mut();
        ends.end_tick(|flow| pipeline.follows(flow));
        let forgotten = self.tables.workloads.get_mut().end_tick();
        self.probe.forget_processes(&forgotten);
        self.heap.end_tick();
        #[cfg(kernel_log)]
        self.probe.print_messages();
        if self.print_tick_times {
            let tick_ns = clock::now().monotonic_ns.saturating_sub(now.monotonic_ns);
            let cpu_ns = clock::cpu_ns().saturating_sub(cpu_before_ns);
            eprintln!("{{\"tick_ns\":{tick_ns},\"cpu_ns\":{cpu_ns},\"records\":{records}}}");
        }
        Ok(done.snapshot)
    }

    /// The kernel's side of one interval, in the order that [`TickInput`] wants. What could be read in part is a finding.
    fn read(&mut self, now: Moment) -> Result<Reading> {
        let uplinks = self.check(now);
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
        let mut undecoded_slots = 0;
        let mut slots = Vec::new();
        self.probe
            .read_slots(|key, counters| match decode::slot(key, &counters) {
                Ok(slot) => slots.push(slot),
                Err(_) => undecoded_slots += 1,
            })?;
        self.holder_walks.look(&mut self.probe, now.monotonic_ns);
        // Ends are read after open flows: a flow that ends in between is then in one of them for sure.
        let mut flows = Vec::new();
        let read = self
            .probe
            .read_flows(|value| keep(&mut flows, decode::flow(value)));
        self.findings.extend(faults::not_read("open flows", read).1);
        self.holder_walks.note(&flows);
        let mut events = Vec::new();
        self.probe
            .look_at_events(usize::MAX, |value| keep(&mut events, decode::flow(value)));
        // Remotes after the ends: the end of a socket is the end of its remotes, whose last bytes must not be missed.
        let mut remotes = Vec::new();
        let read = self
            .probe
            .read_udp(|key, value| keep(&mut remotes, decode::udp_flow(key, value)));
        let (remotes_are_all, finding) = faults::not_read("UDP remotes", read);
        self.findings.extend(finding);
        self.undecoded += undecoded + undecoded_slots;
        // Notes after the flows: who owns one of them was told of before.
        self.faults.note(std::mem::take(&mut self.findings));
        self.learn(flows.iter().chain(&events).chain(&remotes), now);
        self.read_captures(now);
        Ok(TickInput {
            losses: self.losses()?,
            flows,
            remotes: remotes_are_all.then_some(remotes),
            events,
            slots,
            uplinks,
        })
    }

    /// Looks for what others did to us, and mends it; then reads what the uplinks counted.
    fn check(&mut self, now: Moment) -> Vec<UplinkReading> {
        let mut health = self.probe.check();
        health.findings.extend(self.faults.watch_clock(now));
        let moved = health
            .findings
            .iter()
            .any(|finding| finding.fault == Fault::CgroupMoved);
        if moved {
            let root = self.probe.root.path.clone();
            self.tables.workloads.get_mut().move_root(root);
        }
        let uplinks = uplinks::read(&mut self.probe, &mut health);
        self.findings = health.findings;
        uplinks
    }

    /// What was lost in the kernel and here; the pipeline adds its own.
    fn losses(&self) -> Result<Losses> {
        let mut losses = decode::losses(&self.probe.losses()?);
        losses.extend(self.tables.workloads.borrow().losses());
        losses.extend(self.tables.names.borrow().losses());
        losses.extend(self.tables.ends.borrow().losses());
        losses.extend(self.tellers.losses());
        losses.extend(self.plaintext.losses());
        losses.insert(LossPlace::HolderWalk, self.holder_walks.put_off());
        Ok(losses)
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
        self.learn(events.iter(), now);
        self.read_captures(now);
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

/// What the agent goes on without.
fn warn(probe: &Probe) {
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
}
