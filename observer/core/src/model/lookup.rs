//! What the pipeline asks of its surroundings while it writes a record. The edges and the identify stage answer; the
//! stages see this trait alone.

use std::sync::Arc;

use super::{
    flow::{Answer, FlowTotals, Translation},
    identity::Identity,
    kernel::UplinkIndex,
    workload::Workload,
};

/// Requests of one kind that ran beside others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Some of them began, or were answered, since they were last told of.
    pub is_due: bool,
    /// Payload bytes sent that are theirs, and that none of the flow's records has had as theirs.
    pub sent_bytes: u64,
    /// They lie before this place in what the flow has sent.
    pub sent_until: u64,
}

/// Answers must not block: they are asked for once a record.
pub trait Lookup {
    /// Where a flow goes, as far as is known now. Flows that go to the same place should be given the same value: sums are
    /// kept by its address.
    fn identity(&self, flow: &FlowTotals) -> Arc<Identity>;

    /// Where requests of another kind begin, if some of their bytes are in this reading: payload bytes of the flow before
    /// them, sent and received.
    fn next_kind(&self, flow: &FlowTotals) -> Option<[u64; 2]>;

    /// The flow's bytes are of the next kind from now on, and its identity is another.
    fn begin_next_kind(&self, flow: &FlowTotals);

    /// Goes on to the next kind of requests that ran beside others on the flow and are not told of: until the next call the flow's
    /// identity and requests are theirs. `None` where there are no more, and both are the flow's again.
    fn begin_beside(&self, flow: &FlowTotals) -> Option<Beside>;

    /// So many of [`Beside::sent_bytes`] are not in this reading: they are told with a later one.
    fn keep_beside(&self, flow: &FlowTotals, sent_bytes: u64);

    /// Requests that began since the last call, of the kind that is under way; `None` where none was seen.
    fn requests(&self, flow: &FlowTotals) -> Option<u64>;

    /// What was answered to requests of the kind that is under way, each one's answer that is over, since the last call; `None` where
    /// answers are not told by request.
    fn answers(&self, flow: &FlowTotals) -> Option<Vec<Answer>>;

    /// The remote ends of a flow that this host translates; `None` where it does not.
    fn translation(&self, flow: &FlowTotals) -> Option<Translation>;

    /// What is known of a tag set alone: the kernel's totals have no address.
    fn destination(&self, tag: u32) -> Arc<Identity>;

    /// Whose bytes a flow carries.
    fn workload(&self, flow: &FlowTotals) -> Arc<Workload>;

    /// Name of an interface; `None` where it is not one that the agent watches. Kernels before 6.15 know the namespace's
    /// cookie of new sockets only, and its inode number of those that the iterator has visited.
    fn device(
        &self,
        netns_cookie: Option<u64>,
        netns_inode: Option<u32>,
        ifindex: u32,
    ) -> Option<Arc<str>>;

    /// Which uplink an interface is, if it is one.
    fn uplink(
        &self,
        netns_cookie: Option<u64>,
        netns_inode: Option<u32>,
        ifindex: u32,
    ) -> Option<UplinkIndex>;
}
