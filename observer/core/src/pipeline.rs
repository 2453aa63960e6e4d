//! The order of the stages: readings of one tick become records, a snapshot and accounts. The only file that knows
//! more than one stage; reads no clock and writes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{
        Balance, BalanceState, Credit, CreditState, Readings, Recorded, Series, SeriesSettings,
        Snapshot, Totals, UplinkReading,
    },
    attribute::{Applied, Batch, Change, FLOWS_MAX, FlowTable, Interval, Tails},
    judge::{
        contract::RuleSet,
        event::{Violation, Violations},
        grace::Graces,
        live::Judge,
    },
    model::{
        flow::{Answer, FlowKey, FlowTotals, RemoteKey},
        kernel::{Losses, SlotTotals, UplinkIndex},
        lookup::Lookup,
        names::LossPlace,
        record::{FlowRecord, RecordContext},
        time::{Moment, UnixUs},
    },
    price::plan::Pricing,
};

/// What one agent knows of its flows, from tick to tick.
#[derive(Debug)]
pub struct Pipeline {
    context: Arc<RecordContext>,
    table: FlowTable,
    credit: Credit,
    balance: Balance,
    totals: Totals,
    series: Series,
    pricing: Option<Pricing>,
    judge: Option<Judge>,
    violations: Violations,
    tick: u32,
    /// Requests of which bytes were recorded before they were known.
    late_requests: u64,
    /// Every flow that had changed before was handed over by then.
    read_until: UnixUs,
    read_ring_losses: u64,
}

/// What the pipeline must know once.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    pub context: Arc<RecordContext>,
    /// The agent's start, or any earlier moment from which on it was told of every flow.
    pub started: Moment,
    /// Flows followed at the same time; [`FLOWS_MAX`] unless memory is short.
    pub flows_max: usize,
    pub series: SeriesSettings,
    /// Nothing is priced where `None`.
    pub pricing: Option<Pricing>,
    /// Nothing is judged where `None`.
    pub rules: Option<Arc<RuleSet>>,
}

impl PipelineConfig {
    /// The default limits.
    #[must_use]
    pub fn new(context: Arc<RecordContext>, started: Moment) -> Self {
        Self {
            context,
            started,
            flows_max: FLOWS_MAX,
            series: SeriesSettings::default(),
            pricing: None,
            rules: None,
        }
    }
}

/// What has to outlive the agent where the kernel's maps do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineState {
    pub credit: CreditState,
    pub uplinks: Vec<BalanceState>,
    /// What is used of what rules tolerate.
    #[serde(default)]
    pub graces: Graces,
}

/// The kernel's side of one tick. All counters are cumulative. The order of reading matters: slots and uplinks first, as
/// close together as can be (what passes before the flows are read wavers in `late` and in the balance), then flows, then
/// events (a flow that ends in between is in one of them for sure), then remotes: one that is read after the event that
/// released its socket is complete, and may be cleared.
#[derive(Debug)]
pub struct TickInput<F, R, E> {
    /// Sockets that changed since they were last handed over.
    pub flows: F,
    /// All entries of the table of UDP remotes; `None` where it was not read to its end.
    pub remotes: Option<R>,
    /// End-of-flow events since the last tick or [`Pipeline::events`].
    pub events: E,
    pub slots: Vec<SlotTotals>,
    pub uplinks: Vec<UplinkReading>,
    pub losses: Losses,
}

/// What one tick came to, besides its records.
#[derive(Clone, Debug)]
pub struct TickOutput {
    /// Contains the accounts of all uplinks.
    pub snapshot: Snapshot,
    /// Entries that the kernel's table of UDP remotes can be cleared of. A last reading taken while clearing belongs
    /// into [`Pipeline::events`].
    pub remotes_ended: Vec<RemoteKey>,
    /// Violations that are to be told now.
    pub violations: Vec<Violation>,
}

