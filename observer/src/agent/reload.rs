//! SIGHUP: the configuration is read again, and taken whole or not at all.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use observer_core::{
    aggregate::SeriesSettings,
    judge::contract::RuleSet,
    model::{record::RecordContext, time::UnixUs},
    price::plan::Pricing,
};
use tokio::sync::watch;

use super::{
    Agent, clock, context,
    judging::{self, Tellers},
    settings::{Settings, declared, files, overrides, series},
};
use crate::{
    catalog::{NameTables, Networks},
    config::{Config, Loaded, Sources},
    contracts,
    metrics::{self, Shared, Web, WebConfig},
    place::Overrides,
    prices,
};

/// What the files say that a configuration names.
struct Named {
    web: WebConfig,
    series: SeriesSettings,
    pricing: Pricing,
    rules: Option<Arc<RuleSet>>,
    /// `None` where nothing has changed.
    tellers: Option<Tellers>,
}

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
        publish_contracts(&reload.in_force.config, shared, true);
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
        let named = match self.read(&loaded.config, agent, shared) {
            Ok(named) => named,
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
        let judged = |loaded: &Loaded| !loaded.config.contracts.files.is_empty();
        let has_new_series = loaded.config.metrics != self.in_force.config.metrics
            || judged(&loaded) != judged(&self.in_force);
        agent.take_over(&loaded, has_new_series.then_some(&named.series));
        agent.replace_prices(named.pricing);
        agent.replace_rules(named.rules);
        if let Some(tellers) = named.tellers {
            agent.tellers = tellers;
        }
        shared.build(agent.build_info());
        self.web.take(named.web);
        let _ = self.saying.send(overrides(&loaded.config.source));
        self.publish(shared, true);
        eprintln!(
            "observer: reloaded `{file}`: {changed} changed, config_version `{}`",
            loaded.version
        );
        self.in_force = loaded;
    }

    /// Reads every file that a configuration names. The catalogue, whose taking may fail, is in force then; the rest is not yet.
    fn read(&self, config: &Config, agent: &mut Agent, shared: &Shared) -> Result<Named> {
        let web = self.web.read(config.web_config.as_deref())?;
        let series = series(config)?;
        let pricing = prices::pricing(&config.price)?;
        let files = files(config);
        let (networks, names) = (files.addresses()?, files.name_tables()?);
        let rules = contracts::named(&config.contracts.files, &networks.table, &names);
        publish_contracts(config, shared, rules.is_ok());
        let rules = rules?.map(Arc::new);
        let tellers = agent.tellers.next(&config.contracts)?;
        agent.replace_catalogue(networks, names)?;
        Ok(Named {
            web,
            series,
            pricing,
            rules,
            tellers,
        })
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
    fn replace_catalogue(&mut self, networks: Networks, names: NameTables) -> Result<()> {
        let addresses = networks.table;
        let catalogue = &mut self.tables.catalogue;
        let current = self.tables.names.get_mut();
        let has_new_networks = catalogue.table().sha256() != addresses.sha256();
        let has_new_names = current.tables().sha256() != names.sha256();
        if !has_new_networks && !has_new_names {
            current.set_zones(networks.zones);
            return Ok(());
        }
        if has_new_networks {
            let (numbers, told) = catalogue.prepare(&addresses)?;
            self.probe.replace_addresses(&told)?;
            catalogue.take(addresses, numbers);
        }
        let routes = current.replace(names, networks.zones);
        self.tell_routes(&routes);
        let current = self.tables.names.get_mut().tables();
        let version = context::catalog_version(self.tables.catalogue.table(), current);
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

    /// Judges records by other contracts, or none, from now on.
    fn replace_rules(&mut self, rules: Option<Arc<RuleSet>>) {
        let context = context::with_rules(&self.context, rules.as_deref());
        let now = UnixUs::from_ns(clock::now().unix_ns);
        if context.rules_version != self.context.rules_version {
            judging::say(rules.as_deref(), now);
        }
        self.context = Arc::new(context);
        self.pipeline.set_context(Arc::clone(&self.context));
        self.exemptions = judging::exemption_ends(rules.as_deref(), now);
        self.pipeline.set_rules(rules);
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
        names.infer(loaded.config.inference);
    }
}

/// Says of each file or folder of contracts whether its last reading was taken.
fn publish_contracts(config: &Config, shared: &Shared, success: bool) {
    for path in &config.contracts.files {
        shared.publish_reload(&path.display().to_string(), success);
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
