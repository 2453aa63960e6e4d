//! A counter made of a difference between two readings that are not taken at the same moment.

/// The difference wavers by what passed between the readings; a counter must not fall. Shown is the highest of what
/// three readings in a row agreed on at least.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settled {
    recent: [i128; 2],
    shown: i128,
}

impl Settled {
    /// The counter's value after one more reading.
    pub fn observe(&mut self, value: i128) -> u64 {
        let [before, last] = self.recent;
        self.shown = self.shown.max(value.min(before).min(last));
        self.recent = [last, value];
        // A negative difference shows as 0; beyond 2^64 bytes it stays there.
        u64::try_from(self.shown.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wavers_does_not_show_and_what_lasts_does() {
        let mut settled = Settled::default();
        let cases = [
            (50, 0),
            (0, 0),
            (70, 0),
            (70, 0),
            (75, 70),
            (70, 70),
            (-5, 70),
            (90, 70),
        ];
        for (index, (value, shown)) in cases.into_iter().enumerate() {
            assert_eq!(settled.observe(value), shown, "reading {index}");
        }
    }
}