impl Pipeline {
    /// A pipeline for maps that were just made.
    #[must_use]
    pub fn new(config: PipelineConfig) -> Self {
        let PipelineConfig {
            context,
            started,
            flows_max,
            series,
            pricing,
            rules,
        } = config;
        let boot_unix_ns = i64::try_from(started.monotonic_ns).map_or(0, |monotonic_ns| {
            started.unix_ns.saturating_sub(monotonic_ns)
        });
        Self {
            table: FlowTable::new(&context.boot_id, boot_unix_ns, flows_max),
            context,
            credit: Credit::default(),
            balance: Balance::default(),
            totals: Totals::default(),
            series: Series::new(&series),
            pricing,
            judge: rules.map(Judge::new),
            violations: Violations::default(),
            tick: 0,
            late_requests: 0,
            read_until: UnixUs::from_ns(started.unix_ns),
            read_ring_losses: 0,
        }
    }

    /// A pipeline for maps that an earlier agent filled, which wrote the output that `tails` were read from and left
    /// `state`. Bytes recorded after the state was kept ([`RecordTail::uncredited`](crate::attribute::RecordTail))
    /// are credited to `uplink` of their device, without a tag set: the output does not tell it.
    #[must_use]
    pub fn resume(
        config: PipelineConfig,
        state: &PipelineState,
        tails: Tails,
        uplink: impl Fn(&str) -> Option<UplinkIndex>,
    ) -> Self {
        let mut pipeline = Self::new(config);
        pipeline.credit = Credit::resume(&state.credit);
        pipeline.balance = Balance::resume(&state.uplinks);
        for (_, tail) in tails.iter() {
            let uplink = tail.device.as_deref().and_then(&uplink);
            let tag = observer_ebpf::abi::TAG_NONE;
            pipeline.credit.record([uplink; 2], tag, &tail.uncredited);
        }
        if let Some(judge) = &mut pipeline.judge {
            judge.resume(state.graces.clone());
        }
        pipeline.table.resume(tails);
        pipeline
    }

    /// What [`Pipeline::resume`] needs; keep it when the records up to now are written.
    #[must_use]
    pub fn state(&self) -> PipelineState {
        PipelineState {
            credit: self.credit.state(),
            uplinks: self.balance.states(),
            graces: self
                .judge
                .as_ref()
                .map(|judge| judge.graces().clone())
                .unwrap_or_default(),
        }
    }

    /// Sums for Prometheus begin anew under other limits or labels.
    pub fn set_series(&mut self, settings: &SeriesSettings) {
        self.series = Series::new(settings);
    }

    /// Prices are others from now on.
    pub fn set_pricing(&mut self, pricing: Option<Pricing>) {
        self.pricing = pricing;
    }

    /// Records are judged by other rules from now on; not at all where `None`.
    pub fn set_rules(&mut self, rules: Option<Arc<RuleSet>>) {
        match (&mut self.judge, rules) {
            (Some(judge), Some(rules)) => judge.replace(rules),
            (judge, rules) => *judge = rules.map(Judge::new),
        }
    }

    /// Says what is the same in all records from now on.
    pub fn set_context(&mut self, context: Arc<RecordContext>) {
        if let Some(pricing) = &mut self.pricing {
            pricing.stand(&context.source);
        }
        self.context = context;
    }

    /// Whether the flow is one of those that are followed.
    #[must_use]
    pub fn follows(&self, key: &FlowKey) -> bool {
        self.table.follows(key)
    }

    /// Takes in one tick. Each record is given to `write` once.
    pub fn tick(
        &mut self,
        input: TickInput<
            impl IntoIterator<Item = FlowTotals>,
            impl IntoIterator<Item = FlowTotals>,
            impl IntoIterator<Item = FlowTotals>,
        >,
        now: Moment,
        lookup: &impl Lookup,
        mut write: impl FnMut(&FlowRecord),
    ) -> TickOutput {
        self.tick = self.tick.saturating_add(1);
        let interval = self.interval(now);
        let remotes_read = input.remotes.is_some();
        let mut events = Batch::new(input.events);
        for reading in input.flows {
            for flow in events.complete(reading) {
                self.apply(&flow, &interval, now, lookup, &mut write);
            }
        }
        // Before the remotes: they end with their sockets.
        let rest = events.rest();
        for flow in rest.chain(input.remotes.into_iter().flatten()) {
            self.apply(&flow, &interval, now, lookup, &mut write);
        }
        self.series.end_tick(now.monotonic_ns);
        let remotes_ended = self.table.remotes_ended().copied().collect();
        self.table.end_tick(self.tick, remotes_read);
        let snapshot = self.snapshot(&input.slots, &input.uplinks, &input.losses, lookup);
        self.advance_read_until(&input.losses, interval.end);
        TickOutput {
            snapshot,
            remotes_ended,
            violations: self.violations.tell(interval.end),
        }
    }

