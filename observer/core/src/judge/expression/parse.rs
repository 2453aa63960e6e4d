//! From CEL to a checked expression. The syntax is the `cel` crate's; which fields, types and values there can be is checked
//! here, so that a slip of the pen is an error when a contract is read and never a rule that silently says nothing.

mod bound;
mod call;
mod operand;
mod vocabulary;

use cel::{
    common::ast::{CallExpr, Expr, ListExpr, LiteralValue, SelectExpr, SourceInfo, operators},
    parser::{Expression as Parsed, ParseErrors, Parser},
};

use self::operand::{Operand, Shape};
pub use self::{
    bound::{EXPRESSION_BYTES_MAX, NESTING_MAX},
    vocabulary::Vocabulary,
};
use super::{Check, Literal, Node, Order, Subject, Term, field};
use crate::model::{
    fact::FieldId,
    identity::Word,
    names::UNKNOWN,
    nearest::{self, hint},
    record::FieldKind,
};

/// What is wrong with an expression, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes from the start of the text.
    pub offset: usize,
    pub what: String,
}

/// Recursion that the parser allows itself; the bounds on the text keep below it.
const RECURSION_MAX: u16 = 96;
/// Of the parser's thread. Taken from the machine as far as it is used: 3 MiB by the deepest text, without optimisation.
const STACK_BYTES: usize = 64 << 20;
/// Of a message: some cite what was written.
const MESSAGE_BYTES_MAX: usize = 400;

pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Node, Fault> {
    let (parsed, source) = parsed(text, &bound::checked(text)?)?;
    let reader = Reader {
        text,
        source,
        vocabulary,
    };
    reader.condition(&parsed).map_err(|fault| Fault {
        what: short(&fault.what).to_owned(),
        ..fault
    })
}

/// Parses on a thread of its own: the parser goes down ten calls for each bracket, and what it does not stand is an error here and
/// not the end of the agent.
fn parsed(text: &str, checked: &str) -> Read<(Parsed, SourceInfo)> {
    let fault = |what: &str| Fault {
        offset: 0,
        what: what.to_owned(),
    };
    std::thread::scope(|scope| {
        let parse = || {
            let parser = Parser::new().max_recursion_depth(RECURSION_MAX);
            let parsed = parser.parse_with_source_info(checked);
            parsed.map_err(|errors| syntax(text, &errors))
        };
        let parsing = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, parse)
            .map_err(|_| fault("cannot be read: there is no thread to be had"))?;
        parsing
            .join()
            .unwrap_or_else(|_| Err(fault("cannot be read: the parser of CEL gave up")))
    })
}

fn syntax(text: &str, errors: &ParseErrors) -> Fault {
    let Some(first) = errors.errors.first() else {
        return Fault {
            offset: 0,
            what: "is no CEL".to_owned(),
        };
    };
    let (line, column) = first.pos;
    let line = usize::try_from(line).unwrap_or(1).max(1) - 1;
    let column = usize::try_from(column).unwrap_or(1).max(1) - 1;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let here = text.get(before..).unwrap_or_default();
    let within = here.char_indices().nth(column);
    Fault {
        offset: before + within.map_or(here.len(), |(at, _)| at),
        what: format!("is no CEL: {}", short(first.msg.trim())),
    }
}

fn short(message: &str) -> &str {
    let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    message.get(..end).unwrap_or_default()
}

struct Reader<'r> {
    text: &'r str,
    source: SourceInfo,
    vocabulary: &'r Vocabulary,
}

type Read<T> = Result<T, Fault>;

