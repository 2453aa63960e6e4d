//! Which requests are known by the first bytes of method and path, whatever follows them and whatever host they are made on: what
//! the kernel half can type by itself. Knows no map.

use std::collections::{BTreeSet, HashSet};

use observer_ebpf::abi::request::ROUTE_BYTES;

use super::{METHODS, Request, RouteTable, Typed};

/// Requests that begin with the same bytes, and are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Method, space and path; a zero behind them where they end there. [`ROUTE_BYTES`] at the most.
    pub begins: Vec<u8>,
    pub typed: Typed,
}

impl RouteTable {
    /// Beginnings of requests that decide, the shorter ones first; of those that say the same as a shorter one that they begin with,
    /// none. A request that begins with several is what any of them says.
    #[must_use]
    pub fn decided(&self) -> Vec<Decided> {
        let mut candidates = BTreeSet::new();
        for row in self.rows.values().flatten() {
            let any = METHODS.as_slice();
            let methods = if row.methods.is_empty() {
                any
            } else {
                &row.methods
            };
            for beginning in row.template.beginnings() {
                for method in methods {
                    let line = format!("{method} {}", beginning.text);
                    candidates.insert((line.len(), line.clone(), false));
                    if beginning.goes_on {
                        candidates.insert((line.len() + 1, line + "/", true));
                    }
                }
            }
        }
        let mut all: Vec<Decided> = Vec::new();
        let mut known: HashSet<Vec<u8>> = HashSet::new();
        for (_, line, goes_on) in candidates {
            let Some(typed) = self.decides(&line, goes_on) else {
                continue;
            };
            let mut begins = line.into_bytes();
            if !goes_on {
                begins.push(0);
            }
            let is_known = (1..begins.len()).any(|bytes| known.contains(&begins[..bytes]));
            if begins.len() > ROUTE_BYTES || is_known {
                continue;
            }
            if goes_on {
                known.insert(begins.clone());
            }
            all.push(Decided { begins, typed });
        }
        all
    }

    /// What each request is whose line begins so, or is that; `None` where what follows decides.
    fn decides(&self, line: &str, goes_on: bool) -> Option<Typed> {
        let (method, path) = line.split_once(' ')?;
        let request = Request {
            method,
            path,
            is_cut: goes_on,
        };
        let (typed, is_open) = self.typed_or_open(&request)?;
        (!is_open).then_some(typed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;

    use super::*;

    fn table() -> &'static (RouteTable, Vec<Decided>) {
        static TABLE: OnceLock<(RouteTable, Vec<Decided>)> = OnceLock::new();
        TABLE.get_or_init(|| {
            let table = RouteTable::embedded().expect("the embedded table is whole");
            let decided = table.decided();
            (table, decided)
        })
    }

    /// What the longest beginning says of a line, as the kernel half finds it.
    fn known<'d>(all: &'d [Decided], line: &str) -> Option<&'d Decided> {
        let mut bytes = line.as_bytes().to_vec();
        bytes.resize(ROUTE_BYTES.max(bytes.len() + 1), 0);
        all.iter().rfind(|one| bytes.starts_with(&one.begins))
    }

    #[test]
    fn common_requests_are_known_by_their_beginning() {
        let (table, all) = table();
        for (line, expected) in [
            ("POST /v1/embeddings", true),
            ("POST /v1/chat/completions", true),
            ("POST /v1/responses", true),
            ("POST /v1/messages", true),
            ("GET /openai/v1/conversations/conv_1/items", true),
            ("POST /openai/v1/responses", true),
            // A model's or a stored thing's name stands in them.
            ("POST /openai/deployments/gpt/chat/completions", false),
            ("POST /model/amazon.nova-micro-v1:0/converse", false),
            ("GET /v1/responses/resp_1", false),
            ("GET /index.html", false),
            ("POST /v1/embeddingsx", false),
        ] {
            let found = known(all, line);
            assert_eq!(found.is_some(), expected, "{line}");
            let (method, path) = line.split_once(' ').expect("a line");
            let request = Request {
                method,
                path,
                is_cut: false,
            };
            if let Some(found) = found {
                assert_eq!(table.typed(&request).as_ref(), Some(&found.typed), "{line}");
            }
        }
        assert!(all.iter().all(|one| one.begins.len() <= ROUTE_BYTES));
        assert!(all.len() > 1_000, "{}", all.len());
    }

    proptest! {
        /// Whatever follows a beginning, the whole path is the same.
        #[test]
        fn what_a_beginning_says_the_whole_says(
            nth in any::<prop::sample::Index>(),
            rest in "[a-z0-9/:.%_-]{0,40}",
            is_cut in any::<bool>(),
        ) {
            let (table, all) = table();
            let one = nth.get(all);
            let begins = str::from_utf8(&one.begins).expect("it was text");
            let line = match begins.strip_suffix('\0') {
                Some(whole) => whole.to_owned(),
                None => format!("{begins}{rest}"),
            };
            let (method, path) = line.split_once(' ').expect("a line");
            let is_cut = is_cut && !begins.ends_with('\0');
            let typed = table.typed(&Request { method, path, is_cut });
            let found = known(all, &line).expect("it begins so");
            prop_assert_eq!(typed.as_ref(), Some(&found.typed), "{}", line);
            prop_assert_eq!(typed.as_ref(), Some(&one.typed), "{}", line);
        }
    }
}
