//! Every byte of every kind of traffic is in a flow or in a named remainder, to the byte: the agent's accounts against
//! the interface's counters and against a capture on the far side.

mod common;

use common::{Case, Shape, check};
use observer_tests::{
    Wire,
    capture::View,
    offload::Offload,
    traffic::{Abort, ExtraHeader, IcmpEcho, Plan, Refused, Side, TcpAbort, TcpTalk, UdpTalk},
};

/// Sizes for emulated guests: `EXACTNESS_SCALE=small`. Every kind of traffic stays, only less of it.
fn is_small() -> bool {
    std::env::var("EXACTNESS_SCALE").is_ok_and(|scale| scale == "small")
}

fn bulk(request_bytes: u64, response_bytes: u64) -> TcpTalk {
    let divisor = if is_small() { 20 } else { 1 };
    TcpTalk::bulk(request_bytes / divisor, response_bytes / divisor)
}

fn count(full: u32) -> u32 {
    full / if is_small() { 10 } else { 1 }
}

fn near_opens(name: &'static str, plan: Plan) -> Case {
    Case::new(name, plan)
}

fn far_opens(name: &'static str, plan: Plan) -> Case {
    Case {
        far_opens: true,
        ..Case::new(name, plan)
    }
}

#[test]
fn tcp_bulk() {
    check(&near_opens("tcp_bulk", bulk(20_000_000, 10_000_000).plan()));
}

#[test]
fn tcp_bulk_ipv6() {
    check(&Case {
        ip_version: 6,
        ..near_opens("tcp_bulk_ipv6", bulk(5_000_000, 5_000_000).plan())
    });
}

#[test]
fn tcp_bulk_mapped() {
    let talk = TcpTalk {
        mapped: true,
        ..bulk(2_000_000, 2_000_000)
    };
    check(&near_opens("tcp_bulk_mapped", talk.plan()));
}

#[test]
fn tcp_messages() {
    check(&near_opens(
        "tcp_messages",
        TcpTalk::messages(count(5_000), 100).plan(),
    ));
}

#[test]
fn short_connections_closed_here() {
    check(&near_opens(
        "short_connections_closed_here",
        TcpTalk::short(count(2_000), Side::Client).plan(),
    ));
}

#[test]
fn short_connections_closed_there() {
    check(&near_opens(
        "short_connections_closed_there",
        TcpTalk::short(count(2_000), Side::Server).plan(),
    ));
}

#[test]
fn as_server_closed_there() {
    check(&far_opens(
        "as_server_closed_there",
        TcpTalk::short(count(500), Side::Client).plan(),
    ));
}

#[test]
fn as_server_closed_here() {
    check(&far_opens(
        "as_server_closed_here",
        TcpTalk::short(count(500), Side::Server).plan(),
    ));
}

#[test]
fn as_server_ipv6() {
    check(&Case {
        ip_version: 6,
        ..far_opens(
            "as_server_ipv6",
            TcpTalk::short(count(300), Side::Server).plan(),
        )
    });
}

#[test]
fn closed_with_unread_data() {
    let abort = TcpAbort {
        connections: count(50),
        bytes: 20_000,
        how: Abort::UnreadData,
        by: Side::Client,
    };
    check(&near_opens("closed_with_unread_data", abort.plan()));
}

#[test]
fn reset_by_the_other_end() {
    let abort = TcpAbort {
        connections: count(50),
        bytes: 20_000,
        how: Abort::LingerZero,
        by: Side::Server,
    };
    check(&near_opens("reset_by_the_other_end", abort.plan()));
}

#[test]
fn refused_there() {
    check(&near_opens("refused_there", Refused::tcp(20).plan()));
}

#[test]
fn refused_here() {
    check(&far_opens("refused_here", Refused::tcp(20).plan()));
}

#[test]
fn refused_here_ipv6() {
    check(&Case {
        ip_version: 6,
        ..far_opens("refused_here_ipv6", Refused::tcp(20).plan())
    });
}

#[test]
fn udp_refused_here() {
    let case = far_opens("udp_refused_here", Refused::udp(10, 100).plan());
    check(&Case {
        closed_udp_port: true,
        ..case
    });
}

#[test]
fn ipv6_extension_headers() {
    let talk = TcpTalk {
        header: ExtraHeader::Ipv6DestinationOptions,
        ..bulk(2_000_000, 1_000_000)
    };
    check(&Case {
        ip_version: 6,
        ..near_opens("ipv6_extension_headers", talk.plan())
    });
}

