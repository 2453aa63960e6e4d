//! Conditions that no flow can meet: two values asked of one field, or `false`.

use std::collections::BTreeMap;

use crate::judge::expression::{Check, Expression, Literal, Node, Subject};
use crate::model::fact::FieldId;

/// What is asked of one field: one of these, and none of those.
#[derive(Default)]
struct Asked<'e> {
    one_of: Option<Vec<&'e Literal>>,
    none_of: Vec<&'e Literal>,
}

/// Why no flow meets all of these; `None` where one may.
pub fn why(all: &[&Expression]) -> Option<String> {
    let mut asked: BTreeMap<FieldId, Asked<'_>> = BTreeMap::new();
    let mut nodes: Vec<&Node> = all.iter().map(|one| one.root()).collect();
    while let Some(node) = nodes.pop() {
        match node {
            Node::Constant(false) => return Some("it is `false`".to_owned()),
            Node::All(inner) => nodes.extend(inner),
            Node::Test(Subject::Field(field), Check::OneOf(literals)) => {
                let asked = asked.entry(*field).or_default();
                let before = asked.one_of.replace(literals.iter().collect());
                if let (Some(before), Some(now)) = (before, &mut asked.one_of) {
                    let text = [listed(&before), listed(now)];
                    now.retain(|literal| before.contains(literal));
                    if now.is_empty() {
                        let [one, other] = text;
                        return Some(format!("`{}` would be {other} and {one}", field.name()));
                    }
                }
            }
            Node::Not(inner) => match &**inner {
                Node::Constant(true) => return Some("it is `!true`".to_owned()),
                Node::Test(Subject::Field(field), Check::OneOf(literals)) => {
                    asked.entry(*field).or_default().none_of.extend(literals);
                }
                _ => {}
            },
            _ => {}
        }
    }
    asked.iter().find_map(|(field, asked)| {
        let left = asked.one_of.as_ref()?;
        let is_refused = left.iter().all(|literal| asked.none_of.contains(literal));
        is_refused.then(|| {
            let left = listed(left);
            format!("`{}` would be {left} and is not to be", field.name())
        })
    })
}

fn listed(literals: &[&Literal]) -> String {
    let words: Vec<String> = literals.iter().map(ToString::to_string).collect();
    words.join(" or ")
}
