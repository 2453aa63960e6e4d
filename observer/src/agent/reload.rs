//! SIGHUP: the configuration is read again, and taken whole or not at all.

use std::{sync::Arc, time::Duration};

use observer_core::model::record::RecordContext;

use super::{Agent, settings::Settings};
use crate::{
    config::{Loaded, Sources},
    metrics::{self, Shared},
};

/// The configuration in force, and where to look for the next one.
pub struct Reload {
    sources: Sources,
    in_force: Loaded,
}

impl Reload {
    /// Starts with what was read before the agent started.
    pub fn new(settings: Settings, shared: &Shared) -> Self {
        let reload = Self {
            sources: settings.sources,
            in_force: settings.loaded,
        };
        reload.publish(shared, true);
        reload
    }

    /// One line for the service manager.
    pub fn status(&self) -> String {
        format!("counting, config_version {}", self.in_force.version)
    }

    pub fn tick(&self) -> Duration {
        self.in_force.config.tick
    }

    /// Reads the configuration again. Whatever is wrong with it, the agent goes on as before.
    pub fn again(&mut self, agent: &mut Agent, shared: &Shared) {
        let Some(file) = self
            .sources
            .file
            .as_ref()
            .map(|file| file.display().to_string())
        else {
            eprintln!("observer: nothing to reload: the agent was started without `--config`");
            return;
        };
        let known = metrics::known_labels();
        let (loaded, kept) = match self.sources.load_again(&self.in_force, &known) {
            Ok(loaded) => loaded,
            Err(error) => {
                eprintln!("observer: reload failed, the old configuration stays: {error}");
                self.publish(shared, false);
                return;
            }
        };
        if !kept.is_empty() {
            eprintln!(
                "observer: `{}` in `{file}` changed and keep their old values until a restart",
                kept.join("`, `")
            );
        }
        let changed = match loaded.changed_since(&self.in_force) {
            none if none.is_empty() => "nothing".to_owned(),
            keys => format!("`{}`", keys.join("`, `")),
        };
        agent.take_over(&loaded);
        eprintln!(
            "observer: reloaded `{file}`: {changed} changed, config_version `{}`",
            loaded.version
        );
        self.in_force = loaded;
        self.publish(shared, true);
    }

    fn publish(&self, shared: &Shared, success: bool) {
        if let Some(file) = &self.sources.file {
            shared.publish_reload(&file.display().to_string(), success);
        }
    }
}

impl Agent {
    /// Works by `loaded` from the next record on. Cannot fail: it was checked whole.
    fn take_over(&mut self, loaded: &Loaded) {
        let context = Arc::new(with_config(&self.context, loaded));
        self.pipeline.set_context(Arc::clone(&context));
        self.context = context;
    }
}

/// The context with what the configuration says of it; the host keeps its name.
pub fn with_config(context: &RecordContext, loaded: &Loaded) -> RecordContext {
    let (config, source) = (&loaded.config, &loaded.config.source);
    RecordContext {
        cluster: config.cluster.clone(),
        config_version: Some(loaded.version.clone()),
        source: observer_core::model::record::SourcePlace {
            cloud: source.cloud.clone(),
            account: source.account.clone(),
            region: source.region.clone(),
            zone: source.zone.clone(),
            instance: source.instance.clone(),
        },
        ..context.clone()
    }
}
