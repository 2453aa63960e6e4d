//! Words of requests.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

words! {
    /// How an answer comes where it does not come at once.
    Streaming {
        /// As server-sent events where the body asks for it.
        Asked = "asked",
        /// As Amazon's event stream.
        EventStream = "event_stream",
        /// In chunks of JSON, or server-sent events.
        Chunks = "chunks",
        /// Over a WebSocket.
        Websocket = "websocket",
        /// Both ways at once over HTTP/2.
        Bidirectional = "bidirectional",
    }
}

words! {
    /// What says which request it is.
    TypedWhere {
        /// The kernel half, by the beginning of its line.
        Kernel = "kernel",
        /// The agent, by its line.
        User = "user",
        /// The kernel half, that was told of the same line before.
        Cache = "cache",
        /// Nobody: flows of which it is said what requests of their host are as a rule.
        Inferred = "inferred",
    }
}
