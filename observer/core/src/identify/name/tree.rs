//! The tree of patterns by labels, the last label first.

use std::collections::HashMap;

use super::{
    NameIdentity,
    pattern::{Capture, Label},
    text::{Row, Source},
};
use crate::model::host_name::HostName;

/// A label of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Literal(Box<str>),
    Part(Label),
    /// Any one label.
    One,
    /// One label or more; only at the front.
    Some,
}

#[derive(Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    rows: Vec<Row>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, u32>,
    /// Those with more written out come first.
    parts: Vec<(Label, u32)>,
    one: Option<u32>,
    /// The row of the pattern that ends here, and of the one that has any labels more.
    row: Option<u32>,
    some: Option<u32>,
}

/// A row, and what its captures took from the name.
pub struct Found<'t, 'n> {
    row: &'t Row,
    captures: Captures<'n>,
}

#[derive(Clone, Copy, Default)]
struct Captures<'n> {
    region: Option<&'n str>,
    geography: Option<&'n str>,
}

impl Tree {
    pub fn identities(&self) -> impl Iterator<Item = &NameIdentity> {
        self.rows.iter().map(|row| &row.identity)
    }

    pub const fn patterns(&self) -> usize {
        self.rows.len()
    }

    /// Puts a pattern in, its labels in the order of writing. `Err` where the same one is there already, from the same file.
    pub fn insert(&mut self, steps: &[Step], row: Row) -> Result<(), ()> {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        let mut ends_in_some = false;
        for step in steps.iter().rev() {
            match step {
                Step::Some => ends_in_some = true,
                Step::Literal(_) | Step::Part(_) | Step::One => at = self.child(at, step),
            }
        }
        let file = row.file;
        let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let node = &mut self.nodes[at as usize];
        let place = if ends_in_some {
            &mut node.some
        } else {
            &mut node.row
        };
        let known = place.replace(number);
        self.rows.push(row);
        match known.and_then(|known| self.rows.get(known as usize)) {
            Some(known) if known.file == file => Err(()),
            Some(_) | None => Ok(()),
        }
    }

    fn child(&mut self, at: u32, step: &Step) -> u32 {
        let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let node = &mut self.nodes[at as usize];
        let child = match step {
            Step::Literal(label) => *node.literals.entry(label.clone()).or_insert(next),
            Step::Part(label) => match node.parts.iter().find(|(known, _)| known == label) {
                Some((_, child)) => *child,
                None => {
                    node.parts.push((label.clone(), next));
                    node.parts
                        .sort_by_key(|(label, _)| std::cmp::Reverse(label.literal_bytes()));
                    next
                }
            },
            Step::One => *node.one.get_or_insert(next),
            // Handled by the caller: it has no child.
            Step::Some => at,
        };
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }

    /// The pattern that fits best.
    pub fn find<'n>(&self, name: &'n HostName) -> Option<Found<'_, 'n>> {
        let root = self.nodes.first()?;
        let (row, captures) = self.walk(root, Some(name.as_str()), Captures::default())?;
        Some(Found {
            row: self.rows.get(row as usize)?,
            captures,
        })
    }

    /// `left` is what of the name has not been looked at. A name has 127 labels at the most, and so the walk steps.
    fn walk<'n>(
        &self,
        node: &Node,
        left: Option<&'n str>,
        captures: Captures<'n>,
    ) -> Option<(u32, Captures<'n>)> {
        let Some(left) = left else {
            return node.row.map(|row| (row, captures));
        };
        let (rest, label) = match left.rsplit_once('.') {
            Some((rest, label)) => (Some(rest), label),
            None => (None, left),
        };
        if let Some(child) = node.literals.get(label)
            && let Some(found) = self.walk(self.node(*child)?, rest, captures)
        {
            return Some(found);
        }
        for (pattern, child) in &node.parts {
            if let Some(part) = pattern.part(label)
                && let Some(found) = self.walk(
                    self.node(*child)?,
                    rest,
                    captures.with(pattern.capture, part),
                )
            {
                return Some(found);
            }
        }
        if let Some(child) = node.one
            && let Some(found) = self.walk(self.node(child)?, rest, captures)
        {
            return Some(found);
        }
        node.some.map(|row| (row, captures))
    }

    fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(at as usize)
    }
}

impl<'n> Captures<'n> {
    const fn with(self, capture: Capture, part: &'n str) -> Self {
        match capture {
            Capture::DashedRegion
            | Capture::GoogleRegion
            | Capture::GoogleRegionAndProject
            | Capture::PlainRegion
            | Capture::IbmRegion => Self {
                region: Some(part),
                ..self
            },
            Capture::Geography => Self {
                geography: Some(part),
                ..self
            },
            Capture::Any => self,
        }
    }
}

impl Found<'_, '_> {
    pub fn identity(&self, sources: &[Source]) -> NameIdentity {
        let mut identity = self.row.identity.clone();
        if let Some(region) = self.captures.region {
            identity.region = Some(region.into());
        }
        if let Some(geography) = self.captures.geography {
            identity.geography = Some(geography.into());
        }
        if let Some(source) = sources.get(self.row.source) {
            identity.verified = source.verified;
        }
        identity
    }
}
