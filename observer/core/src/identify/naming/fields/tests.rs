//! Field blocks by what is told of them; what the kernel half tells of real bytes is tested where that is.

use super::*;
use crate::{
    identify::{name::NameIdentity, route::RouteTable},
    model::names::ApiFamily,
};

const fn said(text: &str, is_inserted: bool) -> FieldText<'_> {
    FieldText {
        text: Some(text),
        is_cut: false,
        is_inserted,
    }
}

const fn block(number: u32, stream: u32) -> FieldPart<'static> {
    FieldPart::Block { number, stream }
}

/// Method and first template; `None` where it is not known which.
type Known = Option<(String, String)>;

/// What begins, and what sends how many bytes.
fn told(blocks: &mut Blocks, parts: &[FieldPart<'_>]) -> (Vec<Known>, Vec<(Known, u32)>) {
    let table = RouteTable::embedded().expect("the embedded table is whole");
    let openai = NameIdentity {
        api_family: Some(ApiFamily::Openai),
        ..NameIdentity::default()
    };
    let known = |typed: Option<Arc<Typed>>| {
        typed.map(|typed| {
            let template = typed.on(&openai).map(|route| route.template.to_string());
            (typed.method.to_string(), template.unwrap_or_default())
        })
    };
    let (mut begun, mut sent) = (Vec::new(), Vec::new());
    blocks.take(
        parts.iter().copied(),
        |request| table.typed(request).map(Arc::new),
        |told| match told {
            Told::Begins(typed) => begun.push(known(typed)),
            Told::Sends(typed, bytes) => sent.push((known(typed), bytes)),
        },
    );
    (begun, sent)
}

fn requests(blocks: &mut Blocks, parts: &[FieldPart<'_>]) -> Vec<Known> {
    told(blocks, parts).0
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what it is compared with may be none"
)]
fn known(method: &str, template: &str) -> Option<(String, String)> {
    Some((method.to_owned(), template.to_owned()))
}

#[test]
fn entries_count_from_the_newest_on() {
    use FieldPart::{End, Indexed, Insert, Method, Path};
    let mut blocks = Blocks::default();
    let first = [
        block(0, 1),
        Insert,
        Indexed(3),
        Path(said("/v1/embeddings", true)),
        Insert,
        End,
        block(1, 3),
        Indexed(3),
        Path(said("/v1/files", true)),
        End,
    ];
    let expected = [
        known("POST", "/v1/embeddings"),
        known("POST", "/v1/files/**"),
    ];
    assert_eq!(requests(&mut blocks, &first), expected);
    // Newest first: /v1/files, another, /v1/embeddings, another.
    let then = [
        block(2, 5),
        Indexed(3),
        Indexed(64),
        Indexed(65),
        End,
        block(3, 7),
        Method(said("DELETE", true)),
        Path(said("/v1/files/f_1", false)),
        End,
        block(4, 9),
        Indexed(62),
        Indexed(63),
        End,
        // Of another field, and of what is not there.
        block(5, 11),
        Indexed(3),
        Indexed(64),
        End,
        block(6, 13),
        Indexed(3),
        Indexed(200),
        End,
    ];
    let begun = requests(&mut blocks, &then);
    assert_eq!(begun.first(), Some(&known("POST", "/v1/embeddings")));
    assert_eq!(begun.get(1), Some(&known("DELETE", "/v1/files/**")));
    // A path that is a method is none.
    assert_eq!(begun.get(2), Some(&known("DELETE", "/v1/files/**")));
    assert_eq!(begun.get(3..), Some(&[None, None][..]));
}

#[test]
fn after_a_gap_entries_are_not_known() {
    use FieldPart::{End, Indexed, Lost, Path};
    let path = Path(said("/v1/files", true));
    let mut blocks = Blocks::default();
    // A block too few, and a gap that is told of.
    for (first, gap, next) in [(1, &[block(3, 121)][..], 4), (4, &[Lost, block(5, 461)], 6)] {
        let before = [block(first, first * 100 + 1), Indexed(3), path, End];
        let _ = requests(&mut blocks, &before);
        let after = [Indexed(3), Indexed(62), End];
        let parts = [gap, &after].concat();
        assert_eq!(requests(&mut blocks, &parts), [None], "{gap:?}");
        let again = [block(next, next * 100 - 49), Indexed(2), path, End];
        let get = known("GET", "/v1/files/**");
        assert_eq!(requests(&mut blocks, &again), [get]);
    }
}

#[test]
fn trailers_and_torn_blocks_are_no_requests() {
    use FieldPart::{End, Indexed, Insert, Path};
    let mut blocks = Blocks::default();
    let parts = [
        block(0, 1),
        Indexed(3),
        Path(said("/v1/files", false)),
        End,
        block(1, 1),
        Insert,
        End,
        block(2, 3),
        Indexed(3),
        Path(said("/v1/files", false)),
    ];
    assert_eq!(
        requests(&mut blocks, &parts),
        [known("POST", "/v1/files/**")]
    );
    // A new connection of the same flow's number begins anew.
    let anew = [block(0, 1), Indexed(2), Indexed(4), End];
    assert_eq!(requests(&mut blocks, &anew).len(), 1);
}

#[test]
fn a_table_is_bounded() {
    use FieldPart::{End, Indexed, Path};
    let mut blocks = Blocks::default();
    let mut parts = vec![block(0, 1), Indexed(2)];
    for _ in 0..ENTRIES_MAX * 2 {
        parts.push(Path(said("/v1/files", true)));
    }
    parts.push(End);
    let _ = requests(&mut blocks, &parts);
    assert_eq!(blocks.entries.len(), ENTRIES_MAX);
}

#[test]
fn bytes_are_of_the_kind_that_their_stream_began_with() {
    use FieldPart::{Data, End, Indexed, Path};
    let (stream, bytes) = (1, 100);
    let mut blocks = Blocks::default();
    let parts = [
        Data { stream, bytes },
        block(0, 1),
        Indexed(3),
        Path(said("/v1/files", false)),
        End,
        Data { stream, bytes },
        // A path that is not known.
        block(1, 3),
        Indexed(3),
        Indexed(62),
        End,
        // A trailer.
        block(2, 1),
        End,
        Data { stream: 3, bytes },
        Data { stream: 5, bytes },
        Data { stream, bytes: 7 },
    ];
    let (_, sent) = told(&mut blocks, &parts);
    let files = known("POST", "/v1/files/**");
    assert_eq!(sent, [(files.clone(), 100), (None, 100), (files, 7)]);
    for nth in 0..u32::try_from(STREAMS_MAX).expect("a few") {
        let parts = [block(3 + nth, 5 + 2 * nth), Indexed(2), Indexed(4), End];
        assert_eq!(requests(&mut blocks, &parts).len(), 1);
    }
    assert_eq!(blocks.streams.len(), STREAMS_MAX);
    let (_, sent) = told(&mut blocks, &[Data { stream, bytes }]);
    assert_eq!(sent, []);
}
