//! The requests of one flow: of which kind the one is that is under way, and where in the flow's payload others begin.

use std::{collections::VecDeque, mem, sync::Arc};

use crate::{
    identify::route::Typed,
    model::{flow::Answer, lookup::Beside},
};

/// Changes of kind of one flow that wait for their bytes to be read. Where there are more, what follows is mixed.
pub const CHANGES_MAX: usize = 1_024;
/// Kinds of one flow's requests that run beside others and are not told yet; further ones are counted as mixed.
pub const BESIDE_MAX: usize = 64;

/// Of fields, of TLS and of other streams, in the write in which bytes of a stream are told.
const OTHER_BYTES: u64 = 4_096;

/// Answers to requests of one kind that are told with one record; further ones are not among the times.
pub const ANSWERS_MAX: usize = 1_024;

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

/// Requests of one kind, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Run {
    kind: Kind,
    /// Not told yet.
    requests: u64,
    /// Payload bytes that are known to be theirs although they ran beside others, and not told yet.
    sent_bytes: u64,
    /// Where in what the flow sent the last of them lies at the latest.
    sent_until: u64,
    /// Their answers that are over and not told yet, [`ANSWERS_MAX`] at the most.
    answers: Vec<Answer>,
}

impl Run {
    const fn new(kind: Kind, requests: u64) -> Self {
        Self {
            kind,
            requests,
            sent_bytes: 0,
            sent_until: 0,
            answers: Vec::new(),
        }
    }

    /// More of the same kind.
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.sent_bytes = self.sent_bytes.saturating_add(other.sent_bytes);
        self.sent_until = self.sent_until.max(other.sent_until);
        let room = ANSWERS_MAX.saturating_sub(self.answers.len());
        self.answers.extend(other.answers.into_iter().take(room));
    }
}

/// Another kind from an offset on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// Payload bytes before it, sent and received.
    begins: [u64; 2],
    run: Run,
}

/// All that is known of one flow's requests.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    run: Run,
    changes: VecDeque<Change>,
    /// Requests that ran beside others, not told yet. But for what they are known to have sent, their bytes are the flow's, and mixed.
    beside: Vec<Run>,
    /// Those of which is being told.
    telling: Option<Run>,
    /// Those of which there is something left to tell with a later reading.
    kept: Vec<Run>,
    /// Where the write begins with which it was last told of bytes, and how many were with it.
    told: (u64, u64),
    /// Answers are told by request.
    has_answers: bool,
}

impl Requests {
    /// The latest request was answered so, before another one begins.
    pub fn answer(&mut self, answer: Answer) {
        self.has_answers = true;
        let run = self.latest();
        let is_of_a_request = run.kind != Kind::Unseen && answer != Answer::default();
        if is_of_a_request && run.answers.len() < ANSWERS_MAX {
            run.answers.push(answer);
        }
    }

    /// A request begins. The first one has all that was before it: a handshake is made for it.
    pub fn add(&mut self, begins: [u64; 2], typed: Option<Arc<Typed>>) {
        self.put(begins, Kind::One(typed));
    }

    /// A request begins that may run beside others: of two kinds it is not known whose the bytes are from then on.
    pub fn add_beside(&mut self, begins: [u64; 2], typed: Option<Arc<Typed>>) {
        let kind = Kind::One(typed);
        let is_full = self.changes.len() >= CHANGES_MAX;
        let known = &self.latest().kind;
        let is_alone = *known == Kind::Unseen || *known == kind;
        let is_mixed = *known == Kind::Mixed;
        if is_alone || (is_full && !is_mixed) {
            self.put(begins, kind);
            return;
        }
        if !is_mixed {
            let run = Run::new(Kind::Mixed, 0);
            self.changes.push_back(Change { begins, run });
        }
        self.put_beside(Run::new(kind, 1));
    }

