//! Where services stand that answer behind a front, as an operator knows it from a contract: neither name nor address tells.

use crate::model::{host_name::HostName, identity::Word};

/// Lines of all files together.
const LINES_MAX: usize = 1_024;

/// What an operator states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosted {
    pub cloud: Word,
    pub region: Option<Word>,
}

#[derive(Debug, Default)]
pub struct Hosting {
    /// With whether names below it are meant too.
    rows: Vec<(HostName, bool, Hosted)>,
}

impl Hosting {
    /// `NAME cloud=WORD [region=WORD]`; a leading dot: the name itself, and all below it.
    pub fn add(&mut self, rest: &str) -> Result<(), String> {
        let mut words = rest.split_whitespace();
        let pattern = words.next().ok_or("`hosting` without a name")?;
        let name = pattern.strip_prefix('.').unwrap_or(pattern);
        let host = HostName::from_wire(name.as_bytes())
            .map_err(|error| format!("`{name}` is no host name: {error}"))?;
        let (mut cloud, mut region) = (None, None);
        for word in words {
            let place = match word.split_once('=') {
                Some(("cloud", value)) if !value.is_empty() => (&mut cloud, value),
                Some(("region", value)) if !value.is_empty() => (&mut region, value),
                _ => return Err(format!("`{word}` is neither `cloud=` nor `region=`")),
            };
            if place.0.replace(Word::from(place.1)).is_some() {
                return Err(format!("`{word}` is the second of its kind"));
            }
        }
        let below = name.len() < pattern.len();
        if self
            .rows
            .iter()
            .any(|(known, all, _)| *known == host && *all == below)
        {
            return Err(format!("`hosting {pattern}` stands twice"));
        }
        if self.rows.len() >= LINES_MAX {
            return Err(format!("more than {LINES_MAX} lines of `hosting`"));
        }
        let cloud = cloud.ok_or("`hosting` without `cloud=`")?;
        self.rows.push((host, below, Hosted { cloud, region }));
        Ok(())
    }

    /// What is stated of a name; the longest statement goes first.
    pub fn find(&self, name: &HostName) -> Option<&Hosted> {
        let fits = |(stated, below, _): &&(HostName, bool, Hosted)| {
            let rest = name.as_str().strip_suffix(stated.as_str());
            rest.is_some_and(|rest| rest.is_empty() || (*below && rest.ends_with('.')))
        };
        let fitting = self.rows.iter().filter(fits);
        let longest = fitting.max_by_key(|(stated, below, _)| (stated.len(), !below));
        longest.map(|(_, _, hosted)| hosted)
    }
}
