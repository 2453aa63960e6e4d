//! However a client codes the fields of its requests (RFC 7541), and in whatever pieces they are sent: each request is read as it
//! was made, and nothing of what its other fields say is told.

#![expect(
    clippy::struct_excessive_bools,
    reason = "a coder's choices are independent of each other"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "bit fields are taken apart"
)]

use std::{collections::VecDeque, sync::Arc};

use observer_core::{
    decode::Fields,
    identify::{
        name::NameIdentity,
        naming::{Blocks, Told},
        route::{Request, RouteTable, Typed},
    },
    model::names::ApiFamily,
};
use observer_ebpf::{
    abi::{
        http2::Frames,
        request::{Boundary, ROOM_BYTES},
    },
    http2::Output,
    huffman::{self, BROKEN, SYMBOL, Steps},
};
use proptest::prelude::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SECRET: &str = "sk-s3cret";
const PATHS: [&str; 6] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/files/file-1/content",
    "/v1/threads/t_1/runs",
    "/v1/nowhere",
];
const METHODS: [&str; 4] = ["GET", "POST", "DELETE", "PUT"];

/// How a field is coded.
#[derive(Clone, Debug)]
struct Way {
    by_index: bool,
    inserts: bool,
    never: bool,
    codes: bool,
    codes_name: bool,
}

#[derive(Clone, Debug)]
struct Asked {
    method: usize,
    path: usize,
    query: bool,
    others: Vec<(u8, u8, Way)>,
    ways: [Way; 2],
    /// Whether the path stands first.
    turned: bool,
    trailer: bool,
    padding: Option<u8>,
    has_priority: bool,
    /// Bytes of the block in its first frame.
    split: Option<usize>,
    body: u16,
    size: Option<u16>,
}

fn way() -> impl Strategy<Value = Way> {
    (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(by_index, inserts, never, codes, codes_name)| Way {
            by_index,
            inserts,
            never,
            codes,
            codes_name,
        })
}

fn asked() -> impl Strategy<Value = Asked> {
    let others = prop::collection::vec((0..20_u8, any::<u8>(), way()), 0..8);
    let frame = (
        prop::option::of(any::<u8>()),
        any::<bool>(),
        prop::option::of(0..200_usize),
        0..2_000_u16,
        prop::option::of(200..4_096_u16),
    );
    let fields = (
        0..METHODS.len(),
        0..PATHS.len(),
        any::<bool>(),
        others,
        [way(), way()],
    );
    (fields, frame, any::<bool>(), any::<bool>()).prop_map(
        |((method, path, query, others, ways), frame, turned, trailer)| Asked {
            method,
            path,
            query,
            others,
            ways,
            turned,
            trailer,
            padding: frame.0,
            has_priority: frame.1,
            split: frame.2,
            body: frame.3,
            size: frame.4,
        },
    )
}

/// A client's coder.
struct Coder {
    /// The newest first.
    table: VecDeque<(String, String)>,
    size_max: usize,
    codes: Vec<(u32, u8)>,
}

impl Coder {
    fn new(steps: &Steps) -> Self {
        let mut codes = vec![(0, 0); 256];
        find_codes(steps, 0, 0, &mut codes);
        assert!(codes.iter().all(|(_, bits)| *bits != 0));
        Self {
            table: VecDeque::new(),
            size_max: 4_096,
            codes,
        }
    }

    fn resize(&mut self, size: usize, block: &mut Vec<u8>) {
        self.size_max = size;
        self.evict(0);
        number(block, 0x20, 5, size);
    }

    fn evict(&mut self, more: usize) {
        let size = |(name, value): &(String, String)| name.len() + value.len() + 32;
        while self.table.iter().map(size).sum::<usize>() + more > self.size_max {
            if self.table.pop_back().is_none() {
                return;
            }
        }
    }

