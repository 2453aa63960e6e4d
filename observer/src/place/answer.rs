//! What a metadata service answered, from bytes to fields. Tolerant of what is not used, strict about what is: a field of
//! another type, or a value that no such service gives, is an error and not a guess. Asks nobody.

use std::{error::Error, fmt};

use serde::Deserialize;

use super::field::Field;

/// Longest value taken: an OCID has at most 255 bytes.
const VALUE_BYTES_MAX: usize = 255;

/// How the bytes of one answer are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// AWS `/latest/dynamic/instance-identity/document`.
    AwsDocument,
    /// Azure `/metadata/instance/compute`.
    AzureCompute,
    /// GCP `/computeMetadata/v1/instance/zone`: `projects/NUMBER/zones/ZONE`, which has the region in it.
    GcpZone,
    /// The value itself.
    Value(Field),
}

/// What one answer gives: in a list with `None`, the service says that there is no such thing.
pub type Values = Vec<(Field, Option<String>)>;

/// Why bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// With what the reader of JSON says of it.
    Json(String),
    /// Empty, too long, or with bytes that no identifier has: an error page, a redirect's text.
    Value(Field),
    /// Not `projects/NUMBER/zones/ZONE`.
    Zone,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(cause) => write!(f, "the answer is not the expected JSON: {cause}"),
            Self::Value(field) => write!(f, "the answer is no {}", field.word()),
            Self::Zone => write!(f, "the answer is not `projects/NUMBER/zones/ZONE`"),
        }
    }
}

impl Error for Broken {}

