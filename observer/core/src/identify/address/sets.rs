//! Tag sets: the distinct combinations of claims that networks end up with once what covers them is added. Knows claims
//! by number alone.

use std::collections::HashMap;

use super::TagSetId;

/// A claim of a tag set: how many distinct network lengths are longer, and which tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Level {
    pub(super) depth: u32,
    pub(super) tag: u32,
}

/// Numbers the distinct sets of claims in the order in which networks need them.
pub(super) struct SetMaker<'c> {
    own: &'c [Vec<u32>],
    ids: HashMap<Vec<Level>, TagSetId>,
    /// By what a network carries and the set of what covers it: most networks repeat a pair.
    seen: HashMap<(u32, Option<TagSetId>), TagSetId>,
    ends: Vec<u32>,
    levels: Vec<Level>,
}

impl<'c> SetMaker<'c> {
    pub(super) fn new(own: &'c [Vec<u32>]) -> Self {
        Self {
            own,
            ids: HashMap::new(),
            seen: HashMap::new(),
            ends: vec![0],
            levels: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, own: u32, shorter: Option<TagSetId>) -> TagSetId {
        if let Some(id) = self.seen.get(&(own, shorter)) {
            return *id;
        }
        let claims = self.claims(own, shorter);
        let id = match self.ids.get(&claims) {
            Some(id) => *id,
            None => {
                let id = TagSetId(count(self.ends.len()));
                self.levels.extend(&claims);
                self.ends.push(count(self.levels.len()));
                self.ids.insert(claims, id);
                id
            }
        };
        self.seen.insert((own, shorter), id);
        id
    }

    /// Where the levels of set id n end, at index n, and the levels.
    pub(super) fn finish(mut self) -> (Vec<u32>, Vec<Level>) {
        self.ends.shrink_to_fit();
        self.levels.shrink_to_fit();
        (self.ends, self.levels)
    }

    /// A claim counts with the longest network that makes it; networks that add nothing make no level.
    fn claims(&self, own: u32, shorter: Option<TagSetId>) -> Vec<Level> {
        let own = &self.own[own as usize];
        let mut claims: Vec<Level> = own
            .iter()
            .map(|tag| Level {
                depth: 0,
                tag: *tag,
            })
            .collect();
        let bounds = shorter.map_or(0..0, |id| {
            self.ends[id.0 as usize - 1] as usize..self.ends[id.0 as usize] as usize
        });
        let mut before = None;
        let mut depth = 0;
        for level in self.levels[bounds]
            .iter()
            .filter(|level| own.binary_search(&level.tag).is_err())
        {
            if before != Some(level.depth) {
                before = Some(level.depth);
                depth += 1;
            }
            claims.push(Level {
                depth,
                tag: level.tag,
            });
        }
        claims
    }
}

/// Lists come out of a file of less than 2^32 bytes.
pub(super) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