    /// Takes in end-of-flow events between ticks, so that their ring does not overflow. Each record is given to
    /// `write` once.
    pub fn events(
        &mut self,
        events: impl IntoIterator<Item = FlowTotals>,
        now: Moment,
        lookup: &impl Lookup,
        mut write: impl FnMut(&FlowRecord),
    ) {
        let interval = Interval {
            tick: self.tick.max(1),
            ..self.interval(now)
        };
        for flow in Batch::new(events).rest() {
            self.apply(&flow, &interval, now, lookup, &mut write);
        }
    }

    fn interval(&self, now: Moment) -> Interval {
        Interval {
            start: self.read_until,
            end: UnixUs::from_ns(now.unix_ns),
            tick: self.tick,
        }
    }

    /// Takes in a reading, in as many parts as it has requests of different kinds.
    fn apply(
        &mut self,
        flow: &FlowTotals,
        interval: &Interval,
        now: Moment,
        lookup: &impl Lookup,
        write: &mut impl FnMut(&FlowRecord),
    ) {
        while let Some(payload) = lookup.next_kind(flow) {
            let (part, is_late) = self.table.at_payload(flow, payload);
            self.late_requests = self.late_requests.saturating_add(is_late.into());
            self.apply_part(&part, interval, now, lookup, write);
            lookup.begin_next_kind(flow);
        }
        // Before the reading, which may be the flow's last.
        while let Some(beside) = lookup.begin_beside(flow) {
            let until = beside.sent_until;
            let (part, taken) = self.table.with_sent(flow, beside.sent_bytes, until);
            if taken > 0 {
                self.apply_part(&part, interval, now, lookup, write);
            } else if beside.is_due
                && let Some(change) = self.table.beside(flow, interval)
            {
                write(&self.put(flow, &change, interval, now, lookup));
            }
            // What was recorded before it was told of is nobody's alone.
            if flow.counters.payload_bytes[0] < until {
                lookup.keep_beside(flow, beside.sent_bytes.saturating_sub(taken));
            }
        }
        self.apply_part(flow, interval, now, lookup, write);
    }

    fn apply_part(
        &mut self,
        flow: &FlowTotals,
        interval: &Interval,
        now: Moment,
        lookup: &impl Lookup,
        write: &mut impl FnMut(&FlowRecord),
    ) {
        match self.table.apply(flow, interval) {
            Applied::Changed(change) => write(&self.put(flow, &change, interval, now, lookup)),
            Applied::Unchanged => {}
            Applied::Refused => {
                self.credit
                    .refuse(uplinks(flow, lookup), flow.tag, &flow.counters);
            }
        }
    }

    /// Makes a change a record, which is counted.
    fn put(
        &mut self,
        flow: &FlowTotals,
        change: &Change,
        interval: &Interval,
        now: Moment,
        lookup: &impl Lookup,
    ) -> FlowRecord {
        let uplinks = uplinks(flow, lookup);
        self.credit.record(uplinks, flow.tag, &change.counters);
        let mut record = self.record(flow, change, interval, lookup);
        let answers = lookup.answers(flow);
        let mut fresh = change.fresh;
        if let Some(answers) = &answers {
            // Told by request; the last one is over when the flow is.
            let answer = if change.ends {
                flow.timing.answer()
            } else {
                Answer::default()
            };
            fresh.put_answer(answer);
            fresh.before = Answer::default();
            let timing = &mut record.totals.timing;
            if let Some(last) = answers
                .last()
                .filter(|_| timing.answer() == Answer::default())
            {
                timing.put_answer(*last);
            }
        }
        // What crosses no uplink is on nobody's bill.
        if uplinks.iter().any(Option::is_some) {
            let pricing = self.pricing.as_mut();
            record.cost = pricing.map(|pricing| pricing.of(&record.identity, interval.end));
        }
        self.judge(&mut record, interval.end);
        let recorded = Recorded {
            identity: &record.identity,
            workload: &record.workload,
            counters: &change.counters,
            cost: record.cost.as_deref(),
            verdicts: record.verdicts.as_ref(),
            requests: record.requests.unwrap_or_default(),
            ended: change.ends.then_some(change.outcome),
            fresh,
            answers: answers.as_deref().unwrap_or_default(),
        };
        self.series.record(&recorded, now.monotonic_ns);
        record
    }

