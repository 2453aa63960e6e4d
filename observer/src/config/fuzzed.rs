//! What holds for a file of any bytes, for the fuzz target.

use super::{Config, Layer, file};

/// Whatever `bytes` are, there is a layer or an error of one line, and each value that was read is
/// shown as it can be read again.
pub fn fuzzed(bytes: &[u8]) {
    let layer = match file::parse(bytes) {
        Ok(layer) => layer,
        Err(wrong) => {
            assert!(!wrong.what.contains(['\n', '\r']), "{}", wrong.what);
            assert!(
                wrong
                    .place
                    .is_none_or(|(line, column)| line > 0 && column > 0)
            );
            return;
        }
    };
    for key in Layer::NAMES {
        let text = match layer.shown(key) {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text,
            serde_json::Value::Array(words) if words.is_empty() => continue,
            serde_json::Value::Array(words) if words.iter().all(serde_json::Value::is_string) => {
                let words: Vec<&str> = words.iter().filter_map(|word| word.as_str()).collect();
                if words.iter().any(|word| word.contains(',')) {
                    continue;
                }
                words.join(",")
            }
            other => other.to_string(),
        };
        let mut again = Layer::default();
        again.parse(key, &text).expect("what is shown can be read");
        assert_eq!(again.shown(key), layer.shown(key), "{key}");
    }
    let effective = layer.over(&Layer::defaults());
    if let Ok(config) = Config::of(&effective, &[]) {
        assert!(config.limits.events_bytes.is_power_of_two());
        assert!(config.metrics.idle_expiry >= config.tick);
    }
}
