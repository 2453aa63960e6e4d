//! The requests of one flow: of which kind the one is that is under way, and where in the flow's payload others begin.

use std::{collections::VecDeque, mem, sync::Arc};

use crate::identify::route::Typed;

/// Changes of kind of one flow that wait for their bytes to be read. Where there are more, what follows is mixed.
pub const CHANGES_MAX: usize = 1_024;
/// Kinds of one flow's requests that run beside others and are not told yet; further ones are counted as mixed.
pub const BESIDE_MAX: usize = 64;

/// Of which kind the bytes of a flow are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No request was seen.
    #[default]
    Unseen,
    /// `None` where the method is none.
    One(Option<Arc<Typed>>),
    /// Of several kinds.
    Mixed,
}

/// Another kind from an offset on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// Payload bytes before it, sent and received.
    begins: [u64; 2],
    kind: Kind,
    requests: u64,
}

/// All that is known of one flow's requests.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    kind: Kind,
    /// Of that kind, not told yet.
    untold: u64,
    changes: VecDeque<Change>,
    /// Requests that ran beside others, not told yet. Their bytes are the flow's, and mixed.
    beside: Vec<(Kind, u64)>,
    /// Those of which is being told.
    telling: Option<(Kind, u64)>,
}

impl Requests {
    /// A request begins. The first one has all that was before it: a handshake is made for it.
    pub fn add(&mut self, begins: [u64; 2], typed: Option<Arc<Typed>>) {
        self.put(begins, Kind::One(typed));
    }

    /// A request begins that may run beside others: of two kinds it is not known whose the bytes are from then on.
    pub fn add_beside(&mut self, begins: [u64; 2], typed: Option<Arc<Typed>>) {
        let kind = Kind::One(typed);
        let last = self.changes.back();
        let known = last.map_or(&self.kind, |change| &change.kind);
        let is_alone = *known == Kind::Unseen || *known == kind;
        let is_full = *known != Kind::Mixed && self.changes.len() >= CHANGES_MAX;
        if is_alone || is_full {
            self.put(begins, kind);
            return;
        }
        if *known != Kind::Mixed {
            self.changes.push_back(Change {
                begins,
                kind: Kind::Mixed,
                requests: 0,
            });
        }
        self.put_beside(kind, 1);
    }

    fn put(&mut self, begins: [u64; 2], kind: Kind) {
        let is_full = self.changes.len() >= CHANGES_MAX;
        let (known, requests) = match self.changes.back_mut() {
            Some(change) => (&mut change.kind, &mut change.requests),
            None => (&mut self.kind, &mut self.untold),
        };
        if *known == Kind::Unseen {
            *known = kind.clone();
        }
        if *known == kind || is_full {
            if *known != kind {
                *known = Kind::Mixed;
            }
            *requests = requests.saturating_add(1);
            return;
        }
        self.changes.push_back(Change {
            begins,
            kind,
            requests: 1,
        });
    }

    fn put_beside(&mut self, kind: Kind, requests: u64) {
        let found = self.beside.iter_mut().find(|(known, _)| *known == kind);
        if let Some((_, count)) = found {
            *count = count.saturating_add(requests);
        } else if self.beside.len() < BESIDE_MAX {
            self.beside.push((kind, requests));
        } else {
            let last = self.changes.back_mut();
            let count = last.map_or(&mut self.untold, |change| &mut change.requests);
            *count = count.saturating_add(requests);
        }
    }

    /// Goes on to the next kind of those that ran beside others: [`kind`](Self::kind) and [`tell`](Self::tell) are its own until
    /// the next call; false where there are no more, and both are the flow's again.
    pub fn begin_beside(&mut self) -> bool {
        self.telling = self.beside.pop();
        self.telling.is_some()
    }

    /// Where the next kind begins, if some of its bytes are among the `payload` counted so far.
    pub fn next(&self, payload: [u64; 2]) -> Option<[u64; 2]> {
        let change = self.changes.front()?;
        let has_begun = change.begins[0] < payload[0];
        has_begun.then_some(change.begins)
    }

    /// The next kind is under way. Requests of the one before that no record has told of, as none had new bytes, are told beside.
    pub fn begin_next(&mut self) {
        let Some(change) = self.changes.pop_front() else {
            return;
        };
        let kind = mem::replace(&mut self.kind, change.kind);
        let untold = mem::replace(&mut self.untold, change.requests);
        if untold > 0 {
            self.put_beside(kind, untold);
        }
    }

    pub fn kind(&self) -> &Kind {
        self.telling.as_ref().map_or(&self.kind, |(kind, _)| kind)
    }