    /// Says of a record what contracts say of it.
    fn judge(&mut self, record: &mut FlowRecord, at: UnixUs) {
        let Some(judge) = &mut self.judge else {
            return;
        };
        let verdicts = judge.judge(record, record.flow_id);
        let bytes = record.counters.wire_bytes.into_iter();
        let bytes = bytes.fold(0, u64::saturating_add);
        self.violations.note(record, &verdicts, bytes, at);
        record.verdicts = Some(verdicts);
    }

    fn record(
        &self,
        flow: &FlowTotals,
        change: &Change,
        interval: &Interval,
        lookup: &impl Lookup,
    ) -> FlowRecord {
        let ifindex = flow.ifindex.into_iter().find(|ifindex| *ifindex != 0);
        FlowRecord {
            context: Arc::clone(&self.context),
            flow_id: change.flow_id,
            sequence: change.sequence,
            kind: change.kind,
            outcome: change.outcome,
            interval_start: change.interval_start,
            interval_end: interval.end,
            start: self.table.start(flow),
            counters: change.counters,
            totals: FlowTotals {
                counters: change.totals,
                ..*flow
            },
            device: ifindex
                .and_then(|ifindex| lookup.device(flow.netns_cookie, flow.netns_inode, ifindex)),
            translation: lookup.translation(flow),
            identity: lookup.identity(flow),
            workload: lookup.workload(flow),
            requests: lookup.requests(flow),
            cost: None,
            verdicts: None,
        }
    }

    fn snapshot(
        &mut self,
        slots: &[SlotTotals],
        uplinks: &[UplinkReading],
        losses: &Losses,
        lookup: &impl Lookup,
    ) -> Snapshot {
        for uplink in uplinks {
            self.balance.advance(uplink, slots);
        }
        let unrecorded = self.credit.unrecorded(slots);
        let counts = self.table.counts();
        let mut losses = losses.clone();
        losses.extend([
            (LossPlace::FlowTable, counts.refused),
            (LossPlace::StaleReading, counts.stale),
            (LossPlace::TailIncomplete, counts.tails_incomplete),
            (LossPlace::LateRequest, self.late_requests),
            (LossPlace::ViolationTable, self.violations.refused),
            (
                LossPlace::GraceTable,
                self.judge
                    .as_ref()
                    .map_or(0, |judge| judge.graces().refused),
            ),
        ]);
        let readings = Readings {
            slots,
            uplinks,
            unrecorded: &unrecorded,
            balance: &self.balance,
            losses,
            series: self.series.snapshot(),
        };
        self.totals
            .snapshot(readings, |tag| lookup.destination(tag))
    }

    /// Where the iterator's ring was full, some flows were not handed over, and what they give next reaches back.
    fn advance_read_until(&mut self, losses: &Losses, end: UnixUs) {
        let lost = losses
            .get(&LossPlace::ReadRing)
            .copied()
            .unwrap_or_default();
        if lost == self.read_ring_losses {
            self.read_until = end;
        }
        self.read_ring_losses = lost;
    }
}

fn uplinks(flow: &FlowTotals, lookup: &impl Lookup) -> [Option<UplinkIndex>; 2] {
    let uplink = |ifindex| lookup.uplink(flow.netns_cookie, flow.netns_inode, ifindex);
    let [egress, ingress] = flow.ifindex;
    let sent = uplink(egress);
    // One look-up for the many flows that have one interface.
    [
        sent,
        if ingress == egress {
            sent
        } else {
            uplink(ingress)
        },
    ]
}
