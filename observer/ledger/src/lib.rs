//! Flow records, read again: what they cost by a month's real tiers, in the forms that people and other tools read. Reads
//! no clock and opens no file: readers, books and times are arguments.
#![forbid(unsafe_code)]

pub mod bill;
pub mod change;
pub mod conduct;
pub mod flow;
pub mod group;
pub mod hops;
pub mod judged;
pub mod lines;
mod page;
pub mod priced;
pub mod reconcile;
pub mod replay;
pub mod report;
pub mod savings;
mod table;
pub mod tally;
