//! Sums over records and kernel totals: what each destination got, what belongs to no record, and whether all of it
//! adds up to what the device counted. Knows no single flow.
//!
//! Sums of bytes are `i128`: a sum of `u64` counters cannot overflow it, so no account saturates or wraps.

mod account;
mod balance;
mod credit;
mod report;
mod series;
mod settled;
mod snapshot;
mod sums;

pub use account::{Account, Derived};
pub use balance::{Balance, BalanceState, InterfaceCounters, LinkRule, UplinkReading};
pub use credit::{Credit, CreditState, DestinationKey, Unrecorded};
pub use report::{BalanceReport, render};
pub use series::{
    BUCKETS_US, CLOUDS_MAX, HISTOGRAM_SERIES, Histogram, IDLE_EXPIRY, IDLE_EXPIRY_LEAST,
    LABEL_BYTES_MAX, LabelChoice, MetricSeries, OWN_SERIES_MAX, Recorded, SCRATCH_MAX, SERIES_MAX,
    SERIES_MAX_LEAST, Series, SeriesSettings, SeriesSnapshot, SeriesValue, SettingsError,
};
pub use snapshot::{InterfaceTotal, Readings, RemainderTotal, Snapshot, Totals};
