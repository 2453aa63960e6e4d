//! Expressions as text again, in one form: what `explain` shows of each part.

use std::fmt;

use super::{Check, Literal, Node, Order, Subject, Term};

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(is_it) => write!(f, "{is_it}"),
            Self::Not(node) => match &**node {
                Self::Test(subject, Check::OneOf(literals)) if literals.len() == 1 => {
                    write!(f, "{subject} != {}", literals[0])
                }
                Self::Same(left, right) => write!(f, "{left} != {right}"),
                Self::Test(..) | Self::Known(_) | Self::Constant(_) => write!(f, "!{node}"),
                Self::Not(_) | Self::All(_) | Self::Any(_) | Self::If(_) | Self::Order(..) => {
                    write!(f, "!({node})")
                }
            },
            Self::All(nodes) => joined(f, nodes, " && "),
            Self::Any(nodes) => joined(f, nodes, " || "),
            Self::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                write!(f, "({condition} ? {then} : {otherwise})")
            }
            Self::Known(field) => write!(f, "known({})", field.name()),
            Self::Test(subject, check) => check.write(f, subject),
            Self::Same(left, right) => write!(f, "{left} == {right}"),
            Self::Order(order, left, right) => {
                let sign = match order {
                    Order::Equal => "==",
                    Order::Less => "<",
                    Order::LessOrEqual => "<=",
                };
                write!(f, "{left} {sign} {right}")
            }
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, nodes: &[Node], by: &str) -> fmt::Result {
    for (nth, node) in nodes.iter().enumerate() {
        if nth > 0 {
            f.write_str(by)?;
        }
        match node {
            Node::All(_) | Node::Any(_) => write!(f, "({node})")?,
            _ => write!(f, "{node}")?,
        }
    }
    Ok(())
}

impl Check {
    fn write(&self, f: &mut fmt::Formatter<'_>, subject: &Subject) -> fmt::Result {
        match self {
            Self::OneOf(literals) => match &**literals {
                [one] => write!(f, "{subject} == {one}"),
                several => {
                    write!(f, "{subject} in [")?;
                    for (nth, literal) in several.iter().enumerate() {
                        let comma = if nth > 0 { ", " } else { "" };
                        write!(f, "{comma}{literal}")?;
                    }
                    f.write_str("]")
                }
            },
            Self::StartsWith(text) => write!(f, "{subject}.startsWith({})", Quoted(text)),
            Self::EndsWith(text) => write!(f, "{subject}.endsWith({})", Quoted(text)),
            Self::Contains(text) => write!(f, "{subject}.contains({})", Quoted(text)),
            Self::Matches(pattern) => {
                write!(f, "{subject}.matches({})", Quoted(pattern.as_str()))
            }
            Self::Inside(network) => {
                write!(f, "inside({subject}, {})", Quoted(&network.to_string()))
            }
            Self::Has(word) => write!(f, "{} in {subject}", Quoted(word)),
        }
    }
}

/// As CEL has it in double quotes.
struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                '\n' => f.write_str("\\n")?,
                letter if letter.is_control() => write!(f, "\\u{:04x}", u32::from(letter))?,
                letter => write!(f, "{letter}")?,
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => f.write_str(field.name()),
            Self::Label(field, name) => write!(f, "{}[{}]", field.name(), Quoted(name)),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => Quoted(text).fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Address(address) => write!(f, "\"{address}\""),
            Self::Time(time) => moment(f, *time),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (terms, sign) = match self {
            Self::Number(number) => return number.fmt(f),
            Self::Time(time) => return moment(f, *time),
            Self::Field(field) => return f.write_str(field.name()),
            Self::Size(subject) => return write!(f, "size({subject})"),
            Self::Sum(terms) => (terms, "+"),
            Self::Difference(terms) => (terms, "-"),
            Self::Product(terms) => (terms, "*"),
            Self::Quotient(terms) => (terms, "/"),
            Self::Remainder(terms) => (terms, "%"),
        };
        write!(f, "({} {sign} {})", terms[0], terms[1])
    }
}

fn moment(f: &mut fmt::Formatter<'_>, time: i64) -> fmt::Result {
    match jiff::Timestamp::from_microsecond(time) {
        Ok(moment) => write!(f, "timestamp(\"{moment}\")"),
        Err(_) => write!(f, "timestamp({time})"),
    }
}