#[test]
fn ipv4_options() {
    let talk = TcpTalk {
        header: ExtraHeader::Ipv4Nops,
        ..bulk(2_000_000, 1_000_000)
    };
    check(&near_opens("ipv4_options", talk.plan()));
}

#[test]
fn small_and_large_mtu() {
    for (name, mtu_bytes) in [("mtu_1280", 1280), ("mtu_9000", 9000)] {
        let wire = Wire {
            mtu_bytes,
            ..Wire::default()
        };
        check(&Case {
            wire,
            ..near_opens(name, bulk(3_000_000, 3_000_000).plan())
        });
    }
}

#[test]
fn offloads_off() {
    let wire = Wire {
        near_offload: Offload::OFF,
        ..Wire::default()
    };
    check(&Case {
        wire,
        ..near_opens("offloads_off", bulk(3_000_000, 3_000_000).plan())
    });
}

#[test]
fn bundles_received() {
    let wire = Wire {
        far_offload: Offload::DEFAULT,
        ..Wire::default()
    };
    let case = near_opens("bundles_received", bulk(3_000_000, 10_000_000).plan());
    check(&Case {
        wire,
        view: View::Bundles,
        ..case
    });
}

#[test]
fn virtio_receive() {
    let case = near_opens("virtio_receive", bulk(3_000_000, 3_000_000).plan());
    let wire = Wire {
        far_offload: Offload::DEFAULT,
        ..Wire::default()
    };
    check(&Case {
        shape: Shape::Tunnelled,
        wire,
        ..case
    });
}

#[test]
fn udp_datagrams() {
    let talk = UdpTalk {
        replies: true,
        ..UdpTalk::datagrams(count(2_000), 500)
    };
    check(&near_opens("udp_datagrams", talk.plan()));
    check(&Case {
        ip_version: 6,
        ..near_opens("udp_datagrams_ipv6", talk.plan())
    });
    check(&far_opens("udp_as_server", talk.plan()));
}

#[test]
fn udp_segments() {
    check(&near_opens(
        "udp_segments",
        UdpTalk::segmented(count(500), 12_000, 1_200).plan(),
    ));
}

#[test]
fn udp_segments_cut_before_the_device() {
    let wire = Wire {
        near_offload: Offload::NO_DATAGRAMS,
        ..Wire::default()
    };
    let plan = UdpTalk::segmented(count(500), 12_000, 1_200).plan();
    check(&Case {
        wire: wire.clone(),
        ..near_opens("udp_segments_cut_before_the_device", plan)
    });
    // The agent's table of remotes counts them too.
    let fan_out = UdpTalk {
        segment_bytes: Some(1_200),
        ..UdpTalk::fan_out(50, 12_000)
    };
    check(&Case {
        wire: wire.clone(),
        ..near_opens("udp_segments_to_many_remotes", fan_out.plan())
    });
}

#[test]
fn udp_fragments() {
    check(&near_opens(
        "udp_fragments",
        UdpTalk::datagrams(count(100), 8_000).plan(),
    ));
    check(&Case {
        ip_version: 6,
        ..near_opens(
            "udp_fragments_ipv6",
            UdpTalk::datagrams(count(100), 8_000).plan(),
        )
    });
    check(&far_opens(
        "udp_fragments_received",
        UdpTalk::datagrams(count(100), 8_000).plan(),
    ));
}

#[test]
fn one_socket_to_500_remotes() {
    check(&near_opens(
        "one_socket_to_500_remotes",
        UdpTalk::fan_out(500, 200).plan(),
    ));
}

#[test]
fn two_threads_on_one_socket() {
    check(&near_opens(
        "two_threads_on_one_socket",
        UdpTalk::two_threads(count(100_000), 32).plan(),
    ));
}

#[test]
fn icmp_both_ways() {
    check(&near_opens(
        "icmp_sent",
        IcmpEcho {
            count: 5,
            payload_bytes: 56,
        }
        .plan(),
    ));
    check(&far_opens(
        "icmp_received",
        IcmpEcho {
            count: 5,
            payload_bytes: 56,
        }
        .plan(),
    ));
}

#[test]
fn a_rival_wipes_our_flags() {
    for side in [Side::Client, Side::Server] {
        check(&Case {
            arguments: &["--rivals"],
            ..near_opens("a_rival_wipes_our_flags", TcpTalk::short(300, side).plan())
        });
    }
}
