//! What one DNS message answers. The message is read by the crate `domain`, which walks over the bytes without taking any,
//! and follows compression pointers backwards only; what is kept of it is bounded here.

use std::net::IpAddr;

use domain::{
    base::{
        Message, ParsedName, ParsedRecord, RecordSection, Rtype,
        iana::{Class, Rcode},
        name::ToLabelIter as _,
    },
    rdata::{
        A, Aaaa, Cname, Https, Svcb,
        svcb::{
            SvcbRdata,
            value::{Ech, Ipv4Hint, Ipv6Hint},
        },
    },
};

use super::reader::Reader;
use crate::model::{
    host_name::HostName,
    signal::{ADDRESSES_MAX, ALIASES_MAX, DnsAnswer},
};

/// Records of one message that are looked at.
pub const RECORDS_MAX: usize = 256;

/// Why a message answers nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    #[error("no DNS message, or one that breaks its own lengths")]
    Malformed,
    #[error("a question, or an answer that is an error")]
    NoAnswer,
    #[error("a question that no address, alias or service answers")]
    OtherQuestion,
}

type Name<'m> = ParsedName<&'m [u8]>;

/// Reads one whole message; of one that was cut, what is whole.
pub fn dns_answer(message: &[u8]) -> Result<DnsAnswer, DnsError> {
    let message = Message::from_slice(message).map_err(|_| DnsError::Malformed)?;
    let header = message.header();
    if !header.qr() || header.rcode() != Rcode::NOERROR {
        return Err(DnsError::NoAnswer);
    }
    let question = message.sole_question().map_err(|_| DnsError::Malformed)?;
    let is_known = matches!(
        question.qtype(),
        Rtype::A | Rtype::AAAA | Rtype::CNAME | Rtype::HTTPS | Rtype::SVCB | Rtype::ANY
    );
    if question.qclass() != Class::IN || !is_known {
        return Err(DnsError::OtherQuestion);
    }
    let name = host_name(question.qname()).ok_or(DnsError::OtherQuestion)?;
    let mut records = Records::default();
    records.read(message.answer().map_err(|_| DnsError::Malformed)?);
    Ok(records.answer(name, header.tc()))
}

/// The records of an answer, in the order of the message.
#[derive(Default)]
struct Records {
    /// Owner, target, seconds.
    aliases: Vec<(HostName, HostName, u32)>,
    addresses: Vec<(HostName, IpAddr, u32)>,
    ech_public_names: Vec<(HostName, HostName)>,
    cut: bool,
}

impl Records {
    /// A record that cannot be read ends the walk: what stands behind it has no place that is known.
    fn read(&mut self, section: RecordSection<'_, [u8]>) {
        for (nth, record) in section.enumerate() {
            match record {
                Ok(record) if nth < RECORDS_MAX => self.take(&record),
                Ok(_) | Err(_) => {
                    self.cut = true;
                    return;
                }
            }
        }
    }

