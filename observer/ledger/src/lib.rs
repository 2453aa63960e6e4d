//! Flow records, read again: what they cost by a month's real tiers, in the forms that people and other tools read. Reads
//! no clock and opens no file: readers, books and times are arguments.
#![forbid(unsafe_code)]

pub mod bill;
pub mod change;
pub mod flow;
pub mod group;
pub mod lines;
pub mod priced;
pub mod reconcile;
pub mod report;
pub mod savings;
mod table;
pub mod tally;
