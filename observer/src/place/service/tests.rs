//! Each service on loopback, by a script: which questions it is asked, and what becomes of its answers.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

const ALL: &[Field] = &[Field::Account, Field::Region, Field::Zone, Field::Instance];
const DOCUMENT: &str = "GET /latest/dynamic/instance-identity/document";
const ZONE_ID: &str = "GET /latest/meta-data/placement/availability-zone-id";
const TOKEN: &str = "PUT /latest/api/token";
const COMPUTE: &str = "GET /metadata/instance/compute?api-version=2020-09-01&format=json";

/// By request: status, further heads, body. What is not in it is 404.
type Script = &'static [(&'static str, (&'static str, &'static str))];

/// Asks the scripted service; returns what was found, and every head of a request that came.
async fn asked(service: Service, wanted: &[Field], script: Script) -> (Vec<String>, Vec<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback works");
    let address = listener.local_addr().expect("loopback works");
    let heads = Arc::new(Mutex::new(Vec::new()));
    let script: BTreeMap<_, _> = script.iter().copied().collect();
    let kept = Arc::clone(&heads);
    let serve = async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("loopback works");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("loopback works"));
            }
            let head = String::from_utf8(head)
                .expect("heads are text")
                .to_ascii_lowercase();
            let line = head
                .split(" http/1.1")
                .next()
                .expect("split gives one")
                .to_owned();
            let found = script
                .iter()
                .find(|(asked, _)| asked.to_ascii_lowercase() == line);
            let (status, body) = found.map_or(("404 Not Found", ""), |(_, answer)| *answer);
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            kept.lock().expect("nobody panicked").push(head);
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("loopback works");
        }
    };
    let endpoints = Endpoints {
        ipv4: address,
        aws_ipv6: (AWS_V6, 80).into(),
        limits: Limits {
            request: Duration::from_secs(2),
            total: Duration::from_secs(5),
        },
    };
    let found = tokio::select! {
        found = ask(service, wanted, &endpoints) => found,
        () = serve => unreachable!("it serves without end"),
    };
    let told = found.into_iter().map(|(field, value)| match value {
        Ok(value) => format!("{}={value}", field.word()),
        Err(missing) => {
            format!("{}: {missing}", field.word()).replace(&address.to_string(), "host")
        }
    });
    let heads = std::mem::take(&mut *heads.lock().expect("nobody panicked"));
    (told.collect(), heads)
}

/// The first line of each request, and the line of the header that opens the service.
fn shape(heads: &[String], header: &str) -> Vec<String> {
    let of = |head: &String| {
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default().replace(" http/1.1", "");
        let opening = lines.find(|line| line.starts_with(header)).unwrap_or("-");
        format!("{first} | {opening}")
    };
    heads.iter().map(of).collect()
}

const AWS: Script = &[
    (TOKEN, ("200 OK", "AQAEANPbsT==\n")),
    (
        DOCUMENT,
        (
            "200 OK",
            r#"{"region":"us-east-1","accountId":"012345678901","instanceId":"i-1234567890abcdef0"}"#,
        ),
    ),
    (ZONE_ID, ("200 OK", "use1-az1")),
];

#[tokio::test]
async fn aws_wants_a_token_once_and_gives_a_zone_id() {
    let (found, heads) = asked(Service::Aws, ALL, AWS).await;
    assert_eq!(
        found,
        [
            "region=us-east-1",
            "account=012345678901",
            "instance=i-1234567890abcdef0",
            "zone=use1-az1"
        ]
    );
    assert_eq!(
        shape(&heads, "x-aws-ec2-metadata-token"),
        [
            "put /latest/api/token | x-aws-ec2-metadata-token-ttl-seconds: 60",
            "get /latest/dynamic/instance-identity/document | x-aws-ec2-metadata-token: aqaeanpbst==",
            "get /latest/meta-data/placement/availability-zone-id | x-aws-ec2-metadata-token: aqaeanpbst==",
        ]
    );
}

#[tokio::test]
async fn what_is_known_is_not_asked_for() {
    let (found, heads) = asked(Service::Aws, &[Field::Zone], AWS).await;
    assert_eq!(found, ["zone=use1-az1"]);
    assert!(
        !heads.iter().any(|head| head.contains("document")),
        "{heads:?}"
    );
    let (found, heads) = asked(Service::Oci, &[Field::Account], &[]).await;
    assert_eq!(found, ["account: the metadata service has none"]);
    assert_eq!(heads.len(), 1);
    let (found, heads) = asked(Service::Gcp, &[], &[]).await;
    assert!(found.is_empty() && heads.is_empty());
}

#[tokio::test]
async fn azure_gives_all_in_one_answer() {
    const BODY: &str = r#"{"location":"eastus","zone":"","subscriptionId":"s-1","vmId":"v-1"}"#;
    let (found, heads) = asked(Service::Azure, ALL, &[(COMPUTE, ("200 OK", BODY))]).await;
    assert_eq!(
        found,
        [
            "region=eastus",
            "zone: the metadata service has none",
            "account=s-1",
            "instance=v-1"
        ]
    );
    assert_eq!(
        shape(&heads, "metadata"),
        ["get /metadata/instance/compute?api-version=2020-09-01&format=json | metadata: true"]
    );
}

