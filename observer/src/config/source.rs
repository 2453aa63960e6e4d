//! The layers put on one another: flag, then environment, then file, then default. All of it happens or nothing: a
//! configuration is read and checked whole before anybody uses a part of it.

use std::{ffi::OsString, fmt::Write as _, path::PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Config, ConfigError, Conflict, Known, Layer, Place, file, layer::variable};

/// Where the configuration comes from: what the process was started with, and the file that can be read again.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub flags: Layer,
    environment: Layer,
    pub file: Option<PathBuf>,
}

/// The variable that names the file.
const FILE_VARIABLE: &str = "OBSERVER_CONFIG";

impl Sources {
    /// `variable` reads the environment. An empty variable says nothing; others that begin with `OBSERVER_` are not
    /// ours to judge, since Kubernetes makes some for a service of that name.
    pub fn new(
        flags: Layer,
        file: Option<PathBuf>,
        read: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let mut environment = Layer::default();
        let said = |name: &str| read(name).filter(|value| !value.is_empty());
        for key in Layer::NAMES {
            let name = variable(key);
            let Some(value) = said(&name) else {
                continue;
            };
            let parsed = match value.to_str() {
                Some(text) => environment.parse(key, text),
                None => Err("is not UTF-8".to_owned()),
            };
            parsed.map_err(|what| ConfigError {
                place: Place::Environment(name),
                what,
            })?;
        }
        Ok(Self {
            flags,
            environment,
            file: file.or_else(|| said(FILE_VARIABLE).map(PathBuf::from)),
        })
    }

    /// Reads the file, if there is one, and puts the layers on one another.
    pub fn load(&self, known: Known<'_>) -> Result<Loaded, ConfigError> {
        let file = match &self.file {
            Some(path) => file::read(path)?,
            None => Layer::default(),
        };
        let effective = self
            .flags
            .clone()
            .over(&self.environment)
            .over(&file)
            .over(&Layer::defaults());
        let origins = Layer::NAMES
            .iter()
            .map(|key| (*key, self.origin(key, &file)))
            .collect();
        let config =
            Config::of(&effective, known).map_err(|conflict| self.named(&file, conflict))?;
        Ok(Loaded {
            version: version(&effective),
            config,
            effective,
            origins,
        })
    }

    /// Reads the file again for a running agent: what cannot change keeps its value of `old`. Returns the keys that
    /// did so, too.
    pub fn load_again(
        &self,
        old: &Loaded,
        known: Known<'_>,
    ) -> Result<(Loaded, Vec<&'static str>), ConfigError> {
        let mut new = self.load(known)?;
        let kept = new.effective.keep(&old.effective);
        if !kept.is_empty() {
            new.config = Config::of(&new.effective, known).map_err(|mut conflict| {
                let _ = write!(
                    conflict.what,
                    " (`{}` cannot change without a restart)",
                    kept.join("`, `")
                );
                self.named(&Layer::default(), conflict)
            })?;
            new.version = version(&new.effective);
        }
        Ok((new, kept))
    }

    fn origin(&self, key: &'static str, file: &Layer) -> Origin {
        if self.flags.says(key) {
            Origin::Flag(Layer::flag(key).unwrap_or(key))
        } else if self.environment.says(key) {
            Origin::Environment(variable(key))
        } else {
            match &self.file {
                Some(path) if file.says(key) => Origin::File(path.clone()),
                Some(_) | None => Origin::Default,
            }
        }
    }

    /// The conflict with the place where its key got its value.
    fn named(&self, file: &Layer, conflict: Conflict) -> ConfigError {
        ConfigError {
            place: match self.origin(conflict.key, file) {
                Origin::Flag(flag) => Place::Flag(flag),
                Origin::Environment(name) => Place::Environment(name),
                Origin::File(path) => Place::FileKey(path, conflict.key),
                Origin::Default => Place::Default(conflict.key),
            },
            what: conflict.what,
        }
    }
}

/// A configuration that holds together, and where it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// Names what is in force: the same for the same values, wherever they came from. Nothing in it is secret, files that
    /// are named have their path in it and not their contents.
    pub version: String,
    pub(super) effective: Layer,
    pub(super) origins: Vec<(&'static str, Origin)>,
}

impl Loaded {
    /// Keys whose values differ from those of `old`.
    pub fn changed_since(&self, old: &Self) -> Vec<&'static str> {
        self.effective.differing(&old.effective)
    }
}

/// Who gave a key its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag(&'static str),
    Environment(String),
    File(PathBuf),
    Default,
}

/// Bytes of the hash that are kept.
const VERSION_BYTES: usize = 6;

fn version(effective: &Layer) -> String {
    let mut hash = Sha256::new();
    for key in Layer::NAMES {
        hash.update(format!("{key}={}\n", effective.shown(key)));
    }
    let mut version = String::new();
    for byte in hash.finalize().iter().take(VERSION_BYTES) {
        let _ = write!(version, "{byte:02x}");
    }
    version
}
