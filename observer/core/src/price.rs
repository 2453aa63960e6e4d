//! From where a flow goes to what it costs: dated rates in a book, chosen by a stated order, summed exactly. Knows no file and
//! no clock; what the book has no rate for stays without a price, with the reason.

pub mod book;
pub mod commitment;
pub mod diff;
pub mod import;
pub mod month;
pub mod place;
pub mod plan;
pub mod quote;
pub mod rate;
pub mod spec;
pub mod statement;
pub mod tier;
