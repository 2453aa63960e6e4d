//! Where the host stands, as one series whose value is always 1: joined to the others by instance.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use observer_core::model::{names::UNKNOWN, record::SourcePlace};
use prometheus::{
    core::{Collector, Desc},
    proto,
};

use super::{
    collector::{Family, descs},
    declare::{OF_PLACE, SOURCE_INFO},
};

/// Serves whatever was said last.
pub struct PlaceCollector {
    source: Arc<Mutex<SourcePlace>>,
    descs: Vec<Desc>,
}

impl PlaceCollector {
    /// # Errors
    /// Where a declared name is none that Prometheus takes.
    pub fn new(source: Arc<Mutex<SourcePlace>>) -> Result<Self> {
        Ok(Self {
            source,
            descs: descs(OF_PLACE)?,
        })
    }
}

impl Collector for PlaceCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let SourcePlace {
            cloud,
            account,
            region,
            zone,
            ..
        } = &*source;
        let labels =
            [cloud, account, region, zone].map(|value| value.as_deref().unwrap_or(UNKNOWN));
        let mut family = Family::new(SOURCE_INFO);
        family.add(&labels, 1.0);
        vec![family.finish()]
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn what_is_not_known_is_unknown_and_the_rest_follows() {
        let source = Arc::new(Mutex::new(SourcePlace::default()));
        let registry = Registry::new();
        let collector = PlaceCollector::new(Arc::clone(&source)).expect("declared");
        registry.register(Box::new(collector)).expect("registered");
        let line = || {
            let text = TextEncoder::new().encode_to_string(&registry.gather());
            let text = text.expect("written");
            text.lines().last().unwrap_or_default().to_owned()
        };
        assert_eq!(
            line(),
            r#"observer_source_info{source_cloud="unknown",source_account="unknown",source_region="unknown",source_zone="unknown"} 1"#
        );
        *source.lock().expect("nobody panicked") = SourcePlace {
            cloud: Some("aws".to_owned()),
            zone: Some("use1-az1".to_owned()),
            ..SourcePlace::default()
        };
        assert_eq!(
            line(),
            r#"observer_source_info{source_cloud="aws",source_account="unknown",source_region="unknown",source_zone="use1-az1"} 1"#
        );
    }
}
