//! Requests by host and path, files with errors, and the lists that the table was made from.

use super::*;
use crate::{
    identify::name::NameTable,
    model::{host_name::HostName, names::ApiState},
};

/// `METHOD HOST PATH` as `state unseen family template vendor model flags`.
fn said(names: &NameTable, table: &RouteTable, method: &str, host: &str, path: &str) -> String {
    let name = HostName::from_wire(host.as_bytes()).expect(host);
    let host = names.identify(&name).unwrap_or_default();
    let request = Request {
        method,
        path,
        is_cut: false,
    };
    let Some(typed) = table.typed(&request) else {
        return "no method".to_owned();
    };
    let Some(route) = typed.on(&host) else {
        return "-".to_owned();
    };
    let word = |word: &Option<Word>| word.as_deref().unwrap_or("-").to_owned();
    let family = match route.kind.dialect {
        Dialect::Family(family) => family.word(),
        Dialect::Control => "control",
    };
    let flags: Vec<&str> = route.residency_flags.iter().map(Word::as_str).collect();
    format!(
        "{} {} {family} {} {} {} {}",
        route.kind.state.word(),
        route.kind.unseen.map_or("-", ApiState::word),
        route.template,
        word(&route.vendor),
        word(&route.model),
        if flags.is_empty() {
            "-".to_owned()
        } else {
            flags.join(",")
        },
    )
}

const MANTLE: &str = "bedrock-mantle.us-east-1.api.aws";
const RUNTIME: &str = "bedrock-runtime.us-east-1.amazonaws.com";

#[test]
fn hosts_decide_before_paths() {
    let names = NameTable::embedded().expect("names");
    let table = RouteTable::embedded().expect("routes");
    for (method, host, path, expected) in [
        (
            "POST",
            "api.openai.com",
            "/v1/responses",
            "body_decides stateful openai /v1/responses - - -",
        ),
        (
            "GET",
            "api.openai.com",
            "/v1/responses/resp_1",
            "stateful - openai /v1/responses/{response}/** - - -",
        ),
        (
            "POST",
            "api.openai.com",
            "/v1/chat/completions",
            "body_decides stateless openai /v1/chat/completions - - -",
        ),
        (
            "POST",
            "api.openai.com",
            "/v1/embeddings",
            "stateless - openai /v1/embeddings - - -",
        ),
        (
            "POST",
            "api.openai.com",
            "/v1/files",
            "stateful - openai /v1/files/** - - -",
        ),
        (
            "GET",
            "api.openai.com",
            "/v1/realtime",
            "realtime - openai /v1/realtime/** - - -",
        ),
        ("POST", "api.openai.com", "/v1/nothing", "-"),
        ("BREW", "api.openai.com", "/v1/responses", "no method"),
        ("POST", "nobody.example", "/v1/responses", "-"),
        (
            "POST",
            "x.openai.azure.com",
            "/openai/v1/responses",
            "body_decides stateful openai /openai/v1/responses - - -",
        ),
        (
            "POST",
            "x.openai.azure.com",
            "/openai/deployments/gpt-5/chat/completions",
            "body_decides stateless azure_openai /openai/deployments/{deployment}/chat/completions openai gpt-5 -",
        ),
        (
            "POST",
            "x.openai.azure.com",
            "/openai/responses",
            "body_decides stateful azure_openai /openai/responses - - -",
        ),
        (
            "POST",
            RUNTIME,
            "/model/openai.gpt-5.5/converse",
            "stateless - bedrock /model/{model}/converse openai openai.gpt-5.5 -",
        ),
        (
            "POST",
            RUNTIME,
            "/model/us.anthropic.claude-x-v1%3A0/converse-stream",
            "stateless - bedrock /model/{model}/converse-stream anthropic us.anthropic.claude-x-v1:0 us",
        ),
        (
            "POST",
            RUNTIME,
            "/openai/v1/chat/completions",
            "body_decides stateless openai /openai/v1/chat/completions - - -",
        ),
        (
            "POST",
            MANTLE,
            "/openai/v1/agents/sessions",
            "stateful - openai /openai/v1/agents/sessions/** openai - -",
        ),
        (
            "POST",
            MANTLE,
            "/v1/chat/completions",
            "body_decides stateless openai /v1/chat/completions - - -",
        ),
        (
            "POST",
            MANTLE,
            "/anthropic/v1/messages",
            "body_decides stateless anthropic /anthropic/v1/messages anthropic - -",
        ),
        (
            "POST",
            "api.anthropic.com",
            "/v1/messages",
            "body_decides stateless anthropic /v1/messages anthropic - -",
        ),
        (
            "POST",
            "api.anthropic.com",
            "/v1/files",
            "stateful - anthropic /v1/files/** - - -",
        ),
        (
            "POST",
            "us-central1-aiplatform.googleapis.com",
            "/v1/projects/p/locations/global/publishers/anthropic/models/claude-x:streamRawPredict",
            "stateless - vertex /v1/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:streamRawPredict anthropic claude-x global",
        ),
        (
            "POST",
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-x:generateContent",
            "stateless - vertex /v1beta/models/{model}:generateContent - gemini-x -",
        ),
        (
            "GET",
            "bedrock.us-east-1.amazonaws.com",
            "/data-retention",
            "control_plane - control /data-retention - - -",
        ),
        (
            "POST",
            "api.openai.com",
            "http://api.openai.com/v1/embeddings",
            "stateless - openai /v1/embeddings - - -",
        ),
    ] {
        let found = said(&names, &table, method, host, path);
        assert_eq!(found, expected, "{method} {host} {path}");
    }
}

