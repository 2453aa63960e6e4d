//! What requests came to: types lines that are handed over, keeps what many share, and numbers what the kernel half is to know by
//! itself. Of a path nothing is kept but what it hashes to.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    mem,
    sync::Arc,
};

use observer_core::{
    identify::route::{Request, RouteTable, Typed},
    model::names::TypedWhere,
};
use observer_ebpf::{
    abi::request::{LEARNED_MAX, LINE_BYTES},
    request::line_hash,
};

use crate::probe::{Learned, Told};

/// What requests came to, kept to be shared; begun anew when there is more.
const REQUESTS_MAX: usize = 4_096;

/// Places that type requests.
pub const WHERE: usize = TypedWhere::ALL.len();

type Numbers = HashMap<u32, (TypedWhere, Arc<Typed>)>;

pub struct Typing {
    by_line: HashMap<[u64; 2], Option<Arc<Typed>>>,
    all: HashSet<Arc<Typed>>,
    /// Each made with keys of its own, which nobody knows.
    hashers: [RandomState; 2],
    /// By which the kernel half hashes lines.
    keys: [u64; 2],
    /// What the kernel half's numbers stand for.
    numbers: Numbers,
    /// The same of what was given up last, a table or what was learned: a hand-over may be under way.
    numbers_before: Numbers,
    /// Those that it learns.
    learns: HashMap<Arc<Typed>, u32>,
    next: u32,
    untold: Learned,
    counts: [u64; WHERE],
}

impl Typing {
    pub fn new(keys: [u64; 2]) -> Self {
        Self {
            by_line: HashMap::new(),
            all: HashSet::new(),
            hashers: [RandomState::new(), RandomState::new()],
            keys,
            numbers: Numbers::new(),
            numbers_before: Numbers::new(),
            learns: HashMap::new(),
            next: 1,
            untold: Learned::default(),
            counts: [0; WHERE],
        }
    }

    /// Begins anew with another table; gives what the kernel half is to know by itself.
    pub fn replace(&mut self, routes: &RouteTable) -> Vec<Told> {
        self.by_line.clear();
        self.all.clear();
        self.forget_learned();
        self.numbers_before.extend(self.numbers.drain());
        let decided = routes.decided().into_iter();
        decided
            .map(|one| {
                let typed = self.shared(one.typed);
                Told {
                    begins: one.begins,
                    number: self.number(TypedWhere::Kernel, typed),
                }
            })
            .collect()
    }

    /// What a number of the kernel half's stands for; `None` where it stands for nothing.
    pub fn known(&mut self, number: u32) -> Option<Arc<Typed>> {
        let numbers = [&self.numbers, &self.numbers_before];
        let (by, typed) = numbers.into_iter().find_map(|all| all.get(&number))?;
        let (by, typed) = (*by, Arc::clone(typed));
        self.count(by, 1);
        Some(typed)
    }

    /// What a line is, which the kernel half did not know; it will.
    pub fn line(&mut self, routes: &RouteTable, request: &Request<'_>) -> Option<Arc<Typed>> {
        self.count(TypedWhere::User, 1);
        let typed = self.typed(routes, request)?;
        if !request.is_cut {
            self.learn(request, &typed);
        }
        Some(typed)
    }

    /// Requests that were typed here by [`typed`](Self::typed).
    pub fn count(&mut self, by: TypedWhere, requests: u64) {
        if let Some(count) = self.counts.get_mut(by as usize) {
            *count = count.saturating_add(requests);
        }
    }

    pub const fn counts(&self) -> [u64; WHERE] {
        self.counts
    }

    pub fn typed(&mut self, routes: &RouteTable, request: &Request<'_>) -> Option<Arc<Typed>> {
        let line = (request.method, request.path, request.is_cut);
        let hash = [0, 1].map(|nth: usize| self.hashers[nth].hash_one(line));
        if let Some(known) = self.by_line.get(&hash) {
            return known.clone();
        }
        if self.by_line.len() >= REQUESTS_MAX {
            self.by_line.clear();
            self.all.clear();
        }
        let typed = routes.typed(request).map(|typed| self.shared(typed));
        self.by_line.insert(hash, typed.clone());
        typed
    }

    /// What the kernel half has to be told since the last call.
    pub fn learned(&mut self) -> Learned {
        mem::take(&mut self.untold)
    }

