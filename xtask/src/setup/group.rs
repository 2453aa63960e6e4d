//! The groups of Debian packages, as a table. A newcomer's first command pulls `core` only.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Building, and the tests that run on this kernel
    Core,
    /// Whole chains: Prometheus, browsers, TLS clients, load
    E2e,
    /// Fuzzing the parsers of foreign bytes
    Fuzz,
    /// Guests with other kernels
    Matrix,
    /// Other traffic counters, to compare with
    Peers,
    /// Containers made by a runtime
    Containers,
    /// A Kubernetes API server and node
    K8s,
    /// The providers' own SDKs for Python, and other versions of OpenSSL and Go, to read requests of
    Sdks,
}

impl Group {
    fn packages(self) -> &'static [&'static str] {
        match self {
            // `ip` and `tc` build the test networks, `ethtool` turns their offloads on and off.
            Self::Core => &["iproute2", "ethtool", "iptables"],
            // libFuzzer is C++, compiled with the targets.
            Self::Fuzz => &["g++"],
            Self::Matrix => &[
                "qemu-system-x86",
                "busybox-static",
                "cpio",
                "kmod",
                "zstd",
                "xz-utils",
            ],
            // Prometheus itself is unpacked under `target/tools`.
            Self::E2e => &[
                "prometheus-node-exporter",
                "victoria-metrics",
                "chromium",
                "nginx-light",
                "gnutls-bin",
                "libnss3-tools",
                "curl",
                "wget",
                "openssl",
                "iperf3",
                "wrk",
                "nghttp2-client",
                "hey",
                "dnsmasq-base",
                "unbound",
                "python3",
                "golang-go",
                "nodejs",
                "default-jdk-headless",
            ],
            Self::Peers => &[
                "softflowd",
                "nfdump",
                "pmacct",
                "tcpdump",
                "tshark",
                "conntrack",
                "nethogs",
                "bpftrace",
            ],
            Self::Containers => &["runc"],
            Self::Sdks => &["python3-venv"],
            // Python holds the checker of manifests, under `target/tools`.
            Self::K8s => &[
                "python3-venv",
                "etcd-server",
                "containerd",
                "runc",
                "containernetworking-plugins",
                "golang-go",
            ],
        }
    }
}

/// The packages of `core` and of these groups, each once.
pub fn packages(groups: &[Group]) -> Vec<&'static str> {
    let mut packages = Group::Core.packages().to_vec();
    for group in groups {
        for package in group.packages() {
            if !packages.contains(package) {
                packages.push(package);
            }
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_is_always_there_and_nothing_twice() {
        assert_eq!(packages(&[]), Group::Core.packages());
        let all = packages(Group::value_variants());
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), all.len());
        assert!(all.starts_with(Group::Core.packages()));
    }
}
