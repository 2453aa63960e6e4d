//! The types that pass between the stages: values and their words, no behaviour of any one stage.

pub mod churn;
pub mod cost;
pub mod counters;
pub mod fact;
pub mod flow;
pub mod host_name;
pub mod identity;
pub mod kernel;
pub mod lookup;
pub mod money;
pub mod names;
pub mod nearest;
pub mod placed;
pub mod prefix;
pub mod record;
pub mod signal;
pub mod size;
pub mod time;
pub mod verdict;
pub mod workload;

#[cfg(test)]
pub mod sample;