impl Reader<'_> {
    fn fault<T>(&self, at: &Parsed, what: impl Into<String>) -> Read<T> {
        Err(Fault {
            offset: self.offset(at),
            what: what.into(),
        })
    }

    /// Where an expression begins: a call is where its target, its first argument or its name is.
    fn offset(&self, at: &Parsed) -> usize {
        let own = self.source.offset_for(at.id);
        let own = own.and_then(|(start, _)| usize::try_from(start).ok());
        let inner = match &at.expr {
            Expr::Call(call) => call.target.as_deref().or(call.args.first()),
            Expr::Select(select) => Some(&*select.operand),
            _ => None,
        };
        let inner = inner.map(|inner| self.offset(inner));
        let name = match &at.expr {
            Expr::Call(call) => own.and_then(|own| {
                let before = self.text.get(..own)?.strip_suffix(&*call.func_name)?;
                Some(before.len())
            }),
            _ => None,
        };
        [own, inner, name]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_default()
    }

    fn condition(&self, parsed: &Parsed) -> Read<Node> {
        match self.operand(parsed)? {
            Operand::Condition(node) => Ok(node),
            other => self.fault(parsed, format!("{} is no condition", other.described())),
        }
    }

    fn operand(&self, parsed: &Parsed) -> Read<Operand> {
        match &parsed.expr {
            Expr::Literal(literal) => self.literal(parsed, literal),
            Expr::Ident(name) => self.field(parsed, name),
            Expr::List(list) => self.list(parsed, list),
            Expr::Select(select) => self.select(parsed, select),
            Expr::Call(call) => self.call(parsed, call),
            Expr::Comprehension(_) => self.fault(
                parsed,
                "`exists`, `all`, `map` and `filter` are not offered; ask `\"word\" in path_elements`",
            ),
            Expr::Map(_) | Expr::Struct(_) => {
                self.fault(parsed, "maps and messages are not offered in a condition")
            }
            Expr::Unspecified => self.fault(parsed, "is empty"),
        }
    }

    fn literal(&self, parsed: &Parsed, literal: &LiteralValue) -> Read<Operand> {
        Ok(match literal {
            LiteralValue::Boolean(is_it) => Operand::Condition(Node::Constant(*is_it.inner())),
            LiteralValue::Int(number) => Operand::Literal(Literal::Number(*number.inner())),
            LiteralValue::UInt(number) => match i64::try_from(*number.inner()) {
                Ok(number) => Operand::Literal(Literal::Number(number)),
                Err(_) => return self.fault(parsed, "is larger than 2^63 - 1"),
            },
            LiteralValue::String(text) => Operand::Literal(Literal::Text(Word::from(text.inner()))),
            LiteralValue::Double(_) => {
                return self.fault(parsed, "no field has decimals; write a whole number");
            }
            LiteralValue::Null => {
                return self.fault(
                    parsed,
                    "nothing is compared with `null`: ask `known(FIELD)`, or `== \"\"` of `front` and `blind_reason`",
                );
            }
            LiteralValue::Bytes(_) => return self.fault(parsed, "no field has bytes"),
        })
    }

    fn field(&self, parsed: &Parsed, name: &str) -> Read<Operand> {
        let name = match name {
            bound::STAND_IN | bound::ESCAPED => bound::RESERVED,
            name => name,
        };
        let offered = FieldId::all().filter(|field| is_offered(*field));
        match FieldId::named(name) {
            Some(field) if is_offered(field) => {
                let kind = field.declared().kind;
                Ok(Operand::Subject(Subject::Field(field), kind))
            }
            Some(_) if name.starts_with("cost_") => self.fault(
                parsed,
                format!("`{name}` follows from prices and is not for rules; a limit on money is a budget"),
            ),
            Some(_) => self.fault(parsed, format!("`{name}` is not for rules")),
            None => {
                let names: Vec<&str> = offered.map(FieldId::name).collect();
                let hint = match nearest::nearest(name, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "docs/record.md has all of them".to_owned(),
                };
                self.fault(parsed, format!("no field is called `{name}`; {hint}"))
            }
        }
    }

    fn list(&self, parsed: &Parsed, list: &ListExpr) -> Read<Operand> {
        if list.elements.is_empty() {
            return self.fault(parsed, "the list is empty: nothing is in it");
        }
        let literals = list
            .elements
            .iter()
            .map(|element| match self.operand(element)? {
                Operand::Literal(literal) => Ok((self.offset(element), literal)),
                other => self.fault(
                    element,
                    format!("a list has values; {} is none", other.described()),
                ),
            });
        literals.collect::<Read<Vec<_>>>().map(Operand::List)
    }

    fn select(&self, parsed: &Parsed, select: &SelectExpr) -> Read<Operand> {
        match self.operand(&select.operand)? {
            Operand::Subject(subject, FieldKind::TextMap) => {
                let name = Word::from(&*select.field);
                Ok(match select.test {
                    true => Operand::Condition(Node::Test(subject, Check::Has(name))),
                    false => {
                        Operand::Subject(Subject::Label(subject.field(), name), FieldKind::Text)
                    }
                })
            }
            other => self.fault(
                parsed,
                format!("{} has no part `{}`", other.described(), select.field),
            ),
        }
    }

    fn call(&self, parsed: &Parsed, call: &CallExpr) -> Read<Operand> {
        let arguments: Vec<&Parsed> = call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .collect();
        match (&*call.func_name, &*arguments) {
            (operators::LOGICAL_AND, nodes) => {
                self.conditions(nodes).map(|nodes| all(nodes).into())
            }
            (operators::LOGICAL_OR, nodes) => self.conditions(nodes).map(|nodes| any(nodes).into()),
            (operators::LOGICAL_NOT, [inner]) => {
                Ok(Node::Not(Box::new(self.condition(inner)?)).into())
            }
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                let parts = [condition, then, otherwise].map(|part| self.condition(part));
                let [condition, then, otherwise] = parts;
                Ok(Node::If(Box::new([condition?, then?, otherwise?])).into())
            }
            (operators::EQUALS, [left, right]) => self.equal(parsed, left, right).map(Into::into),
            (operators::NOT_EQUALS, [left, right]) => {
                let equal = self.equal(parsed, left, right)?;
                Ok(Node::Not(Box::new(equal)).into())
            }
            (operators::IN, [word, list]) => self.is_in(parsed, word, list).map(Into::into),
            (operators::LESS, [left, right]) => self.order(parsed, Order::Less, left, right),
            (operators::LESS_EQUALS, [left, right]) => {
                self.order(parsed, Order::LessOrEqual, left, right)
            }
            (operators::GREATER, [left, right]) => self.order(parsed, Order::Less, right, left),
            (operators::GREATER_EQUALS, [left, right]) => {
                self.order(parsed, Order::LessOrEqual, right, left)
            }
            (operators::INDEX, [map, name]) => self.index(parsed, map, name),
            ("known", [of]) => match self.operand(of)? {
                Operand::Subject(Subject::Field(field), _) => Ok(Node::Known(field).into()),
                other => self.fault(of, format!("{} is no field", other.described())),
            },
            ("size", [of]) => match self.operand(of)? {
                Operand::Subject(
                    subject,
                    FieldKind::Text | FieldKind::TextList | FieldKind::TextMap,
                ) => Ok(Operand::Term(Term::Size(subject), Shape::Number)),
                other => self.fault(of, format!("{} has no size", other.described())),
            },
            ("timestamp", [of]) => self.timestamp(of),
            ("startsWith" | "endsWith" | "contains" | "matches" | "inside", [subject, text]) => {
                self.text_check(&call.func_name, subject, text)
            }
            (name, terms) => self.arithmetic(parsed, name, terms),
        }
    }

    fn conditions(&self, nodes: &[&Parsed]) -> Read<Vec<Node>> {
        nodes.iter().map(|node| self.condition(node)).collect()
    }

    fn equal(&self, parsed: &Parsed, left: &Parsed, right: &Parsed) -> Read<Node> {
        match (self.operand(left)?, self.operand(right)?) {
            (Operand::Condition(left), Operand::Condition(right)) => {
                let opposite = Node::Not(Box::new(right.clone()));
                Ok(Node::If(Box::new([left, right, opposite])))
            }
            (Operand::Subject(subject, kind), Operand::Literal(literal)) => {
                self.one_of(&subject, kind, vec![(self.offset(right), literal)])
            }
            (Operand::Literal(literal), Operand::Subject(subject, kind)) => {
                self.one_of(&subject, kind, vec![(self.offset(left), literal)])
            }
            (Operand::Literal(left), Operand::Literal(right)) => Ok(Node::Constant(left == right)),
            (
                Operand::Subject(left, left_kind @ (FieldKind::Text | FieldKind::Address)),
                Operand::Subject(right, right_kind),
            ) if left_kind == right_kind => Ok(Node::Same(left, right)),
            (one, other) => match (one.term(), other.term()) {
                (Ok((one, shape)), Ok((other, same))) if shape == same => {
                    Ok(Node::Order(Order::Equal, one, other))
                }
                (one, other) => {
                    let described = [one, other].map(|term| match term {
                        Ok((_, shape)) => shape.described().to_owned(),
                        Err(operand) => operand.described(),
                    });
                    let [one, other] = described;
                    self.fault(parsed, format!("{one} and {other} are never equal"))
                }
            },
        }
    }

    /// That a field has one of these values.
    fn one_of(
        &self,
        subject: &Subject,
        kind: FieldKind,
        literals: Vec<(usize, Literal)>,
    ) -> Read<Node> {
        let values = literals.into_iter().map(|(offset, literal)| {
            self.value_of(subject, kind, literal)
                .map_err(|what| Fault { offset, what })
        });
        let values = values.collect::<Read<Vec<_>>>()?;
        Ok(match &*values {
            [Literal::Time(time)] => Node::Order(
                Order::Equal,
                Term::Field(subject.field()),
                Term::Time(*time),
            ),
            _ => Node::Test(subject.clone(), Check::OneOf(values)),
        })
    }

    /// A value as the field has it, if it can have it at all.
    fn value_of(
        &self,
        subject: &Subject,
        kind: FieldKind,
        literal: Literal,
    ) -> Result<Literal, String> {
        match (kind, literal) {
            (FieldKind::Text, Literal::Text(text)) => {
                if let Subject::Field(field) = subject {
                    self.vocabulary.check(*field, &text)?;
                }
                Ok(Literal::Text(text))
            }
            (FieldKind::Address, Literal::Text(text)) => match text.parse() {
                Ok(address) => Ok(Literal::Address(address)),
                Err(_) => Err(format!(
                    "`{text}` is no address; a network is asked for by `inside({subject}, \"10.0.0.0/8\")`"
                )),
            },
            (FieldKind::Unsigned, Literal::Number(number)) if number >= 0 => {
                Ok(Literal::Number(number))
            }
            (FieldKind::Unsigned, Literal::Number(number)) => {
                Err(format!("`{subject}` is never {number}: it is not below 0"))
            }
            (FieldKind::Time, Literal::Time(time)) => Ok(Literal::Time(time)),
            (FieldKind::Time, Literal::Text(text)) => Err(format!(
                "`{subject}` is a time: write `timestamp(\"{text}\")`"
            )),
            (FieldKind::TextList | FieldKind::TextMap, literal) => Err(format!(
                "`{subject}` holds several: write `{literal} in {subject}`"
            )),
            (kind, literal) => Err(format!(
                "`{subject}` is a {} and is never {literal}",
                kind.word()
            )),
        }
    }

    fn is_in(&self, parsed: &Parsed, word: &Parsed, list: &Parsed) -> Read<Node> {
        match (self.operand(word)?, self.operand(list)?) {
            (Operand::Subject(subject, kind), Operand::List(literals)) => {
                self.one_of(&subject, kind, literals)
            }
            (
                Operand::Literal(Literal::Text(text)),
                Operand::Subject(subject, kind @ (FieldKind::TextList | FieldKind::TextMap)),
            ) => {
                if kind == FieldKind::TextList {
                    let checked = self.vocabulary.check(subject.field(), &text);
                    checked.map_err(|what| Fault {
                        offset: self.offset(word),
                        what,
                    })?;
                }
                Ok(Node::Test(subject, Check::Has(text)))
            }
            (one, other) => self.fault(
                parsed,
                format!("{} is never in {}", one.described(), other.described()),
            ),
        }
    }

    fn order(&self, parsed: &Parsed, order: Order, left: &Parsed, right: &Parsed) -> Read<Operand> {
        let [(left, one), (right, other)] = [self.term(left)?, self.term(right)?];
        if one != other {
            let what = format!(
                "{} is not compared with {}",
                one.described(),
                other.described()
            );
            return self.fault(parsed, what);
        }
        Ok(Node::Order(order, left, right).into())
    }

    fn term(&self, parsed: &Parsed) -> Read<(Term, Shape)> {
        match self.operand(parsed)?.term() {
            Ok(term) => Ok(term),
            Err(other) => self.fault(
                parsed,
                format!("{} is neither a number nor a time", other.described()),
            ),
        }
    }
}

/// Ids name one flow and nothing that could be agreed on; evidence is for people.
fn is_offered(field: FieldId) -> bool {
    let is_of_one = matches!(
        field.name(),
        "schema_version"
            | "flow_id"
            | "sequence"
            | "evidence"
            | "currency"
            | "cost_assumption"
            | "unpriced_reason"
    );
    field.declared().kind.is_for_rules() && !is_of_one
}

/// Conditions inside conditions of the same kind are one list.
fn all(nodes: Vec<Node>) -> Node {
    let flat = nodes.into_iter().flat_map(|node| match node {
        Node::All(inner) => inner,
        other => vec![other],
    });
    Node::All(flat.collect())
}

fn any(nodes: Vec<Node>) -> Node {
    let flat = nodes.into_iter().flat_map(|node| match node {
        Node::Any(inner) => inner,
        other => vec![other],
    });
    Node::Any(flat.collect())
}

impl From<Node> for Operand {
    fn from(node: Node) -> Self {
        Self::Condition(node)
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
