//! The nine counters of a flow or a total, and their arithmetic.

use observer_ebpf::abi;

/// Cumulative counters of one flow or one total. Index 0 of each pair is egress, 1 ingress
/// ([`abi::EGRESS`], [`abi::INGRESS`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// IP lengths of the skbs, bytes.
    pub device_bytes: [u64; 2],
    /// IP packets as they are on the wire, bytes.
    pub wire_bytes: [u64; 2],
    /// What the application sent or received, once, bytes.
    pub payload_bytes: [u64; 2],
    /// IP packets on the wire.
    pub packets: [u64; 2],
    /// Part of the egress wire bytes that TCP sent again, bytes.
    pub retransmitted_wire_bytes: u64,
}

impl Counters {
    /// Difference to an `earlier` reading, field by field. Saturates at 0: two readings of one flow may be taken by
    /// two CPUs at once, and what one field lacks now is in the next reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.zip(earlier, u64::saturating_sub)
    }

    /// The higher of two readings, field by field: the counters only grow.
    #[must_use]
    pub fn highest(&self, other: &Self) -> Self {
        self.zip(other, u64::max)
    }

    /// Sum, saturating: 2^64 bytes are out of any host's reach, and a wrong sum must not wrap to a small one.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// Totals at the moment at which `payload` bytes had been sent and received, between an `earlier` reading and this one.
    /// Payload is exact; what else was counted is shared out by payload, because packets carry more than one request.
    #[must_use]
    pub fn at_payload(&self, earlier: &Self, payload: [u64; 2]) -> Self {
        let more = self.since(earlier);
        let taken = |way: usize| payload[way].saturating_sub(earlier.payload_bytes[way]);
        let share = |count: u64, way: usize| -> u64 {
            let all = more.payload_bytes[way];
            let taken = taken(way).min(all);
            let part = u128::from(count) * u128::from(taken);
            u64::try_from(part.checked_div(u128::from(all)).unwrap_or(0)).unwrap_or(count)
        };
        let pair = |counts: [u64; 2]| [share(counts[0], 0), share(counts[1], 1)];
        earlier.plus(&Self {
            device_bytes: pair(more.device_bytes),
            wire_bytes: pair(more.wire_bytes),
            payload_bytes: pair(more.payload_bytes),
            packets: pair(more.packets),
            retransmitted_wire_bytes: share(more.retransmitted_wire_bytes, 0),
        })
    }

    /// Whether any field is below the same field of `earlier`.
    #[must_use]
    pub fn any_below(&self, earlier: &Self) -> bool {
        self.fields()
            .iter()
            .zip(earlier.fields())
            .any(|(now, before)| *now < before)
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    fn zip(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        let pair = |a: [u64; 2], b: [u64; 2]| [combine(a[0], b[0]), combine(a[1], b[1])];
        Self {
            device_bytes: pair(self.device_bytes, other.device_bytes),
            wire_bytes: pair(self.wire_bytes, other.wire_bytes),
            payload_bytes: pair(self.payload_bytes, other.payload_bytes),
            packets: pair(self.packets, other.packets),
            retransmitted_wire_bytes: combine(
                self.retransmitted_wire_bytes,
                other.retransmitted_wire_bytes,
            ),
        }
    }

    fn fields(&self) -> [u64; 9] {
        [
            self.device_bytes[0],
            self.device_bytes[1],
            self.wire_bytes[0],
            self.wire_bytes[1],
            self.payload_bytes[0],
            self.payload_bytes[1],
            self.packets[0],
            self.packets[1],
            self.retransmitted_wire_bytes,
        ]
    }
}

impl From<abi::Counters> for Counters {
    fn from(counters: abi::Counters) -> Self {
        Self {
            device_bytes: counters.device_bytes,
            wire_bytes: counters.wire_bytes(),
            payload_bytes: counters.payload_bytes,
            packets: counters.packets,
            retransmitted_wire_bytes: counters.retransmitted_wire_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_up_to_a_request_and_after_it_is_all() {
        let earlier = Counters {
            device_bytes: [200, 100],
            wire_bytes: [300, 150],
            payload_bytes: [100, 50],
            packets: [3, 2],
            retransmitted_wire_bytes: 10,
        };
        let now = Counters {
            device_bytes: [1_200, 1_101],
            wire_bytes: [2_300, 2_150],
            payload_bytes: [600, 1_050],
            packets: [8, 9],
            retransmitted_wire_bytes: 20,
        };
        for (payload, expected) in [
            ([350, 550], [350, 550]),
            ([100, 50], [100, 50]),
            ([600, 1_050], [600, 1_050]),
            // Of a reading that was told before, or of one to come.
            ([0, 0], [100, 50]),
            ([u64::MAX, 60], [600, 60]),
        ] {
            let part = now.at_payload(&earlier, payload);
            assert_eq!(part.payload_bytes, expected, "{payload:?}");
            assert!(!part.any_below(&earlier) && !now.any_below(&part));
            let sum = part.since(&earlier).plus(&now.since(&part));
            assert_eq!(sum, now.since(&earlier), "{payload:?}");
        }
        let half = now.at_payload(&earlier, [350, 550]);
        assert_eq!(half.wire_bytes, [1_300, 1_150]);
        assert_eq!((half.packets, half.retransmitted_wire_bytes), ([5, 5], 15));
    }

    #[test]
    fn readings_taken_at_once_never_give_a_negative_difference() {
        let before = Counters {
            wire_bytes: [10, 5],
            packets: [3, 0],
            ..Counters::default()
        };
        let now = Counters {
            wire_bytes: [12, 4],
            packets: [3, 1],
            ..Counters::default()
        };
        let difference = Counters {
            wire_bytes: [2, 0],
            packets: [0, 1],
            ..Counters::default()
        };
        assert_eq!(now.since(&before), difference);
        assert!(now.any_below(&before));
        assert_eq!(before.plus(&difference), now.highest(&before));
        assert!(!now.highest(&before).any_below(&now));
    }
}
