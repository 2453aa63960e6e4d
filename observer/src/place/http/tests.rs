//! Answers of a service on loopback that behaves badly in every way: each ends in time, with its reason.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::sleep,
};

use super::*;

/// What a service does with a connection whose request it has read.
#[derive(Clone)]
enum Conduct {
    Send(Vec<u8>),
    /// One byte, a pause, the next.
    Drip(&'static [u8], Duration),
    Stall,
}

const LIMITS: Limits = Limits {
    request: Duration::from_millis(300),
    total: Duration::from_secs(5),
};

async fn met(conduct: Conduct) -> Result<Answer, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback works");
    let address = listener.local_addr().expect("loopback works");
    let service = async {
        let (mut stream, _) = listener.accept().await.expect("loopback works");
        let mut request = [0; 1_024];
        let _ = stream.read(&mut request).await;
        match conduct {
            Conduct::Send(bytes) => {
                let _ = stream.write_all(&bytes).await;
            }
            Conduct::Drip(bytes, pause) => {
                for byte in bytes {
                    let _ = stream.write_all(&[*byte]).await;
                    sleep(pause).await;
                }
            }
            Conduct::Stall => std::future::pending().await,
        }
        drop(stream);
        std::future::pending::<()>().await;
    };
    let (question, deadline) = (question(), Instant::now() + LIMITS.total);
    tokio::select! {
        answer = ask(address, &question, &LIMITS, deadline) => answer,
        () = service => unreachable!("the service never ends by itself"),
    }
}

fn question() -> Question {
    Question {
        method: Method::GET,
        path: "/a",
        header: (
            HeaderName::from_static("metadata"),
            HeaderValue::from_static("true"),
        ),
    }
}

fn head(status: &str, rest: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{rest}").into_bytes()
}

#[tokio::test]
async fn each_kind_of_bad_answer_has_its_reason() {
    let huge = head(
        "200 OK",
        &format!("Content-Length: 70000\r\n\r\n{}", "a".repeat(70_000)),
    );
    let endless = head("200 OK", &format!("\r\n{}", "a".repeat(1 << 20)));
    let wide = head("200 OK", &format!("X: {}\r\n\r\n", "a".repeat(20_000)));
    let moved = head(
        "302 Found",
        "Location: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
    );
    let cut = head("200 OK", "Content-Length: 10\r\n\r\nabc");
    let slow = Conduct::Drip(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
        Duration::from_millis(50),
    );
    for (conduct, expected) in [
        (Conduct::Send(huge), "the answer has more than 65536 bytes"),
        (
            Conduct::Send(endless),
            "the answer has more than 65536 bytes",
        ),
        (Conduct::Send(wide), "the answer is broken: "),
        (Conduct::Send(moved), "the answer is `302 Found`"),
        (Conduct::Send(cut), "the answer is broken: "),
        (
            Conduct::Send(b"SSH-2.0-x\r\n\r\n".to_vec()),
            "the answer is broken: ",
        ),
        (Conduct::Send(Vec::new()), "the answer is broken: "),
        (
            Conduct::Send(head("401 Unauthorized", "\r\n")),
            "the answer is `401 Unauthorized`",
        ),
        (Conduct::Stall, "no answer in time"),
        (slow, "no answer in time"),
    ] {
        let start = Instant::now();
        let failure = met(conduct).await.expect_err(expected).to_string();
        assert!(failure.starts_with(expected), "{failure}, not {expected}");
        let took = start.elapsed();
        assert!(took < LIMITS.request * 3, "{expected}: took {took:?}");
    }
}

#[tokio::test]
async fn a_good_answer_is_read_to_its_end() {
    let chunked = head(
        "200 OK",
        "Transfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let answer = met(Conduct::Send(chunked)).await.expect("whole");
    assert_eq!(answer.body, b"abcde");
    assert_eq!(answer.headers["x-a"], "b");
}

/// 2001:db8::/32 and 192.0.2.0/24 are nobody's; the refusal comes before anything is sent.
#[tokio::test]
async fn an_address_that_is_not_local_is_never_asked() {
    for address in [
        "192.0.2.1:80",
        "[2001:db8::1]:80",
        "[fd00:ec2::253]:80",
        "10.0.0.1:80",
    ] {
        let address = address.parse().expect(address);
        let deadline = Instant::now() + LIMITS.total;
        let failure = ask(address, &question(), &LIMITS, deadline).await;
        assert!(matches!(failure, Err(Failure::NotLocal)), "{address}");
    }
    for (address, local) in [
        ("169.254.169.254", true),
        ("127.0.0.1", true),
        ("fd00:ec2::254", true),
        ("::1", true),
        ("169.253.169.254", false),
        ("::ffff:169.254.169.254", false),
    ] {
        assert_eq!(
            is_local(address.parse().expect(address)),
            local,
            "{address}"
        );
    }
}

#[tokio::test]
async fn the_deadline_of_all_is_the_end_of_each() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback works");
    let address = listener.local_addr().expect("loopback works");
    let start = Instant::now();
    let deadline = start + Duration::from_millis(50);
    let failure = ask(address, &question(), &LIMITS, deadline).await;
    assert!(matches!(failure, Err(Failure::Late { connected: true })));
    assert!(start.elapsed() < LIMITS.request);
}
