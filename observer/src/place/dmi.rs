//! What the firmware's tables say of the machine, and which cloud that makes it. Sends no packet; reads a few small files
//! that need no privilege.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

/// Longest value taken; sysfs gives no more than a page.
const VALUE_BYTES_MAX: u64 = 4_096;

/// Where the tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// One file a string.
    pub dmi: PathBuf,
    /// A Xen guest's id.
    pub hypervisor_uuid: PathBuf,
}

impl Default for Directories {
    fn default() -> Self {
        Self {
            dmi: "/sys/class/dmi/id".into(),
            hypervisor_uuid: "/sys/hypervisor/uuid".into(),
        }
    }
}

impl Directories {
    /// Everything in one directory: of a test, or of another machine.
    pub fn within(directory: &Path) -> Self {
        Self {
            dmi: directory.to_owned(),
            hypervisor_uuid: directory.join("hypervisor_uuid"),
        }
    }
}

/// The strings that tell clouds apart, as the files have them, without blanks around; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dmi {
    pub sys_vendor: String,
    pub product_name: String,
    pub board_vendor: String,
    pub board_asset_tag: String,
    pub chassis_asset_tag: String,
    pub bios_vendor: String,
    pub bios_version: String,
    pub hypervisor_uuid: String,
}

impl Dmi {
    /// A file that is not there or cannot be read is an empty string: many machines have no such table.
    pub fn read(from: &Directories) -> Self {
        let value = |name: &str| value(&from.dmi.join(name));
        Self {
            sys_vendor: value("sys_vendor"),
            product_name: value("product_name"),
            board_vendor: value("board_vendor"),
            board_asset_tag: value("board_asset_tag"),
            chassis_asset_tag: value("chassis_asset_tag"),
            bios_vendor: value("bios_vendor"),
            bios_version: value("bios_version"),
            hypervisor_uuid: self::value(&from.hypervisor_uuid),
        }
    }

    /// The cloud's word, where the strings leave no doubt.
    pub fn cloud(&self) -> Option<&'static str> {
        let vendors = [&self.sys_vendor, &self.board_vendor, &self.bios_vendor];
        let made_by = |vendor: &str| vendors.into_iter().any(|found| found == vendor);
        // `Microsoft Corporation` is any Hyper-V; the tag is Azure's alone. `Google` makes Chromebooks too.
        if self.chassis_asset_tag == "7783-7084-3265-9085-8269-3286-77" {
            Some("azure")
        } else if self.chassis_asset_tag == "OracleCloud.com" {
            Some("oci")
        } else if made_by("Amazon EC2") || self.is_ec2_on_xen() {
            Some("aws")
        } else if made_by("Google") && self.product_name.starts_with("Google") {
            Some("gcp")
        } else if made_by("DigitalOcean") {
            Some("digitalocean")
        } else if made_by("Hetzner") {
            Some("hetzner")
        } else if made_by("Alibaba Cloud") {
            Some("alibaba")
        } else if made_by("Scaleway") {
            Some("scaleway")
        } else {
            None
        }
    }

    /// Id of the instance, where the tables have it: Nitro's board carries it as its asset tag.
    pub fn instance(&self) -> Option<&str> {
        let digits = self.board_asset_tag.strip_prefix("i-")?;
        let is_id = matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        (is_id && self.cloud() == Some("aws")).then_some(self.board_asset_tag.as_str())
    }

    /// One Xen guest in 4,096 anywhere has an id that begins like this by chance: it counts where the tables say Amazon
    /// besides, or where there are no tables (a paravirtual guest has none).
    fn is_ec2_on_xen(&self) -> bool {
        let uuid = self.hypervisor_uuid.to_ascii_lowercase();
        let no_tables = self.sys_vendor.is_empty() && self.bios_version.is_empty();
        let says_amazon = self.bios_version.to_ascii_lowercase().contains("amazon");
        says_amazon || (uuid.starts_with("ec2") && no_tables)
    }
}

