//! Whose bytes a flow carries: what the socket's cgroup and the owning process say, already looked up. Knows no cgroup
//! path and no process.

use super::identity::Word;

/// Who a flow belongs to, as far as it is known. `None` is "not known".
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Path of the owner's executable, as its own mount namespace has it.
    pub executable: Option<Word>,
    /// Container of the socket's cgroup, 64 hexadecimal digits.
    pub container_id: Option<Word>,
    /// systemd unit of the socket's cgroup.
    pub systemd_unit: Option<Word>,
    /// Kubernetes namespace.
    pub namespace: Option<Word>,
    /// Kubernetes kind of the owning object, else `container`, `unit`, `executable` or `comm`.
    pub kind: Option<Word>,
    /// Name of the owning object, else container, else unit, else executable.
    pub name: Option<Word>,
    /// Kubernetes pod.
    pub pod: Option<Word>,
}
