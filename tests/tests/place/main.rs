//! Where the host stands, end to end: the real agent in a namespace whose only neighbour plays the metadata service.

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod scene;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, guarded};
use observer_tests::{
    Testbed,
    agent::executable,
    metadata::{ADDRESS, Cloud, Metadata},
};
use scene::{
    AZURE, Firmware, GCP, NITRO, OCI, Place, QEMU, TIMEOUT, agent, bed, brief, recorded,
    sent_during, talk, wait_for,
};
use serde_json::Value;

#[test]
fn each_cloud_is_found_by_its_own_service() {
    guarded("each_cloud_is_found_by_its_own_service", || {
        let rows: [(Cloud, &[(&str, &str)], Place, &[&str]); 4] = [
            (
                Cloud::Aws,
                NITRO,
                [
                    "aws",
                    "123456789012",
                    "us-east-1",
                    "use1-az1",
                    "i-1234567890abcdef0",
                ],
                &[
                    "PUT /latest/api/token",
                    "GET /latest/dynamic/instance-identity/document",
                    "GET /latest/meta-data/placement/availability-zone-id",
                ],
            ),
            (
                Cloud::Azure,
                AZURE,
                [
                    "azure",
                    "8d10da13-8125-4ba9-a717-bf7490507b3d",
                    "westeurope",
                    "2",
                    "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
                ],
                &["GET /metadata/instance/compute"],
            ),
            (
                Cloud::Gcp,
                GCP,
                [
                    "gcp",
                    "my-project-7",
                    "europe-west4",
                    "europe-west4-a",
                    "7421089327104983",
                ],
                &[
                    "GET /computeMetadata/v1/instance/zone",
                    "GET /computeMetadata/v1/project/project-id",
                    "GET /computeMetadata/v1/instance/id",
                ],
            ),
            (
                Cloud::Oci,
                OCI,
                [
                    "oci",
                    "ocid1.tenancy.oc1..aaaaaaaaexample",
                    "eu-frankfurt-1",
                    "pPrU:EU-FRANKFURT-1-AD-2",
                    "ocid1.instance.oc1.eu-frankfurt-1.bbbbbbbbexample",
                ],
                &[
                    "GET /opc/v2/instance/canonicalRegionName",
                    "GET /opc/v2/instance/availabilityDomain",
                    "GET /opc/v2/instance/tenantId",
                    "GET /opc/v2/instance/id",
                ],
            ),
        ];
        for (cloud, strings, place, questions) in rows {
            found_by(cloud, strings, place, questions).with_context(|| format!("{cloud:?}"))?;
        }
        Ok(())
    });
}

fn found_by(
    cloud: Cloud,
    strings: &[(&str, &str)],
    place: Place,
    questions: &[&str],
) -> Result<()> {
    let hosts = Testbed::new("place")?;
    let net = bed(&hosts)?;
    let service = Metadata::start(&net.far, cloud)?;
    let firmware = Firmware::of(strings)?;
    let agent = agent(&net, &firmware, &[])?;
    wait_for(&agent, place)?;
    talk(&net, PORT)?;
    // A few ticks more: nothing is asked a second time.
    std::thread::sleep(Duration::from_secs(1));
    let (records, said) = agent.stop()?;
    recorded(&records, PORT, place)?;
    let asked = service.asked();
    let lines: Vec<&str> = asked.iter().map(|one| one.line.as_str()).collect();
    ensure!(
        lines == questions && asked.iter().all(|one| one.status == 200),
        "asked was {asked:?}"
    );
    ensure!(
        said.matches("source place: ").count() == 1,
        "it said: {said}"
    );
    Ok(())
}

/// The stand-ins are worth something only where they refuse what the real ones refuse.
#[test]
fn the_services_refuse_who_does_not_know_how_to_ask() {
    guarded("the_services_refuse_who_does_not_know_how_to_ask", || {
        for (cloud, request, status) in [
            (
                Cloud::Aws,
                "GET /latest/dynamic/instance-identity/document HTTP/1.1\r\n",
                "401",
            ),
            (
                Cloud::Aws,
                "GET /latest/meta-data/ HTTP/1.1\r\nX-aws-ec2-metadata-token: made-up\r\n",
                "401",
            ),
            (Cloud::Aws, "PUT /latest/api/token HTTP/1.1\r\n", "400"),
            (
                Cloud::AwsOff,
                "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n",
                "403",
            ),
            (
                Cloud::Azure,
                "GET /metadata/instance/compute?api-version=2020-09-01 HTTP/1.1\r\n",
                "400",
            ),
            (
                Cloud::Azure,
                "GET /metadata/instance/compute HTTP/1.1\r\nMetadata: true\r\n",
                "400",
            ),
            (
                Cloud::Gcp,
                "GET /computeMetadata/v1/instance/zone HTTP/1.1\r\n",
                "403",
            ),
            (
                Cloud::Gcp,
                "GET /computeMetadata/v1/instance/zone HTTP/1.1\r\nMetadata-Flavor: Google\r\nX-Forwarded-For: 10.0.0.2\r\n",
                "403",
            ),
            (Cloud::Oci, "GET /opc/v2/instance/id HTTP/1.1\r\n", "403"),
        ] {
            let hosts = Testbed::new("refuse")?;
            let net = bed(&hosts)?;
            let _service = Metadata::start(&net.far, cloud)?;
            let answer = net.near.run(|| ask(request))?;
            ensure!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{cloud:?} to `{request}`: {answer}"
            );
        }
        Ok(())
    });
}

