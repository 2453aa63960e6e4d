//! Any method and path as a request, and any text as a table of requests: an answer in which nothing of the path is but what may be
//! kept, or none; an error with a place that is in the text.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use observer_core::{
    identify::{
        name::NameIdentity,
        route::{Request, RouteTable},
    },
    model::names::ApiFamily,
};

fuzz_target!(|data: &[u8]| {
    static TABLE: OnceLock<RouteTable> = OnceLock::new();
    let table = TABLE.get_or_init(|| RouteTable::embedded().expect("the embedded table is whole"));
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Some((method, path)) = text.split_once(' ') {
        for is_cut in [false, true] {
            typed(table, method, path, is_cut);
        }
    }
    match RouteTable::from_texts(&[("fuzzed", text)]) {
        Ok(own) => typed(&own, "POST", "/v1/a/b:c", false),
        Err(error) => {
            // A lone carriage return ends a line of YAML too.
            let lines = text.split(['\n', '\r']).count() + 1;
            assert!(
                error
                    .place
                    .is_none_or(|(line, _)| (1..=lines).contains(&line))
            );
        }
    }
});

fn typed(table: &RouteTable, method: &str, path: &str, is_cut: bool) {
    let request = Request {
        method,
        path,
        is_cut,
    };
    let Some(typed) = table.typed(&request) else {
        return;
    };
    assert_eq!(&*typed.method, method);
    for family in ApiFamily::ALL {
        let host = NameIdentity {
            api_family: Some(*family),
            ..NameIdentity::default()
        };
        let Some(route) = typed.on(&host) else {
            continue;
        };
        assert!(route.template.starts_with('/'));
        if let Some(model) = &route.model {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte);
            assert!(model.len() <= 128 && model.bytes().all(is_plain), "{model}");
        }
        assert!(route.residency_flags.len() <= 2);
    }
}
