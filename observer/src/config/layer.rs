//! Every key once, as data: what one layer (flags, environment, file, defaults) says of it, all optional. What the values
//! mean together is not known here.

use serde::de::MapAccess;

use observer_core::model::money::Unit;

use super::value::{
    Absolute, Assumption, ByName, Bytes, Destination, FilePath, IdleExpiry, Labels, Listen,
    Metadata, Name, Paths, Plaintext, SeriesMax, Server, Switch, Tick, UdpFlows, Uplinks, Value,
    Volume, Word, Words, Zone, in_file,
};

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// With a reload.
    Live,
    /// With the next start: what hangs on it is attached, open or sized.
    Restart,
}

/// Declares the keys; the struct and everything that goes over all of them come from the same rows.
macro_rules! keys {
    ($($field:ident: $kind:ty = $name:literal, $flag:expr, $reach:ident;)*) => {
        /// What one layer says.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Layer {
            $(pub $field: Option<$kind>,)*
        }

        impl Layer {
            /// Every key, in the order of the manual.
            pub const NAMES: &[&'static str] = &[$($name),*];

            /// The flag that sets `key` too, where there is one.
            pub fn flag(key: &str) -> Option<&'static str> {
                match key {
                    $($name => $flag,)*
                    _ => None,
                }
            }

            /// Reads the value of `key` out of a file.
            pub(super) fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                match key {
                    $($name => self.$field = map.next_value_seed(in_file::<$kind>())?,)*
                    _ => {}
                }
                Ok(())
            }

            /// Reads the value of `key` out of one word.
            pub(super) fn parse(&mut self, key: &str, text: &str) -> Result<(), String> {
                match key {
                    $($name => self.$field = Some(<$kind>::parse(text)?),)*
                    _ => {}
                }
                Ok(())
            }

            /// This layer, and `lower` where it says nothing.
            pub(super) fn over(self, lower: &Self) -> Self {
                Self { $($field: self.$field.or_else(|| lower.$field.clone()),)* }
            }

            pub(super) fn says(&self, key: &str) -> bool {
                match key {
                    $($name => self.$field.is_some(),)*
                    _ => false,
                }
            }

            /// The value as JSON; null where it says nothing.
            pub fn shown(&self, key: &str) -> serde_json::Value {
                match key {
                    $($name => self.$field.as_ref().map_or(serde_json::Value::Null, Value::shown),)*
                    _ => serde_json::Value::Null,
                }
            }

            /// Takes from `old` what cannot change without a restart; returns the keys that would have.
            pub(super) fn keep(&mut self, old: &Self) -> Vec<&'static str> {
                let mut kept = Vec::new();
                $(if Reach::$reach == Reach::Restart && self.$field != old.$field {
                    self.$field.clone_from(&old.$field);
                    kept.push($name);
                })*
                kept
            }

            pub fn reach(key: &str) -> Option<Reach> {
                match key {
                    $($name => Some(Reach::$reach),)*
                    _ => None,
                }
            }
        }
    };
}

