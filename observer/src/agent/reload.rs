//! SIGHUP: the configuration is read again, and taken whole or not at all.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use observer_core::{
    aggregate::SeriesSettings, identify::name::NameTable, model::record::RecordContext,
    price::plan::Pricing,
};
use tokio::sync::watch;

use super::{
    Agent, context,
    settings::{Settings, declared, files, overrides, series},
};
use crate::{
    catalog::Networks,
    config::{Loaded, Sources},
    metrics::{self, Shared, Web},
    place::Overrides,
    prices,
};

/// The configuration in force, and where to look for the next one.
pub struct Reload {
    sources: Sources,
    in_force: Loaded,
    web: Web,
    /// Whatever is sent makes the host's place be asked for again.
    saying: watch::Sender<Overrides>,
}

impl Reload {
    /// Starts with what was read before the agent started.
    pub fn new(
        settings: Settings,
        web: Web,
        saying: watch::Sender<Overrides>,
        shared: &Shared,
    ) -> Self {
        let reload = Self {
            sources: settings.sources,
            in_force: settings.loaded,
            web,
            saying,
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
            self.certificates_again();
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
        let mut read = || {
            let web = self.web.read(loaded.config.web_config.as_deref())?;
            let series = series(&loaded.config.metrics)?;
            let pricing = prices::pricing(&loaded.config.price)?;
            let files = files(&loaded.config);
            agent.replace_catalogue(files.addresses()?, files.names()?)?;
            anyhow::Ok((web, series, pricing))
        };
        let (web, series, pricing) = match read() {
            Ok(read) => read,
            Err(error) => {
                eprintln!("observer: reload failed, the old configuration stays: {error:#}");
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
        let has_new_series = loaded.config.metrics != self.in_force.config.metrics;
        agent.take_over(&loaded, has_new_series.then_some(&series));
        agent.replace_prices(pricing);
        shared.build(agent.build_info());
        self.web.take(web);
        let _ = self.saying.send(overrides(&loaded.config.source));
        eprintln!(
            "observer: reloaded `{file}`: {changed} changed, config_version `{}`",
            loaded.version
        );
        self.in_force = loaded;
        self.publish(shared, true);
    }

    /// Without a file there may still be certificates and tokens that were renewed.
    fn certificates_again(&self) {
        let Some(path) = &self.in_force.config.web_config else {
            eprintln!("observer: nothing to reload: the agent was started without `--config`");
            return;
        };
        match self.web.read(Some(path)) {
            Ok(web) => {
                self.web.take(web);
                eprintln!("observer: reloaded `{}`", path.display());
            }
            Err(error) => eprintln!("observer: reload failed, the old web config stays: {error:#}"),
        }
    }

    fn publish(&self, shared: &Shared, success: bool) {
        if let Some(file) = &self.sources.file {
            shared.publish_reload(&file.display().to_string(), success);
        }
    }
}

impl Agent {
    /// Names flows by other networks and names from now on; programs look addresses up all the while. Reads of the next tick
    /// may still have the old numbers, which keep their meaning.
    ///
    /// # Errors
    /// Where there is no room for the table; the old ones stay in force.
    fn replace_catalogue(&mut self, networks: Networks, names: NameTable) -> Result<()> {
        let addresses = networks.table;
        let catalogue = &mut self.tables.catalogue;
        let current = self.tables.names.get_mut();
        let has_new_networks = catalogue.table().sha256() != addresses.sha256();
        let has_new_names = current.table().sha256() != names.sha256();
        if !has_new_networks && !has_new_names {
            current.set_zones(networks.zones);
            return Ok(());
        }
        if has_new_networks {
            let (numbers, told) = catalogue.prepare(&addresses)?;
            self.probe.replace_addresses(&told)?;
            catalogue.take(addresses, numbers);
        }
        current.replace(names, networks.zones);
        let version = context::catalog_version(catalogue.table(), current.table());
        eprintln!("observer: catalogue `{version}` is in force");
        self.context = Arc::new(RecordContext {
            catalog_version: Some(version),
            ..(*self.context).clone()
        });
        self.pipeline.set_context(Arc::clone(&self.context));
        Ok(())
    }

    /// Prices records by another book, or other assumptions, from now on.
    fn replace_prices(&mut self, mut pricing: Pricing) {
        let version = pricing.book().version();
        if self.context.price_version.as_deref() != Some(version) {
            eprintln!("observer: price book `{version}` is in force");
            self.context = Arc::new(RecordContext {
                price_version: Some(version.to_owned()),
                ..(*self.context).clone()
            });
            self.pipeline.set_context(Arc::clone(&self.context));
        }
        pricing.stand(&self.context.source);
        self.pipeline.set_pricing(Some(pricing));
    }

    /// Works by `loaded` from the next record on. Cannot fail: it was checked whole.
    fn take_over(&mut self, loaded: &Loaded, series: Option<&SeriesSettings>) {
        if let Some(series) = series {
            self.pipeline.set_series(series);
        }
        let context = Arc::new(with_config(&self.context, loaded));
        self.pipeline.set_context(Arc::clone(&context));
        self.context = context;
        let names = self.tables.names.get_mut();
        names.declare(declared(&loaded.config.paths));
    }
}

/// The context with what the configuration says of it; the host keeps its name.
pub fn with_config(context: &RecordContext, loaded: &Loaded) -> RecordContext {
    RecordContext {
        cluster: loaded.config.cluster.clone(),
        config_version: Some(loaded.version.clone()),
        ..context.clone()
    }
}
