//! What a cgroup's path says: the container or the systemd unit it is of. Every runtime names its cgroups in its own way,
//! with either driver; the path is all that is looked at. Reads no hierarchy.
//!
//! Names: systemd's, systemd.unit(5) and `cg_escape` (src/basic/cgroup-util.c); containers', the `cgroupsPath` that runc
//! and crun get from docker (`docker-ID.scope`, `/docker/ID`), containerd (`cri-containerd-ID.scope`,
//! `SLICE:cri-containerd:ID`), nerdctl, CRI-O (`crio-ID.scope`) and podman (`libpod-ID.scope`).

/// What a path told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupPlace<'a> {
    /// 64 hexadecimal digits, of the innermost container.
    pub container_id: Option<&'a str>,
    /// The innermost systemd unit that is no container's own scope.
    pub systemd_unit: Option<&'a str>,
}

/// Prefixes of the scopes that runtimes make for containers.
const CONTAINER_SCOPES: &[&str] = &[
    "docker-",
    "cri-containerd-",
    "nerdctl-",
    "crio-",
    "libpod-",
    "podman-",
];
/// Ends of unit names that hold processes (systemd.unit(5)).
const UNITS: &[&str] = &[".service", ".scope", ".socket", ".mount", ".swap"];
const ID_DIGITS: usize = 64;

impl<'a> CgroupPlace<'a> {
    /// What `path`, from the root of the hierarchy, says.
    #[must_use]
    pub fn of(path: &'a str) -> Self {
        let mut place = Self::default();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if let Some(id) = container(name) {
                place.container_id = Some(id);
            } else if let Some(unit) = unit(name) {
                place.systemd_unit = Some(unit);
            }
        }
        place
    }
}

/// The container that a directory is made for, if it is one.
fn container(name: &str) -> Option<&str> {
    if is_id(name) {
        return Some(name);
    }
    if let Some(scope) = name.strip_suffix(".scope") {
        let id = CONTAINER_SCOPES
            .iter()
            .find_map(|prefix| scope.strip_prefix(prefix))?;
        return is_id(id).then_some(id);
    }
    // podman with cgroupfs; containerd told to use systemd by a runtime that does not.
    let id = name
        .strip_prefix("libpod-")
        .or_else(|| name.rsplit_once(':').map(|(_, id)| id))?;
    is_id(id).then_some(id)
}

fn is_id(name: &str) -> bool {
    name.len() == ID_DIGITS
        && name
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// The unit that a directory is of, if it is one. systemd puts `_` before names that the kernel could take for files of
/// its own.
fn unit(name: &str) -> Option<&str> {
    let name = name.strip_prefix('_').unwrap_or(name);
    UNITS
        .iter()
        .any(|end| name.len() > end.len() && name.ends_with(end))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// Path with `ID` and `POD` to be put in, whether a container is found, unit that is found.
    const PATHS: &[(&str, bool, Option<&str>)] = &[
        ("/", false, None),
        ("", false, None),
        ("/init.scope", false, Some("init.scope")),
        ("/system.slice/nginx.service", false, Some("nginx.service")),
        (
            "/system.slice/system-getty.slice/getty@tty1.service",
            false,
            Some("getty@tty1.service"),
        ),
        ("/system.slice", false, None),
        ("/system.slice/.service", false, None),
        (
            "/user.slice/user-1000.slice/session-3.scope",
            false,
            Some("session-3.scope"),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.service",
            false,
            Some("app-x.service"),
        ),
        ("/system.slice/_cpu.service", false, Some("cpu.service")),
        ("/system.slice/run-x.mount", false, Some("run-x.mount")),
        // docker
        ("/docker/ID", true, None),
        ("/system.slice/docker-ID.scope", true, None),
        ("/docker/buildkit/ID", true, None),
        // Kubernetes, cgroupfs and systemd
        (
            "/kubepods/besteffort/pod3f5c1f0e-8a1b-4f6e-9d55-7a4b2f2a7a11/ID",
            true,
            None,
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/POD/cri-containerd-ID.scope",
            true,
            None,
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/POD/crio-ID.scope",
            true,
            None,
        ),
        ("/kubepods.slice/POD/docker-ID.scope", true, None),
        (
            "/system.slice/containerd.service/POD:cri-containerd:ID",
            true,
            Some("containerd.service"),
        ),
        (
            "/kubelet.slice/kubelet-kubepods.slice/POD/cri-containerd-ID.scope",
            true,
            None,
        ),
        // podman, root and not, both drivers
        ("/machine.slice/libpod-ID.scope", true, None),
        ("/machine.slice/libpod-ID.scope/container", true, None),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            true,
            Some("user@1000.service"),
        ),
        ("/libpod_parent/libpod-ID", true, None),
        // what stands beside a container is none
        (
            "/machine.slice/libpod-conmon-ID.scope",
            false,
            Some("libpod-conmon-ID.scope"),
        ),
        (
            "/kubepods.slice/POD/crio-conmon-ID.scope",
            false,
            Some("crio-conmon-ID.scope"),
        ),
        // one in another: the innermost; a unit inside a container is its own
        ("/docker/OTHER/docker/ID", true, None),
        (
            "/docker/ID/system.slice/nginx.service",
            true,
            Some("nginx.service"),
        ),
        (
            "/system.slice/docker-ID.scope/init.scope",
            true,
            Some("init.scope"),
        ),
        // nearly
        ("/docker/0ID", false, None),
        ("/docker/IDg", false, None),
        (
            "/system.slice/docker-abc.scope",
            false,
            Some("docker-abc.scope"),
        ),
    ];

    #[test]
    fn paths_of_every_runtime_and_driver() {
        let pod = "kubepods-burstable-pod3f5c1f0e_8a1b_4f6e_9d55_7a4b2f2a7a11.slice";
        let filled = |text: &str| {
            text.replace("OTHER", &"f".repeat(64))
                .replace("ID", ID)
                .replace("POD", pod)
        };
        for (path, is_container, unit) in PATHS {
            let (path, unit) = (filled(path), unit.map(filled));
            let expected = CgroupPlace {
                container_id: is_container.then_some(ID),
                systemd_unit: unit.as_deref(),
            };
            assert_eq!(CgroupPlace::of(&path), expected, "{path}");
        }
        let upper = format!("/docker/{}", ID.to_uppercase());
        assert_eq!(CgroupPlace::of(&upper), CgroupPlace::default());
    }
}
