//! Any bytes as a client's handshake stream, and as a QUIC Initial: what is whole stays whole when more follows.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::{
    decode::{
        hello::{Hello, client_hello},
        quic::initial,
    },
    model::signal::AskedBy,
};

fuzz_target!(|data: &[u8]| {
    if let Hello::Whole(asked) = client_hello(data, AskedBy::TlsHello) {
        let more = [data, b"more"].concat();
        assert_eq!(client_hello(&more, AskedBy::TlsHello), Hello::Whole(asked));
    }
    if let Ok(opened) = initial(data, None) {
        assert!(initial(data, Some(&opened.keys)).is_ok());
    }
});
