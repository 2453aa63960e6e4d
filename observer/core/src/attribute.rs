//! From cumulative readings to what happened since the last one: the table of live flows, their ids, and what an
//! earlier output says of them. Knows no identity, no interface and no record format but the fields it reads back.

mod cgroup;
mod coalesce;
mod flow_id;
mod state;
mod table;
mod tail;
mod told;

pub use cgroup::CgroupPlace;
pub use coalesce::Batch;
pub use flow_id::flow_id;
pub use state::{Change, Interval};
pub use table::{Applied, FLOWS_MAX, FlowTable, TableCounts};
pub use tail::{RecordTail, TAILS_MAX, Tails};
