//! What the last records of an earlier output say of each flow, so that a restarted agent goes on with no gap and no
//! double. Reads lines, opens no file.

use std::collections::HashMap;

use serde::Deserialize;

use crate::model::{counters::Counters, flow::FlowId, names::Outcome, time::UnixUs};

/// Flows whose tail is kept. Before a new one is refused, ended flows older than [`ENDED_KEPT_US`] make room.
pub const TAILS_MAX: usize = 524_288;
/// How long after its end a flow may still give a record: as long as the table keeps it.
const ENDED_KEPT_US: i64 = 1_800_000_000;

/// Where the records of one flow end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordTail {
    /// Of the last record.
    pub sequence: u32,
    pub outcome: Outcome,
    pub interval_end: UnixUs,
    /// Interface of the last record.
    pub device: Option<Box<str>>,
    /// Sums over all records of the flow that were read.
    pub recorded: Counters,
    /// Sums over those of them that began at or after the offset given to [`Tails::fold`].
    pub uncredited: Counters,
    /// All records from the first on were read. If not, only the wire totals are known.
    pub whole: bool,
}

impl RecordTail {
    /// Totals up to the last record, given a later reading. Where the first records are missing, what they counted
    /// besides wire bytes is not known: the reading itself then stands for it, because a gap in one counter is
    /// better than bytes told twice.
    #[must_use]
    pub fn baseline(&self, reading: &Counters) -> Counters {
        if self.whole {
            self.recorded
        } else {
            Counters {
                wire_bytes: self.recorded.wire_bytes,
                ..*reading
            }
        }
    }
}

/// The tails of all flows of one output.
#[derive(Debug, Default)]
pub struct Tails {
    flows: HashMap<FlowId, RecordTail>,
    newest: UnixUs,
    /// Bytes up to which the output is whole lines; what follows is the line that was being written.
    pub whole_bytes: u64,
    /// Whole lines that are no record of this schema.
    pub lines_refused: u64,
    /// Flows that found no room.
    pub flows_refused: u64,
}

impl Tails {
    /// Reads an output from its start. Each item is one line with its `\n`; an item without one is the end of an
    /// output that was cut while it was written, and is left out. Records of another boot are left out too: their
    /// sockets are gone. Records that begin at or after `credited_bytes` are summed apart as well
    /// ([`RecordTail::uncredited`]).
    pub fn fold<L: AsRef<[u8]>>(
        lines: impl IntoIterator<Item = L>,
        boot_id: &str,
        credited_bytes: u64,
    ) -> Self {
        let mut tails = Self::default();
        for line in lines {
            let Some(record) = line.as_ref().strip_suffix(b"\n") else {
                continue;
            };
            let credited = tails.whole_bytes < credited_bytes;
            tails.whole_bytes = tails.whole_bytes.saturating_add(line.as_ref().len() as u64);
            match serde_json::from_slice::<Line>(record)
                .ok()
                .and_then(Line::check)
            {
                Some((id, line)) if line.boot_id == boot_id => tails.add(id, &line, credited),
                Some(_) => {}
                None => tails.lines_refused += 1,
            }
        }
        tails
    }

    /// The tails, for crediting them elsewhere.
    pub fn iter(&self) -> impl Iterator<Item = (&FlowId, &RecordTail)> {
        self.flows.iter()
    }

    /// The tail of one flow, which leaves the set.
    pub fn take(&mut self, id: &FlowId) -> Option<RecordTail> {
        if self.flows.is_empty() {
            None
        } else {
            self.flows.remove(id)
        }
    }

    /// Drops flows that had ended.
    pub fn drop_ended(&mut self) {
        self.flows.retain(|_, tail| tail.outcome == Outcome::Open);
    }

    fn add(&mut self, id: FlowId, line: &Line, credited: bool) {
        let counters = line.counters();
        let end = UnixUs::parse(&line.interval_end).unwrap_or(self.newest);
        self.newest = self.newest.max(end);
        if !self.flows.contains_key(&id) && !self.has_room() {
            self.flows_refused += 1;
            return;
        }
        let tail = self.flows.entry(id).or_insert_with(|| RecordTail {
            sequence: 0,
            outcome: Outcome::Open,
            interval_end: end,
            device: None,
            recorded: Counters::default(),
            uncredited: Counters::default(),
            whole: true,
        });
        tail.whole &= line.sequence == tail.sequence.saturating_add(1);
        tail.sequence = line.sequence;
        tail.outcome = Outcome::from_word(&line.outcome).unwrap_or(Outcome::Open);
        tail.interval_end = end;
        tail.device = line.device.as_deref().map(Box::from);
        tail.recorded = tail.recorded.plus(&counters);
        tail.recorded.wire_bytes = [
            line.wire_bytes_egress_since_start,
            line.wire_bytes_ingress_since_start,
        ];
        if !credited {
            tail.uncredited = tail.uncredited.plus(&counters);
        }
    }

    fn has_room(&mut self) -> bool {
        if self.flows.len() >= TAILS_MAX {
            let oldest = self.newest.0.saturating_sub(ENDED_KEPT_US);
            self.flows
                .retain(|_, tail| tail.outcome == Outcome::Open || tail.interval_end.0 >= oldest);
        }
        self.flows.len() < TAILS_MAX
    }
}