    fn field(&mut self, name: &str, value: &str, way: &Way, block: &mut Vec<u8>) {
        let fixed = match (name, value) {
            (":method", "GET") => Some(2),
            (":method", "POST") => Some(3),
            _ => None,
        };
        let known = self.table.iter().position(|(n, v)| n == name && v == value);
        let index = fixed.or_else(|| known.map(|at| at + 62));
        if let (Some(index), true) = (index, way.by_index) {
            number(block, 0x80, 7, index);
            return;
        }
        let by_name = match name {
            ":method" => 2,
            ":path" => 4,
            _ => {
                let known = self.table.iter().position(|(n, _)| n == name);
                known.filter(|_| way.by_index).map_or(0, |at| at + 62)
            }
        };
        let (form, prefix) = match (way.inserts, way.never) {
            (true, _) => (0x40, 6),
            (false, true) => (0x10, 4),
            (false, false) => (0, 4),
        };
        number(block, form, prefix, by_name);
        if by_name == 0 {
            self.string(name, way.codes_name, block);
        }
        self.string(value, way.codes, block);
        if way.inserts {
            let size = name.len() + value.len() + 32;
            self.evict(size);
            if size <= self.size_max {
                self.table.push_front((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn string(&self, text: &str, codes: bool, block: &mut Vec<u8>) {
        if !codes {
            number(block, 0, 7, text.len());
            block.extend(text.as_bytes());
            return;
        }
        let mut bits = Vec::new();
        for byte in text.bytes() {
            let (code, length) = self.codes[usize::from(byte)];
            bits.extend((0..length).rev().map(|at| code >> at & 1 == 1));
        }
        while bits.len() % 8 != 0 {
            bits.push(true);
        }
        number(block, 0x80, 7, bits.len() / 8);
        block.extend(bits.chunks(8).map(|bits| {
            bits.iter()
                .fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit))
        }));
    }
}

/// The code of each symbol: what it is the first one of, whatever follows.
fn find_codes(steps: &Steps, code: u32, length: u8, codes: &mut [(u32, u8)]) {
    let first = |filled: u32| {
        let mut node = 0;
        for at in (0..8).rev() {
            let entry = huffman::step(steps, node, (filled >> (at * 4)) as u8 & 15);
            if entry & SYMBOL != 0 {
                return Some(entry as u8);
            }
            if entry & BROKEN != 0 {
                return None;
            }
            node = (entry >> 8) as u8;
        }
        None
    };
    if length > 0 {
        let low = code << (32 - length);
        let high = low | (u32::MAX >> length);
        if let (Some(one), Some(other)) = (first(low), first(high))
            && one == other
        {
            codes[usize::from(one)] = (code, length);
            return;
        }
    }
    if length < 30 {
        find_codes(steps, code << 1, length + 1, codes);
        find_codes(steps, code << 1 | 1, length + 1, codes);
    }
}

/// RFC 7541, section 5.1.
fn number(block: &mut Vec<u8>, form: u8, prefix: u32, number: usize) {
    let most = (1 << prefix) - 1;
    if number < most {
        block.push(form | u8::try_from(number).expect("a prefix"));
        return;
    }
    block.push(form | u8::try_from(most).expect("a prefix"));
    let mut rest = number - most;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).expect("seven bits") | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).expect("seven bits"));
}

fn frame(stream: &mut Vec<u8>, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a frame");
    stream.extend(&length.to_be_bytes()[1..]);
    stream.extend([kind, flags]);
    stream.extend(id.to_be_bytes());
    stream.extend(payload);
}

fn block_frames(stream: &mut Vec<u8>, id: u32, block: &[u8], asked: &Asked) {
    let at = asked.split.unwrap_or(block.len()).min(block.len());
    let (one, other) = block.split_at(at);
    let ends = if asked.split.is_none() { 4 } else { 0 };
    let mut payload = Vec::new();
    let mut flags = ends;
    if let Some(padding) = asked.padding {
        flags |= 8;
        payload.push(padding);
    }
    if asked.has_priority {
        flags |= 32;
        payload.extend([0, 0, 0, 0, 7]);
    }
    payload.extend(one);
    payload.extend(vec![0; asked.padding.map_or(0, usize::from)]);
    frame(stream, 1, flags, id, &payload);
    if asked.split.is_some() {
        frame(stream, 9, 4, id, other);
    }
}

/// What a client sends.
fn stream_of(requests: &[Asked], steps: &Steps) -> Vec<u8> {
    let mut coder = Coder::new(steps);
    let mut stream = PREFACE.to_vec();
    frame(&mut stream, 4, 0, 0, &[0, 3, 0, 0, 0, 100]);
    frame(&mut stream, 8, 0, 0, &[0, 1, 0, 0]);
    for (nth, asked) in (0_u32..).zip(requests) {
        let id = nth * 2 + 1;
        let mut block = Vec::new();
        if let Some(size) = asked.size {
            coder.resize(size.into(), &mut block);
        }
        let path = PATHS[asked.path];
        let query = if asked.query {
            format!("?key={SECRET}")
        } else {
            String::new()
        };
        let path = format!("{path}{query}");
        let mut pseudo = [(":method", METHODS[asked.method]), (":path", &path)];
        if asked.turned {
            pseudo.reverse();
        }
        for ((name, value), way) in pseudo.iter().zip(&asked.ways) {
            coder.field(name, value, way, &mut block);
        }
        for (name, value, way) in &asked.others {
            let value = format!("{SECRET}-{}", "v".repeat(usize::from(*value)));
            coder.field(&format!("x-{SECRET}-{name}"), &value, way, &mut block);
        }
        block_frames(&mut stream, id, &block, asked);
        frame(&mut stream, 0, 0, id, &vec![b'{'; asked.body.into()]);
        if asked.trailer {
            let mut block = Vec::new();
            coder.field("x-trailer", SECRET, &asked.ways[0], &mut block);
            frame(&mut stream, 1, 5, id, &block);
        }
    }
    stream
}

