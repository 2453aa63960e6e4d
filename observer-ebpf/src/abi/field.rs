//! Fields of the kernel's own structs that programs read, each by an offset that the loader takes from BTF: rustc emits no
//! CO-RE relocations.

macro_rules! fields {
    ($($(#[$meta:meta])* $name:ident = $structure:literal . $member:literal,)+) => {
        /// A field; index into the table of offsets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($(#[$meta])* $name,)+ }

        /// Struct and member of each, in the order of [`Field`].
        pub const FIELDS: &[(&str, &str)] = &[$(($structure, $member),)+];
    };
}

fields! {
    TaskFlags = "task_struct"."flags",
    TaskTgid = "task_struct"."tgid",
    TaskComm = "task_struct"."comm",
    TaskCred = "task_struct"."cred",
    TaskLeader = "task_struct"."group_leader",
    /// CLOCK_MONOTONIC ns.
    TaskStart = "task_struct"."start_time",
    /// 64 bits since 5.7.
    TaskExecs = "task_struct"."self_exec_id",
    TaskMm = "task_struct"."mm",
    CredUid = "cred"."uid",
    MmFile = "mm_struct"."exe_file",
    FilePath = "file"."f_path",
    PathMount = "path"."mnt",
    PathEntry = "path"."dentry",
    EntryName = "dentry"."d_name",
    EntryParent = "dentry"."d_parent",
    NameText = "qstr"."name",
    MountRoot = "vfsmount"."mnt_root",
    /// What a `vfsmount` lies in.
    MountSelf = "mount"."mnt",
    MountParent = "mount"."mnt_parent",
    MountPoint = "mount"."mnt_mountpoint",
    SocketSk = "socket"."sk",
    CgroupNode = "cgroup"."kn",
    CgroupRoot = "cgroup"."root",
    NodeId = "kernfs_node"."id",
    RootHierarchy = "cgroup_root"."hierarchy_id",
    /// 16 bits since 5.6.
    SockProtocol = "sock"."sk_protocol",
    TcpWriteSeq = "tcp_sock"."write_seq",
    TcpReceived = "tcp_sock"."bytes_received",
}

/// Number of fields.
pub const FIELDS_COUNT: usize = FIELDS.len();