/// The fields of a record that its flow's next record depends on.
#[derive(Deserialize)]
struct Line {
    schema_version: u32,
    flow_id: String,
    sequence: u32,
    interval_end: String,
    boot_id: String,
    outcome: String,
    device: Option<String>,
    wire_bytes_egress: u64,
    wire_bytes_ingress: u64,
    device_bytes_egress: u64,
    device_bytes_ingress: u64,
    payload_bytes_egress: u64,
    payload_bytes_ingress: u64,
    packets_egress: u64,
    packets_ingress: u64,
    retransmitted_wire_bytes: u64,
    wire_bytes_egress_since_start: u64,
    wire_bytes_ingress_since_start: u64,
}

impl Line {
    fn check(self) -> Option<(FlowId, Self)> {
        // The counters are the same in every version so far.
        let known = (1..=crate::model::record::SCHEMA_VERSION).contains(&self.schema_version);
        FlowId::parse(&self.flow_id)
            .filter(|_| known)
            .map(|id| (id, self))
    }

    fn counters(&self) -> Counters {
        Counters {
            device_bytes: [self.device_bytes_egress, self.device_bytes_ingress],
            wire_bytes: [self.wire_bytes_egress, self.wire_bytes_ingress],
            payload_bytes: [self.payload_bytes_egress, self.payload_bytes_ingress],
            packets: [self.packets_egress, self.packets_ingress],
            retransmitted_wire_bytes: self.retransmitted_wire_bytes,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    fn line(boot_id: &str, sequence: u32, bytes: u64, since_start: u64, outcome: &str) -> String {
        let value = serde_json::json!({
            "schema_version": 1, "flow_id": ID, "sequence": sequence, "boot_id": boot_id, "outcome": outcome,
            "interval_end": format!("2026-02-27T00:00:{sequence:02}.000000Z"), "device": "eth0", "other": [1],
            "wire_bytes_egress": bytes, "wire_bytes_ingress": 1, "device_bytes_egress": bytes,
            "device_bytes_ingress": 1, "payload_bytes_egress": bytes / 2, "payload_bytes_ingress": 0,
            "packets_egress": 1, "packets_ingress": 1, "retransmitted_wire_bytes": 0,
            "wire_bytes_egress_since_start": since_start, "wire_bytes_ingress_since_start": sequence,
        });
        format!("{value}\n")
    }

    fn tail(lines: &[String], credited_bytes: u64) -> (RecordTail, Tails) {
        let mut tails = Tails::fold(lines, "boot", credited_bytes);
        (tails.take(&FlowId::parse(ID).unwrap()).unwrap(), tails)
    }

    #[test]
    fn records_of_a_flow_are_summed() {
        let lines = [
            line("boot", 1, 100, 100, "open"),
            line("boot", 2, 20, 120, "reset"),
        ];
        let (tail, tails) = tail(&lines, lines[0].len() as u64);
        assert_eq!(
            (tail.sequence, tail.outcome, tail.whole),
            (2, Outcome::Reset, true)
        );
        assert_eq!(tail.recorded.wire_bytes, [120, 2]);
        assert_eq!(tail.recorded.payload_bytes, [60, 0]);
        assert_eq!(tail.uncredited.wire_bytes, [20, 1]);
        assert_eq!(tail.device.as_deref(), Some("eth0"));
        assert_eq!(
            Some(tail.interval_end),
            UnixUs::parse("2026-02-27T00:00:02Z")
        );
        assert_eq!((tails.lines_refused, tails.flows_refused), (0, 0));
    }

    #[test]
    fn a_cut_line_is_left_out_wherever_it_was_cut() {
        let (first, second) = (
            line("boot", 1, 100, 100, "open"),
            line("boot", 2, 20, 120, "open"),
        );
        for cut in 0..second.len() {
            let (tail, tails) = tail(&[first.clone(), second[..cut].to_owned()], u64::MAX);
            assert_eq!(
                (tail.sequence, tails.whole_bytes),
                (1, first.len() as u64),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn other_lines_are_refused_and_other_boots_left_out() {
        let ours = line("boot", 1, 100, 100, "open");
        let other_schema = ours.replace("\"schema_version\":1", "\"schema_version\":999");
        let lines = [
            "garbage\n".to_owned(),
            line("before", 1, 9, 9, "open"),
            ours,
            other_schema,
        ];
        let (tail, tails) = tail(&lines, u64::MAX);
        assert_eq!((tail.sequence, tails.lines_refused), (1, 2));
        assert_eq!(
            tails.whole_bytes,
            lines.iter().map(|line| line.len() as u64).sum::<u64>()
        );
    }

    #[test]
    fn where_the_first_records_are_missing_only_wire_totals_count() {
        let (tail, _) = tail(&[line("boot", 5, 20, 920, "open")], u64::MAX);
        assert!(!tail.whole);
        let reading = Counters {
            wire_bytes: [1000, 9],
            payload_bytes: [800, 2],
            packets: [20, 9],
            ..Counters::default()
        };
        let difference = reading.since(&tail.baseline(&reading));
        let expected = Counters {
            wire_bytes: [80, 4],
            ..Counters::default()
        };
        assert_eq!(difference, expected);
    }
}
