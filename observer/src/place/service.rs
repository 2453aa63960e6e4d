//! The metadata services of the four clouds that are asked: what each is asked, how it wants to be asked, and how its
//! answers are read. Knows nothing of configuration and firmware.

use std::net::{Ipv4Addr, SocketAddr};

use hyper::{
    Method, StatusCode,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use tokio::time::Instant;

use super::{
    answer::{self, Form},
    field::Field,
    found::Missing,
    http::{self, AWS_V6, Answer, Failure, Limits, Question},
};

/// Where the services are, and how long they may take. All four answer at the same address.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints {
    pub ipv4: SocketAddr,
    /// AWS, where nothing answers over IPv4.
    pub aws_ipv6: SocketAddr,
    pub limits: Limits,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            ipv4: (Ipv4Addr::new(169, 254, 169, 254), 80).into(),
            aws_ipv6: (AWS_V6, 80).into(),
            limits: Limits::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Aws,
    Azure,
    Gcp,
    Oci,
}

/// What is asked: path, how the answer is read, what it gives.
type Row = (&'static str, Form, &'static [Field]);

const AWS_TOKEN: &str = "/latest/api/token";
/// Long enough for the questions, too short to be worth taking.
const AWS_TOKEN_SECONDS: HeaderValue = HeaderValue::from_static("60");
const AWS_TOKEN_BYTES_MAX: usize = 1_024;

impl Service {
    /// By the word of the cloud; `None` for clouds whose service is not known here.
    pub fn of(cloud: &str) -> Option<Self> {
        match cloud {
            "aws" => Some(Self::Aws),
            "azure" => Some(Self::Azure),
            "gcp" => Some(Self::Gcp),
            "oci" => Some(Self::Oci),
            _ => None,
        }
    }

    /// Only what is used is asked for: user data and keys stay where they are. (Azure's version is the last before its
    /// answer contained user data.)
    const fn rows(self) -> &'static [Row] {
        use Field::{Account, Instance, Region, Zone};
        match self {
            Self::Aws => &[
                (
                    "/latest/dynamic/instance-identity/document",
                    Form::AwsDocument,
                    &[Region, Account, Instance],
                ),
                // The id, not the name: `us-east-1a` is another place in each account, `use1-az1` is one.
                (
                    "/latest/meta-data/placement/availability-zone-id",
                    Form::Value(Zone),
                    &[Zone],
                ),
            ],
            Self::Azure => &[(
                "/metadata/instance/compute?api-version=2020-09-01&format=json",
                Form::AzureCompute,
                &[Region, Zone, Account, Instance],
            )],
            Self::Gcp => &[
                (
                    "/computeMetadata/v1/instance/zone",
                    Form::GcpZone,
                    &[Region, Zone],
                ),
                (
                    "/computeMetadata/v1/project/project-id",
                    Form::Value(Account),
                    &[Account],
                ),
                (
                    "/computeMetadata/v1/instance/id",
                    Form::Value(Instance),
                    &[Instance],
                ),
            ],
            Self::Oci => &[
                (
                    "/opc/v2/instance/canonicalRegionName",
                    Form::Value(Region),
                    &[Region],
                ),
                (
                    "/opc/v2/instance/availabilityDomain",
                    Form::Value(Zone),
                    &[Zone],
                ),
                (
                    "/opc/v2/instance/tenantId",
                    Form::Value(Account),
                    &[Account],
                ),
                ("/opc/v2/instance/id", Form::Value(Instance), &[Instance]),
            ],
        }
    }

    /// What keeps a tricked browser or proxy from asking; without it each service refuses. AWS wants a token that it
    /// gave.
    fn header(self) -> Option<(HeaderName, HeaderValue)> {
        let fixed = |name, value| Some((name, HeaderValue::from_static(value)));
        match self {
            Self::Aws => None,
            Self::Azure => fixed(HeaderName::from_static("metadata"), "true"),
            Self::Gcp => fixed(GCP_FLAVOR, "Google"),
            Self::Oci => fixed(AUTHORIZATION, "Bearer Oracle"),
        }
    }
}

const GCP_FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");

/// What was asked for and is known now, or why it is not.
pub type Asked = Vec<(Field, Result<String, Missing>)>;

