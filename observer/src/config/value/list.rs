//! Values that are lists: uplinks, and labels by metric.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use observer_ebpf::abi;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

use super::{Value, cited};

/// One interface: `DEVICE`, or `NAMESPACE:DEVICE` with a path to a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Path of the namespace; `None` = the agent's own.
    pub netns: Option<PathBuf>,
    pub device: String,
}

/// IFNAMSIZ, with its final zero.
const DEVICE_BYTES_MAX: usize = 15;

impl Value for Uplink {
    const WANTED: &'static str = "an interface such as `eth0` or `/run/netns/blue:eth0`";

    fn parse(text: &str) -> Result<Self, String> {
        let (netns, device) = match text.rsplit_once(':') {
            Some((netns, device)) => (Some(netns), device),
            None => (None, text),
        };
        let wrong = |what: &str| {
            format!(
                "`{}` {what}; write `eth0` or `/run/netns/blue:eth0`",
                cited(text)
            )
        };
        if text.is_empty() {
            return Err(format!("no value; give {}", Self::WANTED));
        }
        if device.is_empty() {
            return Err(wrong("names no device"));
        }
        if device.len() > DEVICE_BYTES_MAX {
            return Err(wrong(
                "has a longer device name than the kernel takes, 15 bytes",
            ));
        }
        if matches!(device, "." | "..")
            || device.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
        {
            return Err(wrong("has no interface name"));
        }
        if netns.is_some_and(|path| !path.starts_with('/') || path.contains(char::is_control)) {
            return Err(wrong("names a namespace by no path from `/`"));
        }
        Ok(Self {
            netns: netns.map(PathBuf::from),
            device: device.to_owned(),
        })
    }

    fn shown(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

impl fmt::Display for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.netns {
            Some(netns) => write!(f, "{}:{}", netns.display(), self.device),
            None => f.write_str(&self.device),
        }
    }
}

/// No interface twice, and no more than the kernel's table has rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uplinks(Vec<Uplink>);

impl Uplinks {
    pub fn of(uplinks: impl IntoIterator<Item = Uplink>) -> Result<Self, String> {
        let mut all = Self::default();
        uplinks.into_iter().try_for_each(|uplink| all.add(uplink))?;
        Ok(all)
    }

    pub fn into_vec(self) -> Vec<Uplink> {
        self.0
    }

    fn add(&mut self, uplink: Uplink) -> Result<(), String> {
        if self.0.contains(&uplink) {
            return Err(format!("`{uplink}` is named twice"));
        }
        if self.0.len() == abi::UPLINKS_MAX as usize {
            return Err(format!(
                "`{uplink}` is one too many; at most {} uplinks can be balanced",
                abi::UPLINKS_MAX
            ));
        }
        self.0.push(uplink);
        Ok(())
    }
}

impl Value for Uplinks {
    const WANTED: &'static str = "a list of interfaces such as `[eth0, \"/run/netns/blue:eth0\"]`";

    /// Separated by commas.
    fn parse(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for word in text.split(',') {
            all.add(Uplink::parse(word.trim())?)?;
        }
        Ok(all)
    }

    fn shown(&self) -> serde_json::Value {
        self.0.iter().map(Value::shown).collect()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(UplinksVisitor)
    }
}

struct UplinksVisitor;

impl<'de> Visitor<'de> for UplinksVisitor {
    type Value = Uplinks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Uplinks::WANTED)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Uplinks, A::Error> {
        let mut all = Uplinks::default();
        // Added inside the element, so that an error has its place.
        while items
            .next_element_seed(Element(
                |text: &str| all.add(Uplink::parse(text)?),
                Uplink::WANTED,
            ))?
            .is_some()
        {}
        Ok(all)
    }
}

/// One scalar of a list or one key of a mapping, handed to a function.
struct Element<F>(F, &'static str);

impl<'de, T, F: FnMut(&str) -> Result<T, String>> DeserializeSeed<'de> for Element<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnMut(&str) -> Result<T, String>> Visitor<'_> for Element<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// Labels kept, by metric. Whether metric and labels are there is not known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, Vec<String>>);

/// More than there are.
const METRICS_MAX: usize = 64;
const LABELS_MAX: usize = 32;
const WORD_BYTES_MAX: usize = 128;

impl Value for Labels {
    const WANTED: &'static str =
        "lists of labels by metric, such as `{observer_flows_total: [cloud, outcome]}`";

    /// As YAML has it.
    fn parse(text: &str) -> Result<Self, String> {
        serde_norway::Deserializer::from_str(text)
            .deserialize_map(LabelsVisitor)
            .map_err(|error| error.to_string())
    }

    fn shown(&self) -> serde_json::Value {
        serde_json::to_value(&self.0).unwrap_or_default()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Labels::WANTED)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut all = BTreeMap::new();
        loop {
            let metric = Element(
                |text: &str| {
                    if all.contains_key(text) {
                        return Err(format!("metric `{}` is named twice", cited(text)));
                    }
                    if all.len() == METRICS_MAX {
                        return Err(format!("more than {METRICS_MAX} metrics are named"));
                    }
                    prometheus_word(text)
                },
                "the name of a metric",
            );
            let Some(metric) = map.next_key_seed(metric)? else {
                return Ok(Labels(all));
            };
            let labels = map.next_value_seed(LabelList)?;
            all.insert(metric, labels);
        }
    }
}

struct LabelList;

impl<'de> DeserializeSeed<'de> for LabelList {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for LabelList {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of labels such as `[cloud, region]`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        let mut all = Vec::new();
        loop {
            let label = Element(
                |text: &str| {
                    if all.iter().any(|known| known == text) {
                        return Err(format!("label `{}` is named twice", cited(text)));
                    }
                    if all.len() == LABELS_MAX {
                        return Err(format!("more than {LABELS_MAX} labels are named"));
                    }
                    prometheus_word(text)
                },
                "the name of a label",
            );
            match items.next_element_seed(label)? {
                Some(label) => all.push(label),
                None => return Ok(all),
            }
        }
    }
}

fn prometheus_word(text: &str) -> Result<String, String> {
    let right = !text.is_empty()
        && text.len() <= WORD_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match right {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{}` is not a name that Prometheus takes, of letters, digits and `_`",
            cited(text)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uplinks_name_a_device_and_perhaps_a_namespace() {
        for (text, right) in [
            ("eth0", true),
            ("/run/netns/x:eth0", true),
            ("/run/netns/a:b:eth0", true),
            ("a234567890123456", false),
            ("/run/netns/x:", false),
            ("blue:eth0", false),
            ("eth 0", false),
            ("..", false),
            ("", false),
        ] {
            let parsed = Uplink::parse(text);
            assert_eq!(parsed.is_ok(), right, "{text}");
            assert!(parsed.map_or(true, |uplink| uplink.to_string() == text));
        }
        assert!(Uplinks::parse("eth0, eth1").is_ok());
        assert!(Uplinks::parse("eth0,eth0").is_err());
        assert!(Uplinks::parse("a,b,c,d,e,f,g,h").is_ok());
        assert!(Uplinks::parse("a,b,c,d,e,f,g,h,i").is_err());
    }

    #[test]
    fn labels_are_lists_by_metric() {
        for (text, right) in [
            ("{a: [b, c], d: []}", true),
            ("{a: [b, b]}", false),
            ("{a: [b], a: [c]}", false),
            ("{a: b}", false),
            ("[a]", false),
            ("{a-b: [c]}", false),
            ("{a: [[b]]}", false),
        ] {
            assert_eq!(Labels::parse(text).is_ok(), right, "{text}");
        }
    }
}
