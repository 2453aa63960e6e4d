//! Conditions that are answered, and conditions that are refused, each with its place.

use super::*;
use crate::{
    judge::expression::{Expression, Flow, Truth},
    model::fact::FlowFacts,
};

fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    vocabulary.extend(
        "cloud",
        words(&["aws", "azure", "gcp", "internet", "private", "cluster"]),
    );
    vocabulary.extend("region", words(&["us-east-1", "eu-west-1", "eastus"]));
    vocabulary
}

fn flow(fields: &serde_json::Value) -> FlowFacts {
    FlowFacts::of_record(fields.as_object().expect("an object")).expect("fields")
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn conditions_are_answered_as_cel_has_it_with_unknown() {
    use Truth::{No, Unknown, Yes};
    let known = serde_json::json!({
        "cloud": "aws", "region": "us-east-1", "source_cloud": "aws", "source_region": "eu-west-1", "api_state": "stateless",
        "path_kind": "internet", "remote_port": 443, "remote_address": "10.1.2.3", "wire_bytes_egress": 5_000,
        "interval_end": "2026-04-27T00:00:00Z", "path_elements": ["nat_gateway"], "workload_labels": {"team": "shop"},
        "server_name": "a.example", "namespace": "pay", "confidence": "certain",
    });
    let with = |name: &str, value: serde_json::Value| {
        let mut fields = known.clone();
        fields[name] = value;
        flow(&fields)
    };
    let nothing = FlowFacts::default();
    let all = flow(&known);
    let ambiguous = with("confidence", "ambiguous".into());
    let decides = with("api_state", "body_decides".into());
    let private = flow(&serde_json::json!({"cloud": "private", "provider": "openai"}));
    let internal = flow(&serde_json::json!({"cloud": "private"}));
    let proxied = flow(
        &serde_json::json!({"cloud": "aws", "region": "us-east-1", "path_kind": "proxy", "remote_address": "3.210.0.10"}),
    );
    let named = flow(
        &serde_json::json!({"cloud": "azure", "path_kind": "proxy", "remote_address": "10.0.0.1", "provider": "microsoft"}),
    );
    for (text, facts, expected) in [
        (r#"cloud == "aws""#, &all, Yes),
        (r#"cloud == "azure""#, &all, No),
        (r#"cloud != "azure""#, &all, Yes),
        (r#"cloud in ["aws", "gcp"]"#, &all, Yes),
        (r#""aws" == cloud"#, &all, Yes),
        ("cloud == source_cloud", &all, Yes),
        ("region == source_region", &all, No),
        ("region != source_region", &all, Yes),
        ("remote_port == 443", &all, Yes),
        ("remote_port in [80, 8080]", &all, No),
        ("remote_port > 442 && remote_port <= 443", &all, Yes),
        ("wire_bytes_egress > 4 * 1024 + 903", &all, Yes),
        ("wire_bytes_egress >= 4 * 1024 + 905", &all, No),
        ("wire_bytes_egress % 1000 == 0", &all, Yes),
        ("-remote_port < 0", &all, Yes),
        (r#"remote_address == "10.1.2.3""#, &all, Yes),
        (r#"remote_address == "::ffff:10.1.2.3""#, &all, No),
        (r#"inside(remote_address, "10.0.0.0/8")"#, &all, Yes),
        (r#"inside(remote_address, "fd00::/8")"#, &all, No),
        (
            r#"interval_end >= timestamp("2026-04-27T00:00:00Z")"#,
            &all,
            Yes,
        ),
        (
            r#"interval_end < timestamp("2026-04-27T00:00:00Z")"#,
            &all,
            No,
        ),
        (
            r#"interval_end == timestamp("2026-04-27T02:00:00+02:00")"#,
            &all,
            Yes,
        ),
        (r#""nat_gateway" in path_elements"#, &all, Yes),
        (r#""vpn" in path_elements"#, &all, No),
        ("size(path_elements) == 1", &all, Yes),
        ("size(server_name) == 9", &all, Yes),
        (r#"workload_labels.team == "shop""#, &all, Yes),
        (r#"workload_labels["team"] == "shop""#, &all, Yes),
        (r#"workload_labels.tier == "gold""#, &all, Unknown),
        ("has(workload_labels.tier)", &all, No),
        (r#""team" in workload_labels"#, &all, Yes),
        (r#"server_name.startsWith("a.")"#, &all, Yes),
        (r#"server_name.endsWith(".example")"#, &all, Yes),
        (r#"server_name.contains("xam")"#, &all, Yes),
        (r#"server_name.matches("^[ab]\\.")"#, &all, Yes),
        (r#"cloud == "aws" ? remote_port == 443 : false"#, &all, Yes),
        (r#"(cloud == "aws") == (remote_port == 80)"#, &all, No),
        ("known(cloud) && !known(pod)", &all, Yes),
        (r#"namespace == "pay" && __namespace__ == "pay""#, &all, Yes),
        ("true || false && !true", &all, Yes),
        // Where the record says that there is none.
        (r#"front == """#, &all, Yes),
        (r#"front == "cloudflare""#, &all, No),
        (r#"front == """#, &nothing, Unknown),
        (r#"blind_reason == """#, &nothing, Yes),
        (r#""vpn" in path_elements"#, &nothing, No),
        // What is not known decides only where nothing else does.
        (r#"cloud == "aws""#, &nothing, Unknown),
        (r#"cloud != "aws""#, &nothing, Unknown),
        (r#"cloud == "aws" || true"#, &nothing, Yes),
        (r#"cloud == "aws" && false"#, &nothing, No),
        (r#"cloud == "aws" && true"#, &nothing, Unknown),
        (r#"cloud == "aws" || cloud != "aws""#, &nothing, Unknown),
        (r#"cloud == "aws" ? true : true"#, &nothing, Yes),
        (r#"cloud == "aws" ? true : false"#, &nothing, Unknown),
        ("known(cloud)", &nothing, No),
        ("cloud == source_cloud", &nothing, Unknown),
        ("remote_port > 1", &nothing, Unknown),
        ("9223372036854775807 + 1 > 0", &all, Unknown),
        // An ambiguous identity is in doubt; what is no part of it is not.
        (r#"cloud == "aws""#, &ambiguous, Unknown),
        (r#"cloud == "azure""#, &ambiguous, Unknown),
        ("known(region)", &ambiguous, No),
        (r#"confidence == "ambiguous""#, &ambiguous, Yes),
        (
            r#"source_cloud == "aws" && server_name == "a.example""#,
            &ambiguous,
            Yes,
        ),
        // A private address of a service that stands elsewhere.
        (r#"cloud == "azure""#, &private, Unknown),
        (r#"cloud == "private""#, &private, Yes),
        (r#"cloud == "cluster""#, &private, No),
        (r#"cloud in ["azure", "private"]"#, &private, Yes),
        ("known(cloud)", &private, No),
        (r#"cloud == "azure""#, &internal, No),
        // An address of a proxy says nothing of what is behind it; a name may.
        (r#"cloud == "aws""#, &proxied, Unknown),
        (r#"region == "us-east-1""#, &proxied, Unknown),
        (r#"cloud == "azure""#, &named, Yes),
        // A word for not knowing which.
        (r#"api_state == "stateless""#, &decides, Unknown),
        (r#"api_state != "stateless""#, &decides, Unknown),
        (r#"api_state == "body_decides""#, &decides, Yes),
        (r#"api_state == "mixed""#, &decides, No),
        (r#"api_state in ["mixed", "stateful"]"#, &decides, Unknown),
        (r#"api_state in ["mixed", "body_decides"]"#, &decides, Yes),
        (r#"api_state == "body_decides""#, &all, No),
        (r#"api_state == "body_decides""#, &nothing, Unknown),
        ("known(api_state)", &decides, No),
    ] {
        let expression = Expression::parse(text, &vocabulary());
        let expression = expression.unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        assert_eq!(expression.truth(&Flow(facts)), expected, "{text}");
        assert_eq!(
            expression.negated().truth(&Flow(facts)),
            expected.not(),
            "!({text})"
        );
        // What is shown is the same condition.
        let shown = expression.root().to_string();
        let again = Expression::parse(&shown, &vocabulary());
        let again = again.unwrap_or_else(|fault| panic!("{text}: shown as {shown}: {fault:?}"));
        assert_eq!(again.truth(&Flow(facts)), expected, "{shown}");
        assert_eq!(again.root().to_string(), shown);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_no_flow_can_have_is_an_error_with_its_place() {
    let long = format!("cloud == \"{}\"", "a".repeat(EXPRESSION_BYTES_MAX));
    let deep = format!("{}true{}", "(".repeat(17), ")".repeat(17));
    let signs = format!("{}true", "!".repeat(17));
    for (text, at, what) in [
        ("", 0, "is empty"),
        (&*long, 0, "longer than 4096 bytes"),
        (&*deep, 16, "more than 16 brackets inside each other"),
        (&*signs, 16, "more than 16 signs in a row"),
        ("cloud ==", 8, "is no CEL"),
        ("cloud = \"aws\"", 6, "is no CEL"),
        ("(cloud == \"aws\"", 15, "is no CEL"),
        ("cloud == \"aws", 9, "is no CEL"),
        ("cloud == 'aws' and true", 15, "is no CEL"),
        (
            "clud == \"aws\"",
            0,
            "no field is called `clud`; did you mean `cloud`?",
        ),
        ("true && clud == \"aws\"", 8, "no field is called `clud`"),
        (
            "cloud == \"azur\"",
            9,
            "`cloud` is never `azur`: nothing in the catalogue is called that; did you mean `azure`?",
        ),
        ("cloud in [\"aws\", \"azur\"]", 17, "did you mean `azure`?"),
        ("region == \"us-est-1\"", 10, "did you mean `us-east-1`?"),
        (
            "api_state == \"statless\"",
            13,
            "`api_state` is never `statless`; did you mean `stateless`?",
        ),
        ("api_state == \"unknown\"", 13, "ask `!known(api_state)`"),
        (
            "cloud == \"\"",
            9,
            "`cloud` is never empty: ask `!known(cloud)`",
        ),
        (
            "confidence == \"sure\"",
            14,
            "known are `ambiguous`, `likely`, `certain`",
        ),
        ("cloud == 443", 9, "`cloud` is a string and is never 443"),
        (
            "remote_port == \"443\"",
            15,
            "`remote_port` is a unsigned integer and is never \"443\"",
        ),
        ("remote_port == -1", 16, "`remote_port` is never -1"),
        ("remote_port == cloud", 0, "are never equal"),
        ("cloud < \"aws\"", 0, "is neither a number nor a time"),
        ("cloud", 0, "`cloud`, a string, is no condition"),
        ("remote_port + 1", 0, "a number is no condition"),
        ("true && remote_port", 8, "is no condition"),
        ("remote_port / 0 == 1", 0, "divides by 0"),
        ("10 / remote_port == 1", 0, "divides by what may be 0"),
        ("interval_end == \"2026-04-27\"", 16, "write `timestamp("),
        (
            "interval_end > 5",
            0,
            "a number is not compared with a time",
        ),
        (
            "interval_end > timestamp(\"yesterday\")",
            25,
            "no time of RFC 3339",
        ),
        (
            "interval_end > timestamp(cloud)",
            25,
            "a time is written as",
        ),
        (
            "remote_address == \"10.0.0.0/8\"",
            18,
            "is no address; a network is asked for by",
        ),
        ("inside(remote_address, \"10.0.0.1/8\")", 23, "`10.0.0.1/8`"),
        ("inside(cloud, \"10.0.0.0/8\")", 7, "`cloud` is no address"),
        (
            "path_elements == \"vpn\"",
            17,
            "write `\"vpn\" in path_elements`",
        ),
        (
            "cloud.startsWith(region)",
            17,
            "`startsWith` takes a text in quotes",
        ),
        ("remote_port.startsWith(\"4\")", 0, "has no `startsWith`"),
        (
            "server_name.matches(\"(\")",
            20,
            "the pattern cannot be used",
        ),
        (
            "server_name.matches(\"(a{1000}){1000}\")",
            20,
            "the pattern cannot be used",
        ),
        ("cloud in []", 9, "the list is empty"),
        ("cloud in [region]", 10, "a list has values"),
        ("cloud in region", 0, "is never in"),
        ("cloud == null", 9, "nothing is compared with `null`"),
        ("remote_port == 1.5", 15, "no field has decimals"),
        ("cost_estimate > 5", 0, "a limit on money is a budget"),
        ("flow_id == \"x\"", 0, "`flow_id` is not for rules"),
        ("cloud.region == \"x\"", 0, "has no part `region`"),
        (
            "path_elements.exists(e, e == \"vpn\")",
            20,
            "are not offered",
        ),
        ("cloud.upper() == \"AWS\"", 0, "`upper` is not offered here"),
        ("starts(cloud)", 0, "`starts` is not offered here"),
        ("size(remote_port) == 1", 5, "has no size"),
        ("known(\"cloud\")", 6, "is no field"),
        ("{\"a\": 1} == 1", 0, "are not offered"),
        ("b\"aws\" == cloud", 1, "without a letter before them"),
        (
            "\"é\" == cloud && clud == \"a\"",
            17,
            "no field is called `clud`",
        ),
    ] {
        let fault = parse(text, &vocabulary()).expect_err(text);
        assert!(fault.what.contains(what), "{text}: {}", fault.what);
        assert_eq!(fault.offset, at, "{text}: {}", fault.what);
    }
}
