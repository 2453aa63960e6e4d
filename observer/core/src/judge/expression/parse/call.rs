//! What is asked of a field by a call: parts of texts, patterns, networks, labels, times; and what is reckoned with numbers.

use super::{
    super::{Check, Literal, Node, Subject, Term},
    Parsed, Read, Reader, hint,
    operand::{Operand, Shape},
    operators,
};
use crate::model::record::FieldKind;

/// Bytes of a compiled pattern; matching takes time linear in the text.
const PATTERN_BYTES_MAX: usize = 1 << 18;

impl Reader<'_> {
    pub(super) fn index(&self, parsed: &Parsed, map: &Parsed, name: &Parsed) -> Read<Operand> {
        match (self.operand(map)?, self.operand(name)?) {
            (
                Operand::Subject(subject, FieldKind::TextMap),
                Operand::Literal(Literal::Text(name)),
            ) => Ok(Operand::Subject(
                Subject::Label(subject.field(), name),
                FieldKind::Text,
            )),
            (one, other) => self.fault(
                parsed,
                format!("{} is not asked for {}", one.described(), other.described()),
            ),
        }
    }

    pub(super) fn timestamp(&self, of: &Parsed) -> Read<Operand> {
        let Operand::Literal(Literal::Text(text)) = self.operand(of)? else {
            return self.fault(
                of,
                "a time is written as `timestamp(\"2026-04-27T00:00:00Z\")`",
            );
        };
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Operand::Literal(Literal::Time(time.as_microsecond()))),
            Err(_) => self.fault(
                of,
                format!("`{text}` is no time of RFC 3339, such as `2026-04-27T00:00:00Z`"),
            ),
        }
    }

    pub(super) fn text_check(&self, name: &str, subject: &Parsed, text: &Parsed) -> Read<Operand> {
        let (found, kind) = match self.operand(subject)? {
            Operand::Subject(found, kind) => (found, kind),
            other => return self.fault(subject, format!("{} is no field", other.described())),
        };
        let Operand::Literal(Literal::Text(word)) = self.operand(text)? else {
            return self.fault(text, format!("`{name}` takes a text in quotes"));
        };
        let check = match (name, kind) {
            ("startsWith", FieldKind::Text) => Check::StartsWith(word),
            ("endsWith", FieldKind::Text) => Check::EndsWith(word),
            ("contains", FieldKind::Text) => Check::Contains(word),
            ("matches", FieldKind::Text) => {
                let pattern = regex::RegexBuilder::new(&word)
                    .size_limit(PATTERN_BYTES_MAX)
                    .dfa_size_limit(PATTERN_BYTES_MAX)
                    .build();
                match pattern {
                    Ok(pattern) => Check::Matches(Box::new(pattern)),
                    Err(error) => {
                        let what = error.to_string();
                        let what = what.lines().last().unwrap_or_default().trim();
                        return self.fault(text, format!("the pattern cannot be used: {what}"));
                    }
                }
            }
            ("inside", FieldKind::Address) => match word.parse() {
                Ok(network) => Check::Inside(network),
                Err(error) => return self.fault(text, format!("`{word}`: {error}")),
            },
            ("inside", _) => {
                return self.fault(subject, format!("`{found}` is no address"));
            }
            _ => {
                let what = format!("`{found}` is a {} and has no `{name}`", kind.word());
                return self.fault(subject, what);
            }
        };
        Ok(Node::Test(found, check).into())
    }

    pub(super) fn arithmetic(
        &self,
        parsed: &Parsed,
        name: &str,
        terms: &[&Parsed],
    ) -> Read<Operand> {
        let terms = match (name, terms) {
            (operators::NEGATE, [_])
            | (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO,
                [_, _],
            ) => terms.iter().map(|term| self.term(term)),
            _ => {
                let known = [
                    "known",
                    "size",
                    "timestamp",
                    "startsWith",
                    "endsWith",
                    "contains",
                    "matches",
                    "inside",
                ];
                let name = name.trim_matches(['_', '@', '?', '[', ']']);
                let hint = hint(name, known.into_iter());
                return self.fault(parsed, format!("`{name}` is not offered here; {hint}"));
            }
        };
        let terms = terms.collect::<Read<Vec<_>>>()?;
        if terms.iter().any(|(_, shape)| *shape != Shape::Number) {
            return self.fault(parsed, "only numbers are reckoned with");
        }
        let mut terms = terms.into_iter().map(|(term, _)| term);
        let (Some(left), right) = (terms.next(), terms.next()) else {
            return self.fault(parsed, "is empty");
        };
        let term = match (name, right) {
            (operators::ADD, Some(right)) => Term::Sum(Box::new([left, right])),
            (operators::SUBSTRACT, Some(right)) => Term::Difference(Box::new([left, right])),
            (operators::MULTIPLY, Some(right)) => Term::Product(Box::new([left, right])),
            (operators::DIVIDE | operators::MODULO, Some(Term::Number(0))) => {
                return self.fault(parsed, "divides by 0");
            }
            (operators::DIVIDE, Some(right @ Term::Number(_))) => {
                Term::Quotient(Box::new([left, right]))
            }
            (operators::MODULO, Some(right @ Term::Number(_))) => {
                Term::Remainder(Box::new([left, right]))
            }
            (operators::DIVIDE | operators::MODULO, _) => {
                return self.fault(parsed, "divides by what may be 0; divide by a number");
            }
            _ => Term::Difference(Box::new([Term::Number(0), left])),
        };
        Ok(Operand::Term(term, Shape::Number))
    }
}