fn value(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(VALUE_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sys_vendor, product_name, board_vendor, board_asset_tag, chassis_asset_tag, bios_vendor, bios_version,
    /// hypervisor_uuid; what they make it; the instance.
    #[rustfmt::skip]
    const MACHINES: &[([&str; 8], Option<&str>, Option<&str>)] = &[
        (["Amazon EC2", "c6i.large", "Amazon EC2", "i-0abcdef1234567890", "Amazon EC2", "Amazon EC2", "1.0", ""], Some("aws"), Some("i-0abcdef1234567890")),
        (["Amazon EC2", "m7g.metal", "Not Specified", "", "", "Amazon EC2", "1.0", ""], Some("aws"), None),
        (["Amazon EC2", "c6i.large", "Amazon EC2", "i-no-id-of-theirs", "", "", "", ""], Some("aws"), None),
        (["Xen", "HVM domU", "", "", "", "Xen", "4.11.amazon", "ec2e1916-9099-7caf-fd21-012345abcdef"], Some("aws"), None),
        (["", "", "", "", "", "", "", "EC2E1916-9099-7CAF-FD21-012345ABCDEF"], Some("aws"), None),
        (["Xen", "HVM domU", "", "", "", "Xen", "4.17.2", "ec2e1916-9099-7caf-fd21-012345abcdef"], None, None),
        (["Xen", "HVM domU", "", "", "", "Xen", "4.17.2", "0dbe1916-9099-7caf-fd21-012345abcdef"], None, None),
        (["Microsoft Corporation", "Virtual Machine", "Microsoft Corporation", "None", "7783-7084-3265-9085-8269-3286-77", "Microsoft Corporation", "Hyper-V UEFI Release v4.1", ""], Some("azure"), None),
        (["Microsoft Corporation", "Virtual Machine", "Microsoft Corporation", "None", "4568-2345-6432-9324-3433-2346-47", "American Megatrends Inc.", "090008", ""], None, None),
        (["Google", "Google Compute Engine", "Google", "", "", "Google", "Google", ""], Some("gcp"), None),
        (["Google", "Eve", "Google", "", "", "coreboot", "Google_Eve.9584.230.0", ""], None, None),
        (["QEMU", "Standard PC (i440FX + PIIX, 1996)", "", "", "OracleCloud.com", "SeaBIOS", "1.4.1", ""], Some("oci"), None),
        (["Oracle Corporation", "ORACLE SERVER X9-2c", "Oracle Corporation", "", "OracleCloud.com", "American Megatrends Inc.", "66050200", ""], Some("oci"), None),
        (["Oracle Corporation", "ORACLE SERVER X9-2c", "Oracle Corporation", "", "00000000", "American Megatrends Inc.", "66050200", ""], None, None),
        (["DigitalOcean", "Droplet", "DigitalOcean", "", "", "DigitalOcean", "20171212", ""], Some("digitalocean"), None),
        (["Hetzner", "vServer", "KVM", "", "", "Hetzner", "20171111", ""], Some("hetzner"), None),
        (["Alibaba Cloud", "Alibaba Cloud ECS", "", "", "", "SeaBIOS", "449e491", ""], Some("alibaba"), None),
        (["Scaleway", "SCW-PLAY2-PICO", "", "", "", "EFI Development Kit II / OVMF", "0.0.0", ""], Some("scaleway"), None),
        (["QEMU", "Standard PC (Q35 + ICH9, 2009)", "", "", "", "SeaBIOS", "1.16.2", ""], None, None),
        (["VMware, Inc.", "VMware Virtual Platform", "Intel Corporation", "", "No Asset Tag", "Phoenix Technologies LTD", "6.00", ""], None, None),
        (["Dell Inc.", "PowerEdge R740", "Dell Inc.", "i-0abcdef1234567890", "", "Dell Inc.", "2.19.1", ""], None, None),
        (["", "", "", "", "", "", "", ""], None, None),
    ];

    fn dmi(strings: &[&str; 8]) -> Dmi {
        let [
            sys_vendor,
            product_name,
            board_vendor,
            board_asset_tag,
            chassis_asset_tag,
            bios_vendor,
            bios_version,
            hypervisor_uuid,
        ] = strings.map(str::to_owned);
        Dmi {
            sys_vendor,
            product_name,
            board_vendor,
            board_asset_tag,
            chassis_asset_tag,
            bios_vendor,
            bios_version,
            hypervisor_uuid,
        }
    }

    #[test]
    fn strings_name_the_cloud_or_none() {
        for (strings, cloud, instance) in MACHINES {
            let dmi = dmi(strings);
            assert_eq!(dmi.cloud(), *cloud, "{strings:?}");
            assert_eq!(dmi.instance(), *instance, "{strings:?}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_says_nothing() {
        let nowhere = Directories::within(Path::new("/proc/self/no-such-directory"));
        assert_eq!(Dmi::read(&nowhere), Dmi::default());
    }
}