fn ask(head: &str) -> Result<String> {
    let address = SocketAddr::from((ADDRESS, 80));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "{head}Host: {ADDRESS}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn without_a_cloud_or_permission_not_one_packet_is_sent() {
    guarded(
        "without_a_cloud_or_permission_not_one_packet_is_sent",
        || {
            let hosts = Testbed::new("quiet")?;
            let net = bed(&hosts)?;
            let service = Metadata::start(&net.far, Cloud::Aws)?;
            let said_all = ["account=1", "region=r", "zone=z", "instance=i"];
            let said_all = said_all.map(|said| ["--source", said]).concat();
            let rows: [(&[(&str, &str)], &[&str], Place); 4] = [
                (QEMU, &[], ["", "", "", "", ""]),
                (&[], &[], ["", "", "", "", ""]),
                (NITRO, &["--metadata", "off"], ["aws", "", "", "", ""]),
                (NITRO, &said_all, ["aws", "1", "r", "z", "i"]),
            ];
            for (strings, arguments, place) in rows {
                let (sent, _) = sent_during(&net, || brief(&net, strings, arguments, place))?;
                ensure!(sent == 0, "{strings:?} {arguments:?}: {sent} packets");
            }
            ensure!(
                service.asked().is_empty(),
                "asked was {:?}",
                service.asked()
            );
            // The same eyes do see the packets of an agent that asks.
            let whole = [
                "aws",
                "123456789012",
                "us-east-1",
                "z",
                "i-1234567890abcdef0",
            ];
            let (sent, _) =
                sent_during(&net, || brief(&net, NITRO, &["--source", "zone=z"], whole))?;
            ensure!(sent > 0, "asking was not seen");
            // What the operator said was not asked for.
            let asked = service.asked();
            ensure!(
                asked.len() == 2 && !asked.iter().any(|one| one.line.contains("zone")),
                "asked was {asked:?}"
            );
            Ok(())
        },
    );
}

#[test]
fn doctor_asks_only_when_told_to() {
    guarded("doctor_asks_only_when_told_to", || {
        let hosts = Testbed::new("ask")?;
        let net = bed(&hosts)?;
        let _service = Metadata::start(&net.far, Cloud::Gcp)?;
        let firmware = Firmware::of(GCP)?;
        let doctor = |arguments: &[&str]| -> Result<String> {
            let mut command = Command::new(executable().context("the agent is not built")?);
            command
                .args(["doctor", "--output", "json", "--dmi", firmware.path()?])
                .args(arguments);
            let report: Value = serde_json::from_str(&net.near.tool(command, None)?)?;
            let rows = report["source"].as_array().context("no `source`")?;
            let text = rows.iter().map(|row| {
                let word = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
                format!("{}={} {}", word("field"), word("value"), word("basis"))
            });
            Ok(text.collect::<Vec<_>>().join(", "))
        };
        let (sent, found) = sent_during(&net, || doctor(&[]))?;
        ensure!(
            sent == 0 && found == "cloud=gcp dmi, account=- -, region=- -, zone=- -, instance=- -",
            "{sent} packets, {found}"
        );
        let (sent, found) = sent_during(&net, || doctor(&["--ask-metadata"]))?;
        let expected = "cloud=gcp dmi, account=my-project-7 metadata, region=europe-west4 metadata, \
                        zone=europe-west4-a metadata, instance=7421089327104983 metadata";
        ensure!(sent > 0 && found == expected, "{sent} packets, {found}");
        Ok(())
    });
}

/// A variable for proxies is no reason to ask another address.
#[test]
fn a_proxy_in_the_environment_is_not_used() {
    guarded("a_proxy_in_the_environment_is_not_used", || {
        let hosts = Testbed::new("proxy")?;
        let net = bed(&hosts)?;
        let service = Metadata::start(&net.far, Cloud::Oci)?;
        let firmware = Firmware::of(OCI)?;
        let executable = executable().context("the agent is not built")?;
        let mut command = Command::new(&executable);
        command
            .args(["doctor", "--ask-metadata", "--dmi", firmware.path()?])
            .env("http_proxy", "http://52.94.0.10:3128")
            .env("HTTP_PROXY", "http://52.94.0.10:3128")
            .env("ALL_PROXY", "http://52.94.0.10:3128");
        let text = net.near.tool(command, None)?;
        ensure!(text.contains("eu-frankfurt-1  by metadata"), "{text}");
        ensure!(
            service.asked().len() == 4,
            "asked was {:?}",
            service.asked()
        );
        Ok(())
    });
}
