//! Sums over flows and kernel totals: what each destination got, what belongs to no record, and whether all of it
//! adds up to what the device counted. Knows no single flow and no metric name.
//!
//! Sums of bytes are `i128`: a sum of `u64` counters cannot overflow it, so nothing here saturates or wraps.

mod account;
mod balance;
mod credit;
mod report;
mod settled;
mod snapshot;
mod sums;

pub use account::{Account, Derived};
pub use balance::{Balance, BalanceState, InterfaceCounters, LinkRule, UplinkReading};
pub use credit::{Credit, CreditState, DestinationKey, Unrecorded};
pub use report::{BalanceReport, render};
pub use snapshot::{
    DestinationLabels, DestinationTotals, FlowsEnded, InterfaceTotal, Readings, RemainderTotal,
    Snapshot, Totals,
};