/// Asks `service` for the fields in `wanted`, one question after the other, and for nothing else.
pub async fn ask(service: Service, wanted: &[Field], endpoints: &Endpoints) -> Asked {
    let deadline = Instant::now() + endpoints.limits.total;
    let mut asked = Vec::new();
    let mut access = None;
    for (path, form, gives) in service.rows() {
        let fields: Vec<Field> = gives
            .iter()
            .copied()
            .filter(|f| wanted.contains(f))
            .collect();
        if fields.is_empty() {
            continue;
        }
        if access.is_none() {
            access = Some(enter(service, endpoints, deadline).await);
        }
        let answer = match &access {
            Some(Ok(access)) => access.question(service, path, *form, deadline).await,
            Some(Err(missing)) => Err(missing.clone()),
            None => Err(Missing::NotAsked),
        };
        asked.extend(
            fields
                .into_iter()
                .map(|field| (field, pick(field, &answer))),
        );
    }
    asked
}

fn pick(field: Field, answer: &Result<answer::Values, Missing>) -> Result<String, Missing> {
    let values = answer.as_ref().map_err(Missing::clone)?;
    let value = values.iter().find(|(of, _)| *of == field);
    value
        .and_then(|(_, value)| value.clone())
        .ok_or(Missing::HasNone)
}

/// Where a service listens, and the header that opens it.
struct Access<'a> {
    address: SocketAddr,
    limits: &'a Limits,
    header: (HeaderName, HeaderValue),
}

async fn enter(
    service: Service,
    endpoints: &Endpoints,
    deadline: Instant,
) -> Result<Access<'_>, Missing> {
    let access = |address, header| Access {
        address,
        limits: &endpoints.limits,
        header,
    };
    if let Some(header) = service.header() {
        return Ok(access(endpoints.ipv4, header));
    }
    let first = aws_token(endpoints.ipv4, &endpoints.limits, deadline).await;
    // A subnet with IPv6 alone has no way to the other address.
    let (address, token) = match first {
        Err(ref failure) if no_way(failure) => {
            let second = aws_token(endpoints.aws_ipv6, &endpoints.limits, deadline).await;
            match second {
                Ok(token) => (endpoints.aws_ipv6, Ok(token)),
                Err(_) => (endpoints.ipv4, first),
            }
        }
        first => (endpoints.ipv4, first),
    };
    let token = token.map_err(|failure| failed(address, AWS_TOKEN, &failure))?;
    Ok(access(
        address,
        (HeaderName::from_static("x-aws-ec2-metadata-token"), token),
    ))
}

const fn no_way(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Unreachable(_) | Failure::Late { connected: false }
    )
}

async fn aws_token(
    address: SocketAddr,
    limits: &Limits,
    deadline: Instant,
) -> Result<HeaderValue, Failure> {
    let question = Question {
        method: Method::PUT,
        path: AWS_TOKEN,
        header: (
            HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds"),
            AWS_TOKEN_SECONDS,
        ),
    };
    let body = http::ask(address, &question, limits, deadline).await?.body;
    let token = Some(body.trim_ascii()).filter(|t| !t.is_empty() && t.len() <= AWS_TOKEN_BYTES_MAX);
    let mut token = token
        .and_then(|token| HeaderValue::from_bytes(token).ok())
        .ok_or(Failure::NoToken)?;
    token.set_sensitive(true);
    Ok(token)
}

impl Access<'_> {
    async fn question(
        &self,
        service: Service,
        path: &'static str,
        form: Form,
        deadline: Instant,
    ) -> Result<answer::Values, Missing> {
        let question = Question {
            method: Method::GET,
            path,
            header: self.header.clone(),
        };
        let answered = http::ask(self.address, &question, self.limits, deadline).await;
        let Answer { headers, body } = match answered {
            Err(Failure::Status(StatusCode::NOT_FOUND)) => return Err(Missing::HasNone),
            answered => answered.map_err(|failure| failed(self.address, path, &failure))?,
        };
        if service == Service::Gcp && headers.get(GCP_FLAVOR).is_none_or(|v| v != "Google") {
            return Err(failed(self.address, path, &Failure::NotGoogle));
        }
        answer::parse(form, &body)
            .map_err(|broken| Missing::Failed(format!("`http://{}{path}`: {broken}", self.address)))
    }
}

/// The reason as the operator reads it, with what helps where the cause is a known one.
fn failed(address: SocketAddr, path: &str, failure: &Failure) -> Missing {
    let next = match failure {
        Failure::Status(StatusCode::FORBIDDEN) => {
            "; the service is switched off for this instance, or a policy of the host keeps it from answering"
        }
        Failure::Late { connected: true } if path == AWS_TOKEN => {
            "; in a container without the host's network the instance's hop limit must be 2"
        }
        Failure::Unreachable(_) | Failure::Late { connected: false } => {
            "; a firewall or a network policy may hold it back"
        }
        _ => "",
    };
    Missing::Failed(format!("`http://{address}{path}`: {failure}{next}"))
}

#[cfg(test)]
mod tests;
