//! Name files of any text laid over the embedded ones: a table or an error that names the line; and any bytes as a name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::{
    identify::name::{EMBEDDED, EMBEDDED_AWS, NameTable},
    model::host_name::HostName,
};

fuzz_target!(|data: &[u8]| {
    static TABLE: std::sync::OnceLock<NameTable> = std::sync::OnceLock::new();
    let table =
        TABLE.get_or_init(|| NameTable::from_texts(&[EMBEDDED_AWS, EMBEDDED]).expect("whole"));
    if let Ok(name) = HostName::from_wire(data) {
        let found = table.identify(&name);
        // Case and a trailing dot mean nothing.
        let other = format!("{}.", name.to_ascii_uppercase());
        let other = HostName::from_wire(other.as_bytes()).expect("the same name");
        assert_eq!(table.identify(&other), found);
    }
    if let Ok(text) = str::from_utf8(data)
        && let Err(error) = NameTable::from_texts(&[text])
    {
        assert!(error.line >= 1 && error.line <= text.lines().count());
    }
});