    /// Requests that run beside others have sent so much, some of it before `begins` and the rest at once behind it. While all are of
    /// the same kind nothing need be known of it.
    pub fn send_beside(&mut self, begins: u64, typed: Option<Arc<Typed>>, bytes: u32) {
        if self.latest().kind != Kind::Mixed {
            return;
        }
        let kind = Kind::One(typed);
        let mut run = Run::new(kind, 0);
        run.sent_bytes = bytes.into();
        let (place, told) = self.told;
        let all = u64::from(bytes) + if place == begins { told } else { 0 };
        self.told = (begins, all);
        // With what else is around them in the same write.
        run.sent_until = begins
            .saturating_add(all / 4 * 5)
            .saturating_add(OTHER_BYTES);
        let is_known = self.beside.iter().any(|known| known.kind == run.kind);
        if is_known || self.beside.len() < BESIDE_MAX {
            self.put_beside(run);
        }
    }

    fn put(&mut self, begins: [u64; 2], kind: Kind) {
        let is_full = self.changes.len() >= CHANGES_MAX;
        let run = self.latest();
        if run.kind == Kind::Unseen {
            run.kind = kind.clone();
        }
        if run.kind == kind || is_full {
            if run.kind != kind {
                run.kind = Kind::Mixed;
            }
            run.requests = run.requests.saturating_add(1);
            return;
        }
        let run = Run::new(kind, 1);
        self.changes.push_back(Change { begins, run });
    }

    fn put_beside(&mut self, run: Run) {
        let found = self.beside.iter_mut().find(|known| known.kind == run.kind);
        if let Some(known) = found {
            known.add(run);
        } else if self.beside.len() < BESIDE_MAX {
            self.beside.push(run);
        } else {
            self.latest().add(run);
        }
    }

    /// The requests that were last to begin one after the other.
    fn latest(&mut self) -> &mut Run {
        match self.changes.back_mut() {
            Some(change) => &mut change.run,
            None => &mut self.run,
        }
    }

    /// Goes on to the next kind of those that ran beside others: [`kind`](Self::kind) and [`tell`](Self::tell) are its own until
    /// the next call; `None` where there are no more, and both are the flow's again.
    pub fn begin_beside(&mut self) -> Option<Beside> {
        let Some(mut run) = self.beside.pop() else {
            self.telling = None;
            self.beside = mem::take(&mut self.kept);
            return None;
        };
        let is_due = run.requests > 0 || !run.answers.is_empty();
        let mut sent_bytes = mem::take(&mut run.sent_bytes);
        let sent_until = run.sent_until;
        self.telling = Some(run);
        if self.run.kind != Kind::Mixed {
            // What is being counted is still of one kind.
            self.keep_beside(mem::take(&mut sent_bytes));
        }
        Some(Beside {
            is_due,
            sent_bytes,
            sent_until,
        })
    }

    /// So many bytes of those of which is being told were not counted yet.
    pub fn keep_beside(&mut self, sent_bytes: u64) {
        if let Some(run) = self.telling.as_ref().filter(|_| sent_bytes > 0) {
            let mut kept = Run::new(run.kind.clone(), 0);
            kept.sent_bytes = sent_bytes;
            kept.sent_until = run.sent_until;
            self.kept.push(kept);
        }
    }

    /// Where the next kind begins, if some of its bytes are among the `payload` counted so far.
    pub fn next(&self, payload: [u64; 2]) -> Option<[u64; 2]> {
        let change = self.changes.front()?;
        let has_begun = change.begins[0] < payload[0];
        has_begun.then_some(change.begins)
    }

    /// The next kind is under way. What no record has told of the one before, as none had new bytes, is told beside.
    pub fn begin_next(&mut self) {
        let Some(change) = self.changes.pop_front() else {
            return;
        };
        let run = mem::replace(&mut self.run, change.run);
        if run.requests > 0 || !run.answers.is_empty() {
            self.put_beside(run);
        }
    }

    pub fn kind(&self) -> &Kind {
        self.telling
            .as_ref()
            .map_or(&self.run.kind, |run| &run.kind)
    }

    /// Requests since the last call; `None` where there never was one.
    pub fn tell(&mut self) -> Option<u64> {
        let run = self.telling.as_mut().unwrap_or(&mut self.run);
        (run.kind != Kind::Unseen).then(|| mem::take(&mut run.requests))
    }

