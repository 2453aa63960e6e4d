//! Who may read the metrics: a bearer token or a user's password. Nothing is told of why somebody may not, and comparing
//! takes the same time whatever is wrong: a password's takes that of the dearest hash there is.

use std::{
    collections::{BTreeMap, HashSet},
    hint::black_box,
    ops::Range,
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Costs above would keep a CPU busy for seconds with each wrong password.
const COST_MAX: u32 = 14;
/// Passwords that were found right and are not computed again.
const KNOWN_MAX: usize = 100;
/// Passwords computed at the same time: whoever guesses must not take the host's CPUs.
const COMPUTED_AT_ONCE: usize = 1;
/// Passwords that wait for their turn or have it; further ones are told to come back.
pub const QUEUE_MAX: usize = 4;
/// Salt of what is computed for its time alone.
const NO_SALT: [u8; 16] = [0; 16];

/// Tokens and users of one web config.
#[derive(Debug)]
pub struct Access {
    users: BTreeMap<String, Hashed>,
    token: Option<Hash>,
    known: Mutex<HashSet<Hash>>,
    computing: Arc<Semaphore>,
    queue: Semaphore,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Refused,
    /// Too many passwords are being computed to tell.
    Busy,
}

/// A bcrypt hash; computing it takes 2^cost steps.
#[derive(Clone, Debug)]
struct Hashed {
    text: String,
    cost: u32,
}

/// What a password is computed with.
#[derive(Debug)]
struct Trial<'a> {
    hashed: &'a Hashed,
    is_user: bool,
    /// Costs of what is computed besides if the password is wrong, so that all take 2^dearest steps.
    besides: Range<u32>,
}

type Hash = [u8; 32];

impl Default for Access {
    fn default() -> Self {
        Self {
            users: BTreeMap::new(),
            token: None,
            known: Mutex::default(),
            computing: Arc::new(Semaphore::new(COMPUTED_AT_ONCE)),
            queue: Semaphore::new(QUEUE_MAX),
        }
    }
}

impl Verdict {
    const fn of(is_right: bool) -> Self {
        if is_right {
            Self::Allowed
        } else {
            Self::Refused
        }
    }
}

impl Access {
    /// # Errors
    /// Where a hash is none of bcrypt's, or the token is empty.
    pub fn new(users: BTreeMap<String, String>, token: Option<&str>) -> Result<Self> {
        let mut hashes = BTreeMap::new();
        for (name, text) in users {
            let parts = bcrypt::HashParts::from_str(&text)
                .ok()
                .with_context(|| format!("the hash of user `{name}` is none of bcrypt's; make one with `htpasswd -nBC 10 {name}`"))?;
            let cost = parts.get_cost();
            ensure!(
                cost <= COST_MAX,
                "the hash of user `{name}` has cost {cost}; give {COST_MAX} or less"
            );
            hashes.insert(name, Hashed { text, cost });
        }
        let token = token.map(str::trim);
        ensure!(token != Some(""), "the token is empty");
        Ok(Self {
            users: hashes,
            token: token.map(|token| hash(&[token.as_bytes()])),
            ..Self::default()
        })
    }

    /// Whether nobody is asked.
    pub fn is_open(&self) -> bool {
        self.users.is_empty() && self.token.is_none()
    }

    /// What a client is asked for (`WWW-Authenticate`).
    pub fn challenge(&self) -> &'static str {
        if self.users.is_empty() {
            "Bearer realm=\"observer\""
        } else {
            "Basic realm=\"observer\""
        }
    }

    /// Whether the value of an `Authorization` header opens the door.
    pub async fn judge(&self, authorization: Option<&str>) -> Verdict {
        if self.is_open() {
            return Verdict::Allowed;
        }
        let Some((scheme, value)) = authorization.and_then(|value| value.split_once(' ')) else {
            return Verdict::Refused;
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            let given = hash(&[value.trim().as_bytes()]);
            return Verdict::of(self.token.is_some_and(|token| token.ct_eq(&given).into()));
        }
        if scheme.eq_ignore_ascii_case("basic") && !self.users.is_empty() {
            let pair = STANDARD.decode(value.trim()).ok();
            let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
            if let Some((name, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
                return self.judge_password(name, password).await;
            }
        }
        Verdict::Refused
    }

    async fn judge_password(&self, name: &str, password: &str) -> Verdict {
        let Some(trial) = self.trial(name) else {
            return Verdict::Refused;
        };
        let (hashed, besides) = (trial.hashed.clone(), trial.besides);
        let key = hash(&[name.as_bytes(), hashed.text.as_bytes(), password.as_bytes()]);
        if trial.is_user && self.is_known(&key) {
            return Verdict::Allowed;
        }
        let Ok(_place) = self.queue.try_acquire() else {
            return Verdict::Busy;
        };
        let Ok(permit) = Arc::clone(&self.computing).acquire_owned().await else {
            return Verdict::Refused;
        };
        let password = password.to_owned();
        // A client that goes away ends no computation, so the permit goes with that.
        let computed = spawn_blocking(move || {
            let _permit = permit;
            let is_right = matches!(bcrypt::verify(&password, &hashed.text), Ok(true));
            if !is_right {
                for cost in besides {
                    let _ = black_box(bcrypt::hash_with_salt(&password, cost, NO_SALT));
                }
            }
            is_right
        });
        let is_right = trial.is_user && computed.await.unwrap_or(false);
        if is_right {
            self.remember(key);
        }
        Verdict::of(is_right)
    }

    /// `None` where there is no user at all. A name that is not there gets the dearest hash.
    fn trial(&self, name: &str) -> Option<Trial<'_>> {
        let dearest = self.users.values().max_by_key(|hashed| hashed.cost)?;
        let user = self.users.get(name);
        let hashed = user.unwrap_or(dearest);
        Some(Trial {
            hashed,
            is_user: user.is_some(),
            // 2^c + 2^c + 2^(c+1) + ... + 2^(d-1) = 2^d
            besides: hashed.cost..dearest.cost,
        })
    }

    fn is_known(&self, key: &Hash) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(key)
    }

    fn remember(&self, key: Hash) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key);
    }
}