#[tokio::test]
async fn gcp_is_believed_with_its_own_header_only() {
    const OK: &str = "200 OK\r\nMetadata-Flavor: Google";
    const GCP: Script = &[
        (
            "GET /computeMetadata/v1/instance/zone",
            (OK, "projects/1234/zones/europe-west4-a"),
        ),
        (
            "GET /computeMetadata/v1/project/project-id",
            (OK, "my-project"),
        ),
        ("GET /computeMetadata/v1/instance/id", ("200 OK", "7421")),
    ];
    let (found, heads) = asked(Service::Gcp, ALL, GCP).await;
    assert_eq!(
        found,
        [
            "region=europe-west4",
            "zone=europe-west4-a",
            "account=my-project",
            "instance: `http://host/computeMetadata/v1/instance/id`: the answer has no header \
             `Metadata-Flavor: Google`",
        ]
    );
    for line in shape(&heads, "metadata-flavor") {
        assert!(line.ends_with("| metadata-flavor: google"), "{line}");
    }
}

#[tokio::test]
async fn oci_is_asked_for_four_values() {
    const OCI: Script = &[
        (
            "GET /opc/v2/instance/canonicalRegionName",
            ("200 OK", "us-phoenix-1"),
        ),
        (
            "GET /opc/v2/instance/availabilityDomain",
            ("200 OK", "pPrU:PHX-AD-1"),
        ),
        (
            "GET /opc/v2/instance/tenantId",
            ("200 OK", "ocid1.tenancy.oc1..aaaa"),
        ),
        (
            "GET /opc/v2/instance/id",
            ("200 OK", "ocid1.instance.oc1.phx.bbbb"),
        ),
    ];
    let (found, heads) = asked(Service::Oci, ALL, OCI).await;
    assert_eq!(
        found,
        [
            "region=us-phoenix-1",
            "zone=pPrU:PHX-AD-1",
            "account=ocid1.tenancy.oc1..aaaa",
            "instance=ocid1.instance.oc1.phx.bbbb"
        ]
    );
    for line in shape(&heads, "authorization") {
        assert!(line.ends_with("| authorization: bearer oracle"), "{line}");
    }
}

#[tokio::test]
async fn one_bad_answer_costs_its_own_fields() {
    for (script, zone, region) in [
        (
            &[
                (TOKEN, ("200 OK", "t")),
                (DOCUMENT, ("500 Internal Server Error", "")),
            ][..],
            "zone: the metadata service has none",
            "region: `http://host/latest/dynamic/instance-identity/document`: the answer is \
             `500 Internal Server Error`",
        ),
        (
            &[
                (TOKEN, ("200 OK", "t")),
                (ZONE_ID, ("200 OK", "use1-az1")),
                (DOCUMENT, ("200 OK", "<html>")),
            ],
            "zone=use1-az1",
            "region: `http://host/latest/dynamic/instance-identity/document`: the answer is not the \
             expected JSON: expected value at line 1 column 1",
        ),
        (
            &[(TOKEN, ("403 Forbidden", ""))],
            "zone: `http://host/latest/api/token`: the answer is `403 Forbidden`; the service is \
             switched off for this instance, or a policy of the host keeps it from answering",
            "region: `http://host/latest/api/token`: the answer is `403 Forbidden`; the service is \
             switched off for this instance, or a policy of the host keeps it from answering",
        ),
        (
            &[(TOKEN, ("200 OK", "a\nb"))],
            "zone: `http://host/latest/api/token`: the answer is no token",
            "region: `http://host/latest/api/token`: the answer is no token",
        ),
    ] {
        let (found, _) = asked(Service::Aws, &[Field::Zone, Field::Region], script).await;
        assert!(found.iter().any(|line| line == zone), "{found:?}");
        assert!(found.iter().any(|line| line == region), "{found:?}");
    }
}

/// A listener that never accepts: the connection comes about in its queue, and nothing answers.
#[tokio::test]
async fn a_silent_service_takes_no_longer_than_all_may_take() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback works");
    let endpoints = Endpoints {
        ipv4: listener.local_addr().expect("loopback works"),
        aws_ipv6: (AWS_V6, 80).into(),
        limits: Limits {
            request: Duration::from_millis(100),
            total: Duration::from_millis(250),
        },
    };
    let start = Instant::now();
    let found = ask(Service::Oci, ALL, &endpoints).await;
    assert_eq!(found.len(), 4);
    let failed =
        |(_, value): &(Field, Result<String, Missing>)| matches!(value, Err(Missing::Failed(_)));
    assert!(found.iter().all(failed), "{found:?}");
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(240) && took < Duration::from_secs(1),
        "{took:?}"
    );
    let found = ask(Service::Aws, &[Field::Zone], &endpoints).await;
    let line = format!("{:?}", found[0].1);
    assert!(
        line.contains("the instance's hop limit must be 2"),
        "{line}"
    );
}

/// A port that nobody listens on refuses at once; AWS has a second address for that.
#[tokio::test]
async fn aws_has_a_second_address() {
    let nobody = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback works");
        listener.local_addr().expect("loopback works")
    };
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback works");
    let endpoints = Endpoints {
        ipv4: nobody,
        aws_ipv6: second.local_addr().expect("loopback works"),
        limits: Limits::default(),
    };
    let serve = async {
        for body in ["token", "use1-az1"] {
            let (mut stream, _) = second.accept().await.expect("loopback works");
            let mut head = [0; 2_048];
            let _ = stream.read(&mut head).await.expect("loopback works");
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("loopback works");
        }
    };
    let (found, ()) = tokio::join!(ask(Service::Aws, &[Field::Zone], &endpoints), serve);
    assert_eq!(found, [(Field::Zone, Ok("use1-az1".to_owned()))]);
    // The others have not, and say what they were told.
    let found = ask(Service::Azure, &[Field::Region], &endpoints).await;
    let line = format!("{:?}", found[0].1);
    assert!(
        line.contains("cannot connect: connection refused"),
        "{line}"
    );
}