keys! {
    flows: Destination = "flows", Some("--flows"), Restart;
    listen: Listen = "listen", Some("--listen"), Restart;
    listen_plain: Switch = "listen_plain", Some("--listen-plain"), Restart;
    web_config: FilePath = "web_config", Some("--web-config"), Live;
    tick: Tick = "tick", Some("--tick"), Live;
    host: Name = "host", Some("--host"), Restart;
    cluster: Name = "cluster", Some("--cluster"), Live;
    uplinks: Uplinks = "uplinks", Some("--uplink"), Restart;
    cgroup: Absolute = "cgroup", Some("--cgroup"), Restart;
    pin: Absolute = "pin", Some("--pin"), Restart;
    captures: Switch = "captures", None, Restart;
    plaintext: Plaintext = "plaintext", None, Restart;
    inference: Switch = "inference", None, Live;
    source_cloud: Word = "source.cloud", Some("--source"), Live;
    source_account: Word = "source.account", Some("--source"), Live;
    source_region: Word = "source.region", Some("--source"), Live;
    source_zone: Word = "source.zone", Some("--source"), Live;
    source_instance: Word = "source.instance", Some("--source"), Live;
    source_metadata: Metadata = "source.metadata", Some("--metadata"), Live;
    paths: Paths = "paths", None, Live;
    catalog_table: FilePath = "catalog.table", None, Live;
    catalog_networks: FilePath = "catalog.networks", None, Live;
    catalog_names: FilePath = "catalog.names", None, Live;
    catalog_routes: FilePath = "catalog.routes", None, Live;
    price_files: Words = "price.files", None, Live;
    price_assumption: Assumption = "price.assumption", None, Live;
    price_volumes: ByName<Volume> = "price.volumes", None, Live;
    price_own: Words = "price.own", None, Live;
    price_variants: Words = "price.variants", None, Live;
    price_units: ByName<Unit> = "price.units", None, Live;
    price_months: ByName<Zone> = "price.months", None, Live;
    contracts_files: Words = "contracts.files", None, Live;
    contracts_alertmanager: Server = "contracts.alertmanager", None, Live;
    contracts_alertmanager_token_file: FilePath = "contracts.alertmanager_token_file", None, Live;
    metrics_series_max: SeriesMax = "metrics.series_max", None, Live;
    metrics_idle_expiry: IdleExpiry = "metrics.idle_expiry", None, Live;
    metrics_opencost: Switch = "metrics.opencost", None, Live;
    metrics_labels: Labels = "metrics.labels", None, Live;
    limits_udp_flows: UdpFlows = "limits.udp_flows", Some("--udp-flows-max"), Restart;
    limits_events_bytes: Bytes = "limits.events_bytes", Some("--events-bytes"), Restart;
    limits_reads_bytes: Bytes = "limits.reads_bytes", Some("--reads-bytes"), Restart;
}

impl Layer {
    /// What holds where nobody says anything.
    pub fn defaults() -> Self {
        Self {
            listen_plain: Some(Switch::default()),
            tick: Some(Tick::default()),
            captures: Some(Switch(true)),
            plaintext: Some(Plaintext::default()),
            inference: Some(Switch(true)),
            uplinks: Some(Uplinks::default()),
            source_metadata: Some(Metadata::default()),
            paths: Some(Paths::default()),
            price_files: Some(Words::default()),
            price_assumption: Some(Assumption::default()),
            price_volumes: Some(ByName::default()),
            price_own: Some(Words::default()),
            price_variants: Some(Words::default()),
            price_units: Some(ByName::default()),
            price_months: Some(ByName::default()),
            contracts_files: Some(Words::default()),
            metrics_series_max: Some(SeriesMax::default()),
            metrics_idle_expiry: Some(IdleExpiry::default()),
            metrics_opencost: Some(Switch::default()),
            metrics_labels: Some(Labels::default()),
            limits_udp_flows: Some(UdpFlows::default()),
            limits_events_bytes: Some(Bytes::default()),
            limits_reads_bytes: Some(Bytes::default()),
            ..Self::default()
        }
    }

    /// Keys of `self` whose values differ in `other`.
    pub(super) fn differing(&self, other: &Self) -> Vec<&'static str> {
        Self::NAMES
            .iter()
            .copied()
            .filter(|key| self.shown(key) != other.shown(key))
            .collect()
    }
}

/// Name of the variable that sets `key`.
pub fn variable(key: &str) -> String {
    format!("OBSERVER_{}", key.replace('.', "_").to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_section_have_variables_of_their_own() {
        for (key, name) in [
            ("listen", "OBSERVER_LISTEN"),
            ("listen_plain", "OBSERVER_LISTEN_PLAIN"),
            ("metrics.series_max", "OBSERVER_METRICS_SERIES_MAX"),
        ] {
            assert_eq!(variable(key), name);
        }
        let names: std::collections::BTreeSet<String> =
            Layer::NAMES.iter().map(|key| variable(key)).collect();
        assert_eq!(names.len(), Layer::NAMES.len());
    }

    #[test]
    fn what_is_attached_keeps_its_value() {
        let old = Layer::defaults();
        let mut new = Layer::defaults();
        for (key, text) in [
            ("host", "b"),
            ("tick", "1s"),
            ("limits.reads_bytes", "8192"),
        ] {
            new.parse(key, text).expect("parses");
        }
        assert_eq!(new.differing(&old), ["tick", "host", "limits.reads_bytes"]);
        assert_eq!(new.keep(&old), ["host", "limits.reads_bytes"]);
        assert_eq!(new.differing(&old), ["tick"]);
    }
}
