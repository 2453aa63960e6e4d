//! `observer price import|diff` with the real executable: lists from files and page by page from a server, and what a failure
//! leaves as it was.

mod common;

use std::{fs, path::Path};

use common::{Folder, Verb, serve};

const PRICE: Verb = Verb("price");

const AWS: &str = include_str!("../core/tests/lists/aws.csv");
const AZURE: &str = include_str!("../core/tests/lists/azure.json");
const GOOGLE: &str = include_str!("../core/tests/lists/google.json");
const LISTS: [&str; 5] = [
    "aws.csv",
    "azure.json",
    "oci.json",
    "google.json",
    "aws.json",
];

fn list(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/tests/lists");
    folder.join(name).display().to_string()
}

#[test]
fn lists_become_a_book_that_quotes_and_compares() {
    let folder = Folder::new("import");
    let book = folder.path("lists.yaml");
    let [aws, azure, oci, google, newer] = LISTS.map(list);
    let lists = [&aws, &azure, &oci, &google].map(String::as_str);
    let said = PRICE.done(&[&["import", "--into", &book, "--name", "june"], &lists[..]].concat());
    assert!(said.contains("aws.csv: AWS Price List, offer AWSDataTransfer, 2026-07-20, 3 rates, 1 rows of other things"), "{said}");
    assert!(
        said.contains("its place is not known here: SKU AAAA-0005"),
        "{said}"
    );
    assert!(said.contains("11 rates new, 0 changed, 0 gone"), "{said}");
    let said = PRICE.done(&["check", &book]);
    assert!(said.starts_with("11 rates of yours among "), "{said}");
    // 11 TiB out of us-east-1: 100 GiB are free, 10,140 at 0.09, 1,024 at 0.085.
    let quote = [
        "quote",
        "--from",
        "aws/us-east-1",
        "--to",
        "internet",
        "--bytes",
        "11TiB",
        "--month",
        "2026-11",
        "--file",
    ];
    let said = PRICE.done(&[&quote[..], &[&*book]].concat());
    assert!(
        said.contains("aws-list-internet-us-east-1 (local): 11TiB, 999.64 USD"),
        "{said}"
    );
    let before = folder.bytes("lists.yaml");
    let kept = folder.file("before.yaml", &String::from_utf8(before).expect("UTF-8"));
    let said = PRICE.done(&["import", "--into", &book, "--name", "july", &newer]);
    assert!(
        said.contains("0 rates new, 1 changed, 10 gone: version shipped-2026-11-23+june+"),
        "{said}"
    );
    let said = PRICE.done(&["diff", &kept, &book]);
    for line in [
        "~ aws-list-internet-us-east-1: 0.09 to 10240, 0.085 to 51200, 0.05 /GiB, verified 2026-07-20 -> 0.09 to 10240, 0.085 /GiB",
        "- azure-list-internet-eastus: 0 to 100, 0.087 /GiB",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(
        PRICE
            .done(&["diff", &book, &book])
            .starts_with("0 rates new, 0 changed, 0 gone")
    );
}

#[test]
fn a_list_that_cannot_be_taken_changes_nothing() {
    let folder = Folder::new("refused");
    let book = folder.path("lists.yaml");
    let aws = list("aws.csv");
    PRICE.done(&["import", "--into", &book, &aws]);
    let before = folder.bytes("lists.yaml");
    let cut = folder.file("cut.json", &AZURE[..AZURE.len() / 2]);
    let negative = folder.file("negative.csv", &AWS.replace("0.0850000000", "-0.085"));
    for (lists, parts) in [
        (&[&*aws, &cut][..], &["cut.json", "no whole JSON"][..]),
        (
            &[&negative],
            &["negative.csv", "line 8", "`-0.085` is negative"],
        ),
        (
            &[&aws, &aws],
            &["aws-list-internet-us-east-1", "it is in two files"],
        ),
        (&[&folder.path("none")], &["none"]),
    ] {
        PRICE.refused(&[&["import", "--into", &book], lists].concat(), parts);
        assert!(
            folder.bytes("lists.yaml") == before,
            "{parts:?} changed the book"
        );
    }
    // What a person wrote is not written over.
    let own = folder.file("own.yaml", "version: own\nrates: []\n");
    PRICE.refused(
        &["import", "--into", &own, &aws],
        &["own.yaml", "not written by an import"],
    );
    assert_eq!(folder.bytes("own.yaml"), b"version: own\nrates: []\n");
}

/// Two pages of Azure, the second by a link; two of Google, the second by a token; one that fails behind the first. The path comes
/// in small letters.
fn answer(path: &str, head: &[String]) -> String {
    let host = head
        .iter()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("a host");
    let link = |to: &str| {
        AZURE.replace(
            "\"NextPageLink\":null",
            &format!("\"NextPageLink\":\"{to}\""),
        )
    };
    let body = match path {
        "/azure?region=all" => link(&format!("http://{host}/azure?skip=100")),
        "/azure?skip=100" => AZURE.replace("eastus", "westus"),
        "/half?key=secret" => link(&format!("http://{host}/gone?key=secret")),
        "/away" => link("http://127.0.0.2:1/azure"),
        "/google?key=secret" => {
            GOOGLE.replace("\"nextPageToken\":\"\"", "\"nextPageToken\":\"A/=\"")
        }
        "/google?key=secret&pagetoken=a%2f%3d" => GOOGLE
            .replace("AAAA-", "BBBB-")
            .replace("F274", "F275")
            .replace("Americas", "EMEA")
            .replace("us-", "europe-")
            .replace("InterzoneEgress", "Other"),
        _ => return "HTTP/1.1 500 Oh\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".into(),
    };
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ndate: Sat, 28 Nov 2026 10:00:00 GMT\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn pages_are_asked_for_until_the_last_one() {
    let folder = Folder::new("pages");
    let book = folder.path("lists.yaml");
    let (server, asked) = serve(answer);
    let [azure, google] =
        ["/azure?region=all", "/google?key=secret"].map(|path| format!("{server}{path}"));
    let said = PRICE.done(&["import", "--into", &book, &azure, &google]);
    assert!(said.contains("rates new, 0 changed, 0 gone"), "{said}");
    assert_eq!(asked.lock().expect("not poisoned").len(), 4);
    let text = fs::read_to_string(&book).expect("written");
    for part in [
        "id: azure-list-internet-eastus\n",
        "id: azure-list-internet-westus\n",
        "bbbb-0001",
        "as_of: 2026-11-28",
        "version: lists-2026-11-28",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(
        !text.contains("secret") && !said.contains("secret"),
        "{text}{said}"
    );
    for (path, parts) in [
        ("/half?key=secret", &["/gone", "500"][..]),
        ("/away", &["of another server"]),
    ] {
        let url = format!("{server}{path}");
        PRICE.refused(&["import", "--into", &book, &url], parts);
        assert_eq!(fs::read_to_string(&book).expect("there"), text);
    }
}