    /// Answers since the last call; `None` where they are not told by request.
    pub fn answers(&mut self) -> Option<Vec<Answer>> {
        let run = self.telling.as_mut().unwrap_or(&mut self.run);
        self.has_answers.then(|| mem::take(&mut run.answers))
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
    fn an_answer_is_the_request_s_before_it() {
        let answer = |us| Answer {
            last_byte_us: Some(us),
            ..Answer::default()
        };
        let mut requests = Requests::default();
        let (one, other) = (typed("/v1/embeddings"), typed("/v1/files"));
        assert_eq!(requests.answers(), None);
        // Nothing was asked before.
        requests.answer(answer(1));
        requests.add([0, 0], one.clone());
        requests.answer(answer(2));
        requests.add([100, 200], one);
        requests.answer(answer(3));
        requests.add([200, 400], other.clone());
        requests.answer(answer(4));
        requests.add([300, 600], other);
        requests.answer(Answer::default());
        assert_eq!(requests.answers(), Some(vec![answer(2), answer(3)]));
        assert_eq!(requests.answers(), Some(Vec::new()));
        requests.begin_next();
        assert_eq!(requests.answers(), Some(vec![answer(4)]));
    }

    #[test]
    fn requests_beside_others_are_told_by_kind() {
        let mut requests = Requests::default();
        let (one, other) = (typed("/v1/embeddings"), typed("/v1/files"));
        requests.add_beside([0, 0], one.clone());
        requests.add_beside([50, 50], one.clone());
        assert_eq!(requests.begin_beside(), None);
        requests.add_beside([100, 200], other.clone());
        requests.add_beside([300, 400], one.clone());
        requests.add_beside([300, 400], other.clone());
        assert_eq!(requests.kind(), &Kind::One(one.clone()));
        assert_eq!(requests.tell(), Some(2));
        let mut told = Vec::new();
        while requests.begin_beside().is_some() {
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
    fn what_is_sent_beside_others_is_its_kinds() {
        let mut requests = Requests::default();
        let (one, other) = (typed("/v1/embeddings"), typed("/v1/files"));
        let beside = |requests: &mut Requests| {
            let beside = requests.begin_beside()?;
            Some((beside.is_due, beside.sent_bytes, beside.sent_until))
        };
        requests.add_beside([0, 0], one.clone());
        assert_eq!(requests.tell(), Some(1));
        // Alone so far.
        requests.send_beside(0, one.clone(), 1_000);
        requests.add_beside([100, 200], other.clone());
        requests.send_beside(100, other.clone(), 20);
        requests.send_beside(200, other.clone(), 30);
        requests.send_beside(300, other.clone(), 40);
        requests.send_beside(300, one.clone(), 8);
        // The bytes that are being counted are those from before.
        let (until_other, until_one) = (300 + 50 + OTHER_BYTES, 300 + 60 + OTHER_BYTES);
        assert_eq!(beside(&mut requests), Some((false, 0, until_one)));
        assert_eq!(beside(&mut requests), Some((true, 0, until_other)));
        assert_eq!(requests.tell(), Some(1));
        assert_eq!(beside(&mut requests), None);
        requests.begin_next();
        assert_eq!(requests.kind(), &Kind::Mixed);
        assert_eq!(beside(&mut requests), Some((false, 90, until_other)));
        assert_eq!(requests.kind(), &Kind::One(other.clone()));
        requests.keep_beside(40);
        assert_eq!(beside(&mut requests), Some((false, 8, until_one)));
        requests.keep_beside(0);
        assert_eq!(beside(&mut requests), None);
        requests.send_beside(0, other.clone(), 2);
        requests.add_beside([100, 200], other);
        assert_eq!(beside(&mut requests), Some((true, 42, until_other)));
        assert_eq!(beside(&mut requests), None);
        assert_eq!(beside(&mut requests), None);
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
        assert!(requests.begin_beside().is_some());
        assert_eq!(requests.kind(), &Kind::One(one));
        assert_eq!(requests.tell(), Some(1));
        assert_eq!(requests.begin_beside(), None);
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
        while requests.begin_beside().is_some() {
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