/// Reads one answer.
///
/// # Errors
/// Where the bytes are not of that form.
pub fn parse(form: Form, bytes: &[u8]) -> Result<Values, Broken> {
    match form {
        Form::AwsDocument => {
            let document: AwsDocument = json(bytes)?;
            Ok(vec![
                (Field::Region, word(Field::Region, document.region)?),
                (Field::Account, word(Field::Account, document.account_id)?),
                (
                    Field::Instance,
                    word(Field::Instance, document.instance_id)?,
                ),
            ])
        }
        Form::AzureCompute => {
            let compute: AzureCompute = json(bytes)?;
            Ok(vec![
                (Field::Region, word(Field::Region, compute.location)?),
                (Field::Zone, word(Field::Zone, compute.zone)?),
                (
                    Field::Account,
                    word(Field::Account, compute.subscription_id)?,
                ),
                (Field::Instance, word(Field::Instance, compute.vm_id)?),
            ])
        }
        Form::GcpZone => {
            let (region, zone) = gcp_zone(bytes).ok_or(Broken::Zone)?;
            Ok(vec![
                (Field::Region, Some(region.to_owned())),
                (Field::Zone, Some(zone.to_owned())),
            ])
        }
        Form::Value(field) => {
            let text = str::from_utf8(bytes).map_err(|_| Broken::Value(field))?;
            match word(field, Some(text.trim().to_owned()))? {
                None => Err(Broken::Value(field)),
                value => Ok(vec![(field, value)]),
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AwsDocument {
    region: Option<String>,
    account_id: Option<String>,
    instance_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AzureCompute {
    location: Option<String>,
    /// Empty for a machine in no zone.
    zone: Option<String>,
    subscription_id: Option<String>,
    vm_id: Option<String>,
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Broken> {
    serde_json::from_slice(bytes).map_err(|cause| Broken::Json(cause.to_string()))
}

/// The value, `None` where it is empty.
fn word(field: Field, value: Option<String>) -> Result<Option<String>, Broken> {
    match value.filter(|value| !value.is_empty()) {
        Some(value) if is_identifier(&value) => Ok(Some(value)),
        Some(_) => Err(Broken::Value(field)),
        None => Ok(None),
    }
}

/// What regions, zones and ids of all four clouds are made of (`pPrU:PHX-AD-1`, `example.com:project`, OCIDs).
fn is_identifier(value: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    value.len() <= VALUE_BYTES_MAX && value.bytes().all(fits)
}

/// Region and zone: `europe-west4` and `europe-west4-a`.
fn gcp_zone(bytes: &[u8]) -> Option<(&str, &str)> {
    let parts: Vec<&str> = str::from_utf8(bytes).ok()?.trim().split('/').collect();
    let [projects, number, zones, zone] = parts[..] else {
        return None;
    };
    let (region, letter) = zone.rsplit_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let named = projects == "projects" && zones == "zones" && is_number;
    let whole = !region.is_empty() && !letter.is_empty() && is_identifier(zone);
    (named && whole).then_some((region, zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `field=value`, `-` for one that the service says it has not.
    fn text(values: &Values) -> String {
        let words: Vec<String> = values
            .iter()
            .map(|(field, value)| format!("{}={}", field.word(), value.as_deref().unwrap_or("-")))
            .collect();
        words.join(" ")
    }

    /// As the providers' manuals show them, shortened.
    const AWS: &str = r#"{"devpayProductCodes":null,"availabilityZone":"us-east-1a","privateIp":"10.0.0.5","version":
        "2017-09-30","instanceId":"i-1234567890abcdef0","accountId":"012345678901","region":"us-east-1","pendingTime":7}"#;
    const AZURE: &str = r#"{"location":"westeurope","zone":"2","subscriptionId":"8d10da13-8125-4ba9-a717-bf7490507b3d",
        "vmId":"02aab8a4-74ef-476e-8182-f6d2ba4166a6","tagsList":[{"name":"a","value":"b"}],"osProfile":{"adminUsername":"x"}}"#;

    #[test]
    fn whole_answers_give_their_fields() {
        for (form, bytes, expected) in [
            (
                Form::AwsDocument,
                AWS,
                "region=us-east-1 account=012345678901 instance=i-1234567890abcdef0",
            ),
            (
                Form::AwsDocument,
                r#"{"region":"us-gov-west-1","accountId":null}"#,
                "region=us-gov-west-1 account=- instance=-",
            ),
            (Form::AwsDocument, "{}", "region=- account=- instance=-"),
            (
                Form::AzureCompute,
                AZURE,
                "region=westeurope zone=2 account=8d10da13-8125-4ba9-a717-bf7490507b3d \
                 instance=02aab8a4-74ef-476e-8182-f6d2ba4166a6",
            ),
            (
                Form::AzureCompute,
                r#"{"location":"westus","zone":"","subscriptionId":"s","vmId":"v"}"#,
                "region=westus zone=- account=s instance=v",
            ),
            (
                Form::GcpZone,
                "projects/123456789012/zones/europe-west4-a\n",
                "region=europe-west4 zone=europe-west4-a",
            ),
            (
                Form::Value(Field::Zone),
                "pPrU:PHX-AD-1",
                "zone=pPrU:PHX-AD-1",
            ),
            (Form::Value(Field::Zone), "use1-az1\n", "zone=use1-az1"),
            (
                Form::Value(Field::Account),
                "example.com:project",
                "account=example.com:project",
            ),
        ] {
            let values = parse(form, bytes.as_bytes()).expect(bytes);
            assert_eq!(text(&values), expected, "{bytes}");
        }
    }

    #[test]
    fn broken_answers_are_errors_that_say_why() {
        let html = "<html><head><title>401 - Unauthorized</title></head></html>";
        let json = "the answer is not the expected JSON: ";
        let long = "a".repeat(VALUE_BYTES_MAX + 1);
        for (form, bytes, expected) in [
            (Form::AwsDocument, "", json),
            (Form::AwsDocument, &AWS[..AWS.len() - 9], json),
            (Form::AwsDocument, html, json),
            (Form::AwsDocument, r#"{"accountId":12345678901}"#, json),
            (Form::AwsDocument, r#"{"region":["us-east-1"]}"#, json),
            (Form::AwsDocument, r#"["us-east-1"]"#, json),
            (Form::AwsDocument, r#"{"region":"a","region":"b"}"#, json),
            (
                Form::AwsDocument,
                r#"{"region":"us east"}"#,
                "the answer is no region",
            ),
            (Form::AzureCompute, r#"{"zone":2}"#, json),
            (Form::AzureCompute, html, json),
            (
                Form::AzureCompute,
                "{\"vmId\":\"a\\nb\"}",
                "the answer is no instance",
            ),
            (Form::GcpZone, "europe-west4-a", "the answer is not `proj"),
            (
                Form::GcpZone,
                "projects/x/zones/europe-west4-a",
                "the answer is not `proj",
            ),
            (
                Form::GcpZone,
                "projects/1/zones/-a",
                "the answer is not `proj",
            ),
            (
                Form::GcpZone,
                "projects/1/zones/a/b-c",
                "the answer is not `proj",
            ),
            (Form::Value(Field::Zone), html, "the answer is no zone"),
            (Form::Value(Field::Zone), " \n", "the answer is no zone"),
            (Form::Value(Field::Zone), &long, "the answer is no zone"),
        ] {
            let error = parse(form, bytes.as_bytes()).expect_err(bytes).to_string();
            assert!(error.starts_with(expected), "{bytes}: {error}");
        }
        let error = parse(Form::Value(Field::Zone), b"\xff\xfe").expect_err("no text");
        assert_eq!(error, Broken::Value(Field::Zone));
    }
}
