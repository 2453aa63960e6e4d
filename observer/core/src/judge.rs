//! Whether a flow was allowed: dated contracts, their rules as expressions over the record's fields, and a verdict that is a
//! function of flow, rules and grace used. Blocks nothing, and never calls a guess a violation.

pub mod case;
pub mod compile;
pub mod contract;
pub mod event;
pub mod explain;
pub mod expression;
pub mod grace;
pub mod live;
pub mod spec;
pub mod verdict;