/// What is told of a stream in pieces: one hand-over for each that ends no block in its middle.
fn told(stream: &[u8], pieces: &[usize], steps: &Steps) -> Vec<(Vec<u8>, bool)> {
    let mut frames = Frames::default();
    frames.begin();
    let mut told = Vec::new();
    let (mut bytes, mut used, mut is_full) = ([0; ROOM_BYTES], 0, 0);
    let mut rest = stream;
    for piece in pieces.iter().cycle() {
        let (now, then) = rest.split_at((*piece).min(rest.len()));
        let mut out = Output {
            bytes: &mut bytes,
            used: &mut used,
            is_full: &mut is_full,
        };
        frames.read(now, steps, &mut out);
        rest = then;
        if frames.is_open == 0 && used > 0 {
            told.push((bytes[..used as usize].to_vec(), is_full != 0));
            (used, is_full) = (0, 0);
        }
        if rest.is_empty() {
            break;
        }
    }
    assert!(frames.is_between_frames());
    told
}

type Known = Option<(String, String)>;

/// What begins, and what sends how many bytes.
fn read(told: &[(Vec<u8>, bool)], routes: &RouteTable) -> (Vec<Known>, Vec<(Known, u32)>) {
    let known = |typed: Option<Arc<Typed>>| typed.map(|typed| known(&typed));
    let mut blocks = Blocks::default();
    let (mut requests, mut sent) = (Vec::new(), Vec::new());
    for (bytes, cut) in told {
        let bytes = [&[0; size_of::<Boundary>()], bytes.as_slice()].concat();
        let mut fields = Fields::read(&bytes, *cut).expect("a boundary is there");
        blocks.take(
            fields.by_ref(),
            |request| routes.typed(request).map(Arc::new),
            |told| match told {
                Told::Begins(typed) => requests.push(known(typed)),
                Told::Sends(typed, bytes) => sent.push((known(typed), bytes)),
            },
        );
        assert!(fields.is_at_end());
    }
    (requests, sent)
}

fn known(typed: &Typed) -> (String, String) {
    let openai = NameIdentity {
        api_family: Some(ApiFamily::Openai),
        ..NameIdentity::default()
    };
    let template = typed.on(&openai).map(|route| route.template.to_string());
    (typed.method.to_string(), template.unwrap_or_default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn requests_are_read_as_they_were_made(
        requests in prop::collection::vec(asked(), 1..20),
        pieces in prop::collection::vec(1..600_usize, 1..8),
    ) {
        let steps = huffman::steps();
        let routes = RouteTable::embedded().expect("the embedded table is whole");
        let stream = stream_of(&requests, &steps);
        let told = told(&stream, &pieces, &steps);
        for (bytes, is_cut) in &told {
            prop_assert!(!is_cut);
            let secret = SECRET.as_bytes();
            prop_assert!(!bytes.windows(4).any(|four| secret.windows(4).any(|s| s == four)));
        }
        let made: Vec<_> = requests.iter().map(|asked| {
            let request = Request {
                method: METHODS[asked.method],
                path: PATHS[asked.path],
                is_cut: false,
            };
            Some(known(&routes.typed(&request).expect("a method")))
        }).collect();
        let (begun, sent) = read(&told, &routes);
        prop_assert_eq!(&begun, &made);
        // From the second block of a connection on, and before the next: no frame here ends its stream.
        let told_of = (0..requests.len()).skip(1).filter(|nth| nth + 1 < requests.len() || requests[*nth].trailer);
        let expected: Vec<_> = told_of.map(|nth| (made[nth].clone(), u32::from(requests[nth].body) + 9)).collect();
        prop_assert_eq!(sent, expected);
    }
}