    /// Keeps a record of one of the wanted types; one whose data break their own lengths says nothing.
    fn take(&mut self, record: &ParsedRecord<'_, [u8]>) {
        let Some(owner) = host_name(&record.owner()).filter(|_| record.class() == Class::IN) else {
            return;
        };
        let ttl_s = record.ttl().as_secs();
        match record.rtype() {
            Rtype::A => {
                if let Ok(Some(record)) = record.to_record::<A>() {
                    self.addresses
                        .push((owner, record.data().addr().into(), ttl_s));
                }
            }
            Rtype::AAAA => {
                if let Ok(Some(record)) = record.to_record::<Aaaa>() {
                    self.addresses
                        .push((owner, record.data().addr().into(), ttl_s));
                }
            }
            Rtype::CNAME => {
                if let Ok(Some(record)) = record.to_record::<Cname<Name<'_>>>()
                    && let Some(target) = host_name(record.data().cname())
                {
                    self.aliases.push((owner, target, ttl_s));
                }
            }
            Rtype::HTTPS => {
                if let Ok(Some(record)) = record.to_record::<Https<&[u8], Name<'_>>>() {
                    self.service(owner, record.data(), ttl_s);
                }
            }
            Rtype::SVCB => {
                if let Ok(Some(record)) = record.to_record::<Svcb<&[u8], Name<'_>>>() {
                    self.service(owner, record.data(), ttl_s);
                }
            }
            _ => {}
        }
    }

    /// A service's hints are addresses of its owner (RFC 9460, section 7.3), where its target is the owner itself.
    fn service<V>(&mut self, owner: HostName, data: &SvcbRdata<V, &[u8], Name<'_>>, ttl_s: u32) {
        let target = host_name(data.target());
        if data.is_alias() {
            self.aliases
                .extend(target.map(|target| (owner, target, ttl_s)));
            return;
        }
        let v4 = data.params().first::<Ipv4Hint<_>>();
        let v4 = v4
            .iter()
            .flat_map(|hints| hints.iter())
            .map(|hint| IpAddr::from(hint.octets()));
        let v6 = data.params().first::<Ipv6Hint<_>>();
        let v6 = v6
            .iter()
            .flat_map(|hints| hints.iter())
            .map(|hint| IpAddr::from(hint.octets()));
        let hints = v4.chain(v6).take(ADDRESSES_MAX);
        self.addresses
            .extend(hints.map(|hint| (owner.clone(), hint, ttl_s)));
        let ech = data.params().first::<Ech<_>>();
        let names = ech.map(|ech| ech_public_names(ech.as_slice()));
        let names = names.unwrap_or_default().into_iter();
        self.ech_public_names
            .extend(names.map(|name| (owner.clone(), name)));
    }

    /// Follows the aliases from the question on; the order in which a message has them means nothing.
    fn answer(self, question: HostName, is_truncated: bool) -> DnsAnswer {
        let mut answer = DnsAnswer {
            question: question.clone(),
            addresses: Vec::new(),
            aliases: Vec::new(),
            ech_public_names: Vec::new(),
            cut: self.cut || is_truncated,
        };
        let (mut name, mut ttl_s) = (question, u32::MAX);
        loop {
            for (_, address, own_ttl_s) in self.addresses.iter().filter(|row| row.0 == name) {
                if answer.addresses.len() >= ADDRESSES_MAX {
                    answer.cut = true;
                    break;
                }
                answer.addresses.push((*address, ttl_s.min(*own_ttl_s)));
            }
            let keys = self.ech_public_names.iter().filter(|row| row.0 == name);
            answer
                .ech_public_names
                .extend(keys.map(|row| row.1.clone()).take(ALIASES_MAX));
            let Some((_, target, own_ttl_s)) = self.aliases.iter().find(|row| row.0 == name) else {
                return answer;
            };
            let is_loop = *target == answer.question || answer.aliases.contains(target);
            if is_loop || answer.aliases.len() >= ALIASES_MAX {
                answer.cut = true;
                return answer;
            }
            ttl_s = ttl_s.min(*own_ttl_s);
            answer.aliases.push(target.clone());
            name = target.clone();
        }
    }
}

/// `None` for what is no host name, the root included.
fn host_name(name: &Name<'_>) -> Option<HostName> {
    let mut text = Vec::with_capacity(64);
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        if label.as_slice().contains(&b'.') {
            return None;
        }
        if !text.is_empty() {
            text.push(b'.');
        }
        text.extend_from_slice(label.as_slice());
    }
    HostName::from_wire(&text).ok()
}

/// Public names of a list of keys (RFC 9849, section 4; version 0xfe0d).
fn ech_public_names(list: &[u8]) -> Vec<HostName> {
    let mut names = Vec::new();
    let mut configs = Reader::new(Reader::new(list).list16().unwrap_or_default());
    while names.len() < ALIASES_MAX {
        let (Some(version), Some(contents)) = (configs.u16(), configs.list16()) else {
            break;
        };
        if version == 0xfe0d {
            names.extend(ech_public_name(contents));
        }
    }
    names
}

fn ech_public_name(contents: &[u8]) -> Option<HostName> {
    let mut reader = Reader::new(contents);
    let _config = reader.u8()?;
    let _kem = reader.u16()?;
    let _key = reader.list16()?;
    let _suites = reader.list16()?;
    let _longest_name = reader.u8()?;
    HostName::from_wire(reader.list8()?).ok()
}