#[test]
fn what_was_cut_off_is_not_guessed() {
    let table = RouteTable::embedded().expect("routes");
    let openai = NameIdentity {
        api_family: Some(ApiFamily::Openai),
        ..NameIdentity::default()
    };
    for (path, expected) in [
        ("/v1/files/abc", Some("/v1/files/**")),
        ("/v1/conversations/conv_1/it", Some("/v1/conversations/**")),
        ("/v1/respons", None),
    ] {
        let request = Request {
            method: "POST",
            path,
            is_cut: true,
        };
        let typed = table.typed(&request).expect("a method");
        let found = typed.on(&openai).map(|route| route.template.as_str());
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn an_operators_rows_go_before_ours() {
    let text = "version: own\nroutes:\n  - family: openai\n    requests: [POST /v1/responses, 'POST /v1/own/{thing}']\n    state: stateless\n";
    let table = RouteTable::with_overlay("own.yaml", text).expect("an overlay");
    let names = NameTable::embedded().expect("names");
    let found = |path| said(&names, &table, "POST", "api.openai.com", path);
    assert_eq!(
        found("/v1/responses"),
        "stateless - openai /v1/responses - - -"
    );
    assert_eq!(
        found("/v1/own/x"),
        "stateless - openai /v1/own/{thing} - - -"
    );
    assert_eq!(found("/v1/files"), "stateful - openai /v1/files/** - - -");
    let embedded = RouteTable::embedded().expect("routes");
    assert_ne!(table.sha256(), embedded.sha256());
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    const ROW: &str =
        "version: x\nroutes:\n  - family: openai\n    requests: [POST /a]\n    state: stateless\n";
    for (text, expected) in [
        ("routes: []", "own.yaml:1:1: missing field `version`"),
        (
            &*ROW.replace("family: openai", "family: openal"),
            "own.yaml:3:13: there is no dialect `openal`: did you mean `openai`?",
        ),
        (
            &*ROW.replace("POST /a", "PSOT /a"),
            "own.yaml:4:16: `PSOT` is no method: did you mean `POST`?",
        ),
        (
            &*ROW.replace("POST /a", "/a"),
            "own.yaml:4:16: `/a`: a request is `METHOD /path`",
        ),
        (
            &*ROW.replace("POST /a", "POST a"),
            "own.yaml:4:16: `a`: a path begins with `/`",
        ),
        (
            &*ROW.replace("[POST /a]", "[]"),
            "own.yaml:3:13: `requests` is empty",
        ),
        (
            &*ROW.replace("stateless", "stateles"),
            "`stateles` is none of",
        ),
        (
            &*ROW.replace("stateless", "mixed"),
            "own.yaml:3:13: `state`: a request is neither",
        ),
        (
            &*ROW.replace("stateless", "body_decides"),
            "own.yaml:3:13: of what its body decides",
        ),
        (
            &*ROW.replace("stateless", "stateless\n    unseen: stateful"),
            "own.yaml:3:13: `unseen` is for rows",
        ),
        (
            &*ROW.replace("stateless", "body_decides\n    unseen: stateful"),
            "own.yaml:3:13: `why`: say what",
        ),
        (
            &*ROW.replace("stateless", "stateless\n    source: nobody"),
            "own.yaml:6:13: there is no source `nobody`",
        ),
        (
            &*ROW.replace("stateless", "stateless\n    colour: red"),
            "unknown field `colour`",
        ),
        (
            &*ROW.replace("routes:", "hosts: {opena: [openai]}\nroutes:"),
            "own.yaml: there is no dialect `opena`",
        ),
    ] {
        let error = RouteTable::from_texts(&[("own.yaml", text)]).expect_err(text);
        assert!(error.to_string().contains(expected), "{error}\n{text}");
    }
}

/// Every route of the lists that the table was made from has a class. `OBSERVER_ROUTES` names their folder.
#[test]
fn every_listed_route_has_a_class() {
    let Ok(folder) = std::env::var("OBSERVER_ROUTES") else {
        println!("skipped: set OBSERVER_ROUTES to a folder of route lists");
        return;
    };
    let names = NameTable::embedded().expect("names");
    let table = RouteTable::embedded().expect("routes");
    let read = |file: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(format!("{folder}/{file}")).expect(file);
        serde_json::from_str(&text).expect(file)
    };
    let mut lists: Vec<(String, serde_json::Value)> = Vec::new();
    for (host, file) in [
        (
            "api.openai.com",
            "openai-openapi-2.3.0-20260821-routes.json",
        ),
        ("api.openai.com", "openai-python-3.54.0-routes.json"),
        ("api.anthropic.com", "anthropic-python-2.12.0-routes.json"),
    ] {
        lists.push((host.to_owned(), read(file)));
    }
    let serde_json::Value::Object(services) = read("aws-ai-operations-botocore-1.44.5.json") else {
        panic!("not an object");
    };
    for (service, list) in services {
        let label = match service.as_str() {
            "sagemaker-runtime" => "runtime.sagemaker",
            "sagemaker-inference-router-runtime" => "inferencerouter-runtime.sagemaker",
            other => other,
        };
        lists.push((format!("{label}.us-east-1.amazonaws.com"), list));
    }
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut without = Vec::new();
    for (host, list) in &lists {
        let name = HostName::from_wire(host.as_bytes()).expect(host);
        let known = names.identify(&name).unwrap_or_default();
        for route in list.as_array().expect("a list") {
            let method = route["method"].as_str().expect("a method");
            let path = route["path"].as_str().expect("a path");
            let path: String = path
                .split('?')
                .next()
                .unwrap_or_default()
                .replace(['{', '}', '+'], "");
            let request = Request {
                method,
                path: &path,
                is_cut: false,
            };
            let typed = table.typed(&request);
            let state = typed.as_ref().and_then(|typed| typed.on(&known));
            let state = state.map(|route| route.kind.state);
            let state = state.or(known.is_control.then_some(ApiState::ControlPlane));
            match state {
                Some(state) => *counts.entry((host.clone(), state.word())).or_default() += 1,
                None => without.push(format!("{method} {host} {path}")),
            }
        }
    }
    for ((host, state), count) in &counts {
        println!("{host} {state} {count}");
    }
    assert!(
        without.is_empty(),
        "{} without: {without:#?}",
        without.len()
    );
}