    /// One copy for all that are alike.
    fn shared(&mut self, typed: Typed) -> Arc<Typed> {
        if let Some(known) = self.all.get(&typed) {
            return Arc::clone(known);
        }
        let typed = Arc::new(typed);
        self.all.insert(Arc::clone(&typed));
        typed
    }

    fn learn(&mut self, request: &Request<'_>, typed: &Arc<Typed>) {
        let line = [request.method, request.path].join(" ");
        if line.len() >= LINE_BYTES {
            return;
        }
        let number = match self.learns.get(typed) {
            Some(number) => *number,
            None => {
                if self.learns.len() >= LEARNED_MAX as usize {
                    self.forget_learned();
                }
                let number = self.number(TypedWhere::Cache, Arc::clone(typed));
                self.learns.insert(Arc::clone(typed), number);
                number
            }
        };
        let hash = line_hash(self.keys, line.as_bytes());
        self.untold.lines.push((hash, number));
    }

    /// A hand-over may be under way by a number of these: they are kept once more.
    fn forget_learned(&mut self) {
        self.learns.clear();
        let is_learned = |_: &u32, (by, _): &mut (TypedWhere, _)| *by == TypedWhere::Cache;
        self.numbers_before.clear();
        self.numbers_before
            .extend(self.numbers.extract_if(is_learned));
        self.untold = Learned {
            begins_anew: true,
            lines: Vec::new(),
        };
    }

    fn number(&mut self, by: TypedWhere, typed: Arc<Typed>) -> u32 {
        let number = self.next;
        // 0 says that a request is not known; a number that comes round again is long forgotten.
        self.next = self.next.checked_add(1).unwrap_or(1);
        self.numbers.insert(number, (by, typed));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Request<'static> = Request {
        method: "POST",
        path: "/openai/deployments/one/embeddings",
        is_cut: false,
    };

    #[test]
    fn what_was_typed_once_the_kernel_half_learns() {
        let routes = RouteTable::embedded().expect("the embedded table is whole");
        let mut typing = Typing::new([1, 2]);
        let told = typing.replace(&routes);
        assert!(typing.learned().begins_anew);
        let embeddings = told
            .iter()
            .find(|one| one.begins == b"POST /v1/embeddings\0");
        let number = embeddings.expect("it decides").number;
        let known = typing.known(number).expect("it was told");
        let request = Request {
            path: "/v1/embeddings",
            ..LINE
        };
        assert_eq!(routes.typed(&request).as_ref(), Some(&*known));

        let typed = typing.line(&routes, &LINE).expect("a method");
        let learned = typing.learned();
        let hash = line_hash([1, 2], b"POST /openai/deployments/one/embeddings");
        assert_eq!(learned.lines.len(), 1);
        assert_eq!(learned.lines[0].0, hash);
        let again = typing.known(learned.lines[0].1).expect("it was learned");
        assert!(Arc::ptr_eq(&typed, &again));
        let cut = Request {
            is_cut: true,
            ..LINE
        };
        typing.line(&routes, &cut);
        assert_eq!(typing.learned(), Learned::default());
        assert_eq!(typing.counts(), [1, 2, 1, 0]);

        // A hand-over from before another table keeps its meaning; one from before that has none.
        typing.replace(&routes);
        assert_eq!(typing.known(number), Some(known));
        assert_eq!(typing.known(learned.lines[0].1), Some(typed));
        typing.replace(&routes);
        assert_eq!(typing.known(number), None);
        assert_eq!(typing.known(learned.lines[0].1), None);
        assert_eq!(typing.known(0), None);
    }

    #[test]
    fn what_is_learned_is_bounded() {
        let routes = RouteTable::embedded().expect("the embedded table is whole");
        let mut typing = Typing::new([1, 2]);
        for nth in 0..=LEARNED_MAX {
            let path = format!("/openai/deployments/model-{nth}/embeddings");
            let request = Request {
                path: &path,
                ..LINE
            };
            typing.line(&routes, &request);
        }
        let learned = typing.learned();
        assert!(learned.begins_anew);
        assert_eq!(learned.lines.len(), 1);
        assert_eq!(typing.numbers.len(), 1);
        assert_eq!(typing.numbers_before.len(), LEARNED_MAX as usize);
    }
}
