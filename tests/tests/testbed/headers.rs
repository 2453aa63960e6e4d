//! Headers that are easily forgotten: options, extension headers, fragments, UDP segments.

use anyhow::Result;
use observer_tests::{
    Class, Direction, Packet, Testbed, Wire, privileged, topology,
    traffic::{ExtraHeader, TcpTalk, UdpTalk},
};

use crate::measured;

#[test]
fn options_and_extension_headers_are_in_every_segment() -> Result<()> {
    if !privileged("options_and_extension_headers_are_in_every_segment") {
        return Ok(());
    }
    let bed = Testbed::new("options")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    let is_tcp_out = |packet: &Packet| packet.direction == Direction::Out && packet.is_tcp();
    for (version, fixed_header, header) in [
        (4, 20, ExtraHeader::Ipv4Nops),
        (4, 20, ExtraHeader::Ipv4RecordRoute),
        (6, 40, ExtraHeader::Ipv6DestinationOptions),
    ] {
        let ip_header = fixed_header + header.bytes();
        let talk = TcpTalk {
            header,
            ..TcpTalk::bulk(300_000, 1000)
        };
        let (_, near, _) = measured(&net, talk.plan(), net.far_address(version, 7101))?;
        let mut out = near
            .record
            .packets
            .iter()
            .filter(|packet| is_tcp_out(packet));
        assert!(
            out.all(|packet| u64::from(packet.network_header_bytes) == ip_header),
            "{header:?}"
        );
        assert_eq!(
            near.record.payload_bytes_once(Direction::Out),
            300_000,
            "{header:?}"
        );

        let talk = UdpTalk {
            header,
            replies: true,
            ..UdpTalk::datagrams(10, 900)
        };
        let (_, near, _) = measured(&net, talk.plan(), net.far_address(version, 7102))?;
        let sent = near
            .record
            .sum(|packet| packet.direction == Direction::Out && packet.is_udp());
        assert_eq!(sent.device_bytes, 10 * (900 + 8 + ip_header), "{header:?}");
    }
    Ok(())
}

#[test]
fn fragments_repeat_ip_headers_and_nothing_else() -> Result<()> {
    if !privileged("fragments_repeat_ip_headers_and_nothing_else") {
        return Ok(());
    }
    let bed = Testbed::new("fragments")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    // 8000 bytes are six packets: 5 further headers of 20; in IPv6 6 fragment headers of 8 and 5 headers of 40.
    for (version, extra, ip_header) in [(4, 5 * 20, 20), (6, 6 * 8 + 5 * 40, 40)] {
        let talk = UdpTalk {
            replies: true,
            ..UdpTalk::datagrams(7, 8000)
        };
        let (outcome, near, wire) = measured(&net, talk.plan(), net.far_address(version, 7103))?;
        assert_eq!(outcome.client.payload_bytes_received, 56_000);
        for direction in [Direction::Out, Direction::In] {
            let udp = near
                .record
                .sum(|packet| packet.direction == direction && packet.protocol == 17);
            let expected = 7 * (8000 + 8 + ip_header + extra);
            assert_eq!(
                (udp.packets, udp.device_bytes),
                (42, expected),
                "ipv{version}"
            );
            assert_eq!(
                near.record.fragment_header_bytes(direction),
                7 * extra,
                "ipv{version}"
            );
            assert_eq!(
                wire.record.fragment_header_bytes(direction),
                7 * extra,
                "ipv{version}"
            );
        }
        assert_eq!(
            near.record.breakdown()[&Class::LaterFragment].packets,
            2 * 35
        );
    }
    Ok(())
}

#[test]
fn a_segmented_send_is_one_bundle_with_28_or_48_bytes_a_segment() -> Result<()> {
    if !privileged("a_segmented_send_is_one_bundle_with_28_or_48_bytes_a_segment") {
        return Ok(());
    }
    let bed = Testbed::new("uso")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    for (version, headers) in [(4, 28), (6, 48)] {
        let talk = UdpTalk::segmented(30, 10_000, 1100);
        let (outcome, near, wire) = measured(&net, talk.plan(), net.far_address(version, 7104))?;
        assert_eq!(outcome.client.messages_sent, 300);
        assert_eq!(outcome.server.messages_received, 300);
        let bundles = near.record.sum(Packet::is_udp);
        assert_eq!(
            (bundles.packets, bundles.device_bytes),
            (30, 30 * (10_000 + headers))
        );
        let segments = wire.record.sum(Packet::is_udp);
        assert_eq!(
            (segments.packets, segments.device_bytes),
            (300, 300_000 + 300 * headers)
        );
    }
    Ok(())
}
