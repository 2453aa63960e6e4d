//! Where this host stands: cloud, account, region, zone, instance. The operator's word first, then the firmware's tables,
//! then the metadata service of exactly the cloud that those name; of no cloud, nobody is asked. Knows no record but its
//! fields, and no agent.

mod answer;
pub mod dmi;
mod field;
mod found;
mod http;
mod service;
mod watch;

use std::str::FromStr;

use self::service::Service;
pub use self::{
    dmi::Dmi,
    field::Field,
    found::{Basis, Found, Missing},
    service::Endpoints,
    watch::watch,
};

/// What the operator says of where the host stands. A field that is set is neither asked for nor overwritten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub cloud: Option<String>,
    pub account: Option<String>,
    pub region: Option<String>,
    pub zone: Option<String>,
    pub instance: Option<String>,
    pub metadata: Metadata,
}

/// Whether the cloud's metadata service may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metadata {
    /// Where the cloud is known, for what is not known yet.
    #[default]
    Auto,
    /// Never: not one packet.
    Off,
}

impl Overrides {
    const fn of(&self, field: Field) -> Option<&String> {
        match field {
            Field::Cloud => self.cloud.as_ref(),
            Field::Account => self.account.as_ref(),
            Field::Region => self.region.as_ref(),
            Field::Zone => self.zone.as_ref(),
            Field::Instance => self.instance.as_ref(),
        }
    }

    /// Says one field more; the last word counts.
    #[cfg(test)]
    fn say(&mut self, Said { field, value }: Said) {
        *match field {
            Field::Cloud => &mut self.cloud,
            Field::Account => &mut self.account,
            Field::Region => &mut self.region,
            Field::Zone => &mut self.zone,
            Field::Instance => &mut self.instance,
        } = Some(value);
    }
}

/// One `FIELD=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub field: Field,
    pub value: String,
}

impl FromStr for Said {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |name: &str| Field::ALL.into_iter().find(|field| field.word() == name);
        match text.split_once('=') {
            Some((name, value)) if !value.trim().is_empty() => Ok(Self {
                field: known(name).ok_or_else(|| {
                    format!("no field `{name}`; there are cloud, account, region, zone, instance")
                })?,
                value: value.trim().to_owned(),
            }),
            _ => Err("give FIELD=VALUE, as in `region=us-east-1`".to_owned()),
        }
    }
}

/// What is known without a packet: the operator's word, and the firmware's.
pub fn known(overrides: &Overrides, dmi: &Dmi) -> Found {
    let by_firmware = dmi.cloud();
    let cloud = overrides.cloud.as_deref().or(by_firmware);
    let missing = match (cloud, overrides.metadata) {
        (None, _) => Missing::NoCloud,
        (_, Metadata::Off) => Missing::SwitchedOff,
        (Some(cloud), Metadata::Auto) if Service::of(cloud).is_none() => {
            Missing::NoService(cloud.to_owned())
        }
        (Some(_), Metadata::Auto) => Missing::NotAsked,
    };
    let mut found = Found::nothing(&missing);
    if let Some(cloud) = by_firmware {
        found.set(Field::Cloud, Ok((cloud.to_owned(), Basis::Dmi)));
    }
    // Not where the operator says that this is another cloud.
    if let Some(instance) = dmi.instance().filter(|_| cloud == by_firmware) {
        found.set(Field::Instance, Ok((instance.to_owned(), Basis::Dmi)));
    }
    for field in Field::ALL {
        if let Some(value) = overrides.of(field) {
            found.set(field, Ok((value.clone(), Basis::Config)));
        }
    }
    found
}

/// [`known`], and what is then open asked of the cloud's metadata service. Over after `endpoints.limits.total` at most.
pub async fn find(overrides: &Overrides, dmi: &Dmi, endpoints: &Endpoints) -> Found {
    let mut found = known(overrides, dmi);
    let open = found.unasked();
    let service = found.value(Field::Cloud).and_then(Service::of);
    if let Some(service) = service.filter(|_| !open.is_empty()) {
        for (field, answer) in service::ask(service, &open, endpoints).await {
            found.set(field, answer.map(|value| (value, Basis::Metadata)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(said: &[&str], metadata: Metadata) -> Overrides {
        let mut overrides = Overrides {
            metadata,
            ..Overrides::default()
        };
        for said in said {
            overrides.say(said.parse().expect(said));
        }
        overrides
    }

    const OFF: &str = "(asking the metadata service is switched off)";
    const OPEN: &str = "(the metadata service was not asked)";
    const NITRO: &str =
        "cloud `aws` by dmi, instance `i-0abcdef1234567890` by dmi, account/region/zone unknown ";
    /// What is said, metadata, vendor; what is known then in two pieces, and how many fields would be asked for.
    #[rustfmt::skip]
    const CASES: &[(&[&str], Metadata, &str, [&str; 2], usize)] = &[
        (&[], Metadata::Auto, "", ["cloud/account/region/zone/instance unknown ", "(the firmware's tables name no cloud)"], 0),
        (&[], Metadata::Auto, "Amazon EC2", [NITRO, OPEN], 3),
        (&[], Metadata::Off, "Amazon EC2", [NITRO, OFF], 0),
        (&["zone=use1-az1", "region=us-east-1", "account=1", "instance=mine"], Metadata::Auto, "Amazon EC2",
            ["cloud `aws` by dmi, account `1` by config, region `us-east-1` by config, ", "zone `use1-az1` by config, instance `mine` by config"], 0),
        (&["cloud=onprem"], Metadata::Auto, "Amazon EC2",
            ["cloud `onprem` by config, account/region/zone/instance unknown ", "(this version cannot ask the metadata service of `onprem`)"], 0),
        (&["cloud=gcp"], Metadata::Auto, "", ["cloud `gcp` by config, account/region/zone/instance unknown ", OPEN], 4),
        (&["cloud=aws"], Metadata::Auto, "Amazon EC2",
            ["cloud `aws` by config, instance `i-0abcdef1234567890` by dmi, account/region/zone unknown ", OPEN], 3),
        (&["region=fsn1"], Metadata::Auto, "Hetzner",
            ["cloud `hetzner` by dmi, region `fsn1` by config, account/zone/instance unknown ", "(this version cannot ask the metadata service of `hetzner`)"], 0),
    ];

    #[test]
    fn the_operator_is_first_then_the_firmware() {
        for (said, metadata, vendor, line, open) in CASES {
            let dmi = Dmi {
                board_vendor: (*vendor).to_owned(),
                board_asset_tag: "i-0abcdef1234567890".to_owned(),
                ..Dmi::default()
            };
            let found = known(&overrides(said, *metadata), &dmi);
            assert_eq!(found.to_string(), line.concat());
            assert_eq!(found.unasked().len(), *open, "{line:?}");
        }
    }

    #[test]
    fn what_is_said_wrongly_is_refused() {
        for (text, expected) in [
            ("region", "give FIELD=VALUE"),
            ("region=", "give FIELD=VALUE"),
            ("regoin=us-east-1", "no field `regoin`"),
        ] {
            let error = text.parse::<Said>().expect_err(text);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
