//! The requests of one flow: of which kind the one is that is under way, and where in the flow's payload others begin.

use std::{collections::VecDeque, sync::Arc};

use crate::identify::route::Typed;

/// Changes of kind of one flow that wait for their bytes to be read. Where there are more, what follows is mixed.
pub const CHANGES_MAX: usize = 1_024;

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
}

impl Requests {
    /// A request begins. The first one has all that was before it: a handshake is made for it.
    pub fn add(&mut self, begins: [u64; 2], typed: Option<Arc<Typed>>) {
        let kind = Kind::One(typed);
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

    /// Where the next kind begins, if some of its bytes are among the `payload` counted so far.
    pub fn next(&self, payload: [u64; 2]) -> Option<[u64; 2]> {
        let change = self.changes.front()?;
        let has_begun = change.begins[0] < payload[0];
        has_begun.then_some(change.begins)
    }

    /// The next kind is under way.
    pub fn begin_next(&mut self) {
        if let Some(change) = self.changes.pop_front() {
            self.kind = change.kind;
            self.untold = self.untold.saturating_add(change.requests);
        }
    }

    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Requests since the last call; `None` where there never was one.
    pub fn tell(&mut self) -> Option<u64> {
        (self.kind != Kind::Unseen).then(|| std::mem::take(&mut self.untold))
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