    /// Requests since the last call; `None` where there never was one.
    pub fn tell(&mut self) -> Option<u64> {
        if let Some((_, count)) = &mut self.telling {
            return Some(mem::take(count));
        }
        (self.kind != Kind::Unseen).then(|| mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::route::{Request, RouteTable};

    fn typed(path: &str) -> Option<Arc<Typed>> {
        let table = RouteTable::embedded().expect("the embedded table is whole");
        let request = Request {
            method: "POST",
            path,
            is_cut: false,
        };
        table.typed(&request).map(Arc::new)
    }

    #[test]
    fn requests_of_one_kind_change_nothing() {
        let mut requests = Requests::default();
        assert_eq!(requests.tell(), None);
        let one = typed("/v1/embeddings");
        for begins in [[500, 900], [1_000, 2_000], [2_000, 3_000]] {
            requests.add(begins, one.clone());
        }
        assert_eq!(requests.next([u64::MAX; 2]), None);
        assert_eq!(requests.kind(), &Kind::One(one));
        assert_eq!((requests.tell(), requests.tell()), (Some(3), Some(0)));
    }

    #[test]
    fn another_kind_begins_where_its_bytes_are_counted() {
        let mut requests = Requests::default();
        let (one, other) = (typed("/v1/embeddings"), typed("/v1/files"));
        requests.add([0, 0], one.clone());
        requests.add([100, 200], other.clone());
        requests.add([300, 400], other.clone());
        requests.add([500, 600], one.clone());
        assert_eq!(requests.tell(), Some(1));
        assert_eq!(requests.next([100, 200]), None);
        assert_eq!(requests.next([101, 200]), Some([100, 200]));
        requests.begin_next();
        assert_eq!(requests.kind(), &Kind::One(other));
        assert_eq!(requests.tell(), Some(2));
        assert_eq!(requests.next([600, 600]), Some([500, 600]));
        requests.begin_next();
        assert_eq!(requests.tell(), Some(1));
        assert_eq!(requests.kind(), &Kind::One(one));
        requests.begin_next();
        assert_eq!(requests.next([u64::MAX; 2]), None);
    }

    #[test]
    fn requests_beside_others_are_told_by_kind() {
        let mut requests = Requests::default();
        let (one, other) = (typed("/v1/embeddings"), typed("/v1/files"));
        requests.add_beside([0, 0], one.clone());
        requests.add_beside([50, 50], one.clone());
        assert!(!requests.begin_beside());
        requests.add_beside([100, 200], other.clone());
        requests.add_beside([300, 400], one.clone());
        requests.add_beside([300, 400], other.clone());
        assert_eq!(requests.kind(), &Kind::One(one.clone()));
        assert_eq!(requests.tell(), Some(2));
        let mut told = Vec::new();
        while requests.begin_beside() {
            told.push((requests.kind().clone(), requests.tell(), requests.tell()));
        }
        let expected = [
            (Kind::One(one), Some(1), Some(0)),
            (Kind::One(other), Some(2), Some(0)),
        ];
        assert_eq!(told, expected);
        assert_eq!(requests.next([101, 200]), Some([100, 200]));
        requests.begin_next();
        assert_eq!(requests.kind(), &Kind::Mixed);
        assert_eq!(requests.tell(), Some(0));
        assert_eq!(requests.next([u64::MAX; 2]), None);
    }

    #[test]
    fn requests_that_no_record_told_of_stay_their_kinds() {
        let mut requests = Requests::default();
        let (one, other) = (typed("/v1/embeddings"), typed("/v1/files"));
        requests.add([100, 200], one.clone());
        requests.add([100, 200], other.clone());
        requests.begin_next();
        assert_eq!(requests.tell(), Some(1));
        assert_eq!(requests.kind(), &Kind::One(other));
        assert!(requests.begin_beside());
        assert_eq!(requests.kind(), &Kind::One(one));
        assert_eq!(requests.tell(), Some(1));
        assert!(!requests.begin_beside());
    }

    #[test]
    fn further_kinds_beside_others_are_mixed() {
        let mut requests = Requests::default();
        let kinds: Vec<_> = (0..BESIDE_MAX + 10)
            .map(|nth| {
                let table = RouteTable::embedded().expect("the embedded table is whole");
                let path = format!("/openai/deployments/model-{nth}/embeddings");
                let request = Request {
                    method: "POST",
                    path: &path,
                    is_cut: false,
                };
                table.typed(&request).map(Arc::new)
            })
            .collect();
        for kind in &kinds {
            requests.add_beside([0, 0], kind.clone());
        }
        assert_eq!(requests.tell(), Some(1));
        let mut told = 1;
        while requests.begin_beside() {
            told += requests.tell().unwrap_or_default();
        }
        requests.begin_next();
        assert_eq!(told, 1 + BESIDE_MAX as u64);
        assert_eq!(requests.tell(), Some(9));
    }

    #[test]
    fn what_finds_no_room_is_mixed() {
        let mut requests = Requests::default();
        let kinds = [typed("/v1/embeddings"), typed("/v1/files")];
        let all = 10 + CHANGES_MAX as u64;
        for (at, kind) in (0..all).zip(kinds.iter().cycle()) {
            requests.add([at, at], kind.clone());
        }
        let mut told = requests.tell().unwrap_or_default();
        while requests.next([u64::MAX; 2]).is_some() {
            requests.begin_next();
            told += requests.tell().unwrap_or_default();
        }
        assert_eq!((requests.kind(), told), (&Kind::Mixed, all));
    }
}