/// Of parts that cannot be taken for each other: each is hashed by itself first.
fn hash(parts: &[&[u8]]) -> Hash {
    let mut all = Sha256::new();
    for part in parts {
        all.update(Sha256::digest(part));
    }
    all.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn users(hash: &str) -> BTreeMap<String, String> {
        [("ada".to_owned(), hash.to_owned())].into()
    }

    fn ask(access: &Arc<Access>, authorization: Option<&str>) -> bool {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(access.judge(authorization))
            == Verdict::Allowed
    }

    #[test]
    fn tokens_and_passwords_open_and_nothing_else_does() {
        let hashed = bcrypt::hash("sesame", 4).expect("hashed");
        let access = Arc::new(Access::new(users(&hashed), Some(" secret\n")).expect("valid"));
        let basic = |pair: &str| Some(format!("Basic {}", STANDARD.encode(pair)));
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        let cases = [
            (None, false),
            (bearer("secret"), true),
            (bearer("Secret"), false),
            (bearer(""), false),
            (Some("bearer secret".to_owned()), true),
            (Some("secret".to_owned()), false),
            (basic("ada:sesame"), true),
            // Again, from memory.
            (basic("ada:sesame"), true),
            (basic("ada:Sesame"), false),
            (basic("bob:sesame"), false),
            (basic("ada"), false),
            (Some("Basic %%%".to_owned()), false),
        ];
        for (header, allowed) in cases {
            assert_eq!(ask(&access, header.as_deref()), allowed, "{header:?}");
        }
        assert_eq!(access.known.lock().expect("no panic").len(), 1);
        let open = Arc::new(Access::default());
        assert!(ask(&open, None) && open.is_open());
    }

    #[test]
    fn a_client_that_goes_away_leaves_its_turn_to_nobody() {
        let hashed = bcrypt::hash("sesame", 10).expect("hashed");
        let access = Arc::new(Access::new(users(&hashed), None).expect("valid"));
        let header = format!("Basic {}", STANDARD.encode("ada:wrong"));
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime")
            .block_on(async {
                let asking = access.judge(Some(&header));
                timeout(Duration::ZERO, asking)
                    .await
                    .expect_err("it is being computed");
                assert_eq!(access.computing.available_permits(), 0);
                // The turn comes back with the computation's end.
                let _ended = access.computing.acquire().await.expect("open");
            });
    }

    #[test]
    fn a_wrong_password_takes_the_same_work_for_all_names() {
        let hashes = [("ada", 6), ("bob", 4), ("eve", 7)].map(|(name, cost)| {
            let hashed = bcrypt::hash_with_salt(name, cost, NO_SALT).expect("hashed");
            (name.to_owned(), hashed.to_string())
        });
        let access = Access::new(hashes.into(), None).expect("valid");
        for name in ["ada", "bob", "eve", "nobody"] {
            let trial = access.trial(name).expect("there are users");
            let besides: u32 = trial.besides.map(|cost| 1 << cost).sum();
            assert_eq!((1 << trial.hashed.cost) + besides, 1 << 7, "{name}");
            assert_eq!(trial.is_user, name != "nobody");
        }
        assert!(Access::default().trial("ada").is_none());
    }

    #[test]
    fn hashes_that_cannot_be_used_are_refused() {
        let dear = bcrypt::hash("x", 4)
            .expect("hashed")
            .replace("$04$", "$15$");
        for (hash, part) in [
            ("plain", "none of bcrypt's"),
            ("$2b$04$abcdefghijklmnopqrstuu", "none of"),
            (&*dear, "cost 15"),
        ] {
            let error = Access::new(users(hash), None)
                .expect_err("refused")
                .to_string();
            assert!(error.contains(part) && error.contains("`ada`"), "{error}");
            assert!(!error.contains(hash), "{error}");
        }
        assert!(Access::new(BTreeMap::new(), Some(" \n")).is_err());
    }
}
