//! A contract's own tests: flows with the verdicts that they are to get, and whether they would notice if a rule said the opposite.

use serde_json::Value;

use super::{
    compile,
    contract::{Contract, Rule},
    expression::{Flow, Vocabulary, field},
    grace::Used,
    spec::TestRow,
    verdict::{self, Occasion, Ruled},
};
use crate::model::{
    fact::{FieldId, FlowFacts, Kept},
    flow::FlowId,
    names::Verdict,
    nearest::hint,
    placed::Placed,
};

/// What the tests of one contract came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tested {
    pub cases: usize,
    pub failed: Vec<Failed>,
    /// Rules without a case of this verdict.
    pub missing: Vec<(String, Verdict)>,
    /// Changes to rules that no case notices.
    pub survived: Vec<(String, &'static str)>,
}

/// A case whose verdict is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub name: String,
    pub line: usize,
    pub rule: String,
    pub expected: Verdict,
    pub found: Verdict,
    pub reason: String,
}

/// What every rule has a case for, at the least.
pub const WANTED: [Verdict; 3] = [
    Verdict::Compliant,
    Verdict::Violation,
    Verdict::Undetermined,
];

impl Tested {
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.missing.is_empty() && self.survived.is_empty()
    }
}

/// Runs all tests of a contract.
#[must_use]
pub fn test(contract: &Contract) -> Tested {
    let mut tested = Tested::default();
    for test in &contract.file.tests {
        for (rule, expected) in &test.expect {
            let Some(rule) = contract.rules.iter().find(|own| *own.id == **rule) else {
                continue;
            };
            tested.cases += 1;
            let Ruled { verdict, reason } = found(test, contract, rule);
            if verdict != *expected {
                tested.failed.push(Failed {
                    name: test.name.value.clone(),
                    line: test.name.line,
                    rule: rule.id.to_string(),
                    expected: *expected,
                    found: verdict,
                    reason,
                });
            }
        }
    }
    for rule in &contract.rules {
        let expected = |wanted: Verdict| {
            let mut tests = contract.file.tests.iter();
            tests.any(|test| test.expect.get(&*rule.id) == Some(&wanted))
        };
        let missing = WANTED.into_iter().filter(|wanted| !expected(*wanted));
        tested
            .missing
            .extend(missing.map(|verdict| (rule.id.to_string(), verdict)));
        for (change, changed) in mutants(rule) {
            let notices = |test: &TestRow| {
                let expected = test.expect.get(&*rule.id);
                expected
                    .is_some_and(|expected| found(test, contract, &changed).verdict != *expected)
            };
            if !contract.file.tests.iter().any(notices) {
                tested.survived.push((rule.id.to_string(), change));
            }
        }
    }
    tested
}

/// The rule, changed so that its tests should notice.
fn mutants(rule: &Rule) -> [(&'static str, Rule); 2] {
    let require = Rule {
        require: rule.require.negated(),
        ..rule.clone()
    };
    let when = Rule {
        when: rule.when.negated(),
        ..rule.clone()
    };
    [("`require` negated", require), ("`when` negated", when)]
}

/// The verdict of one rule on a test's flow.
fn found(test: &TestRow, contract: &Contract, rule: &Rule) -> Ruled {
    let not_covered = |reason: String| Ruled {
        verdict: Verdict::NotCovered,
        reason,
    };
    let facts = match facts(test, contract, None) {
        Ok(facts) => facts,
        Err((_, _, what)) => return not_covered(what),
    };
    let Some(occasion) = Occasion::of(&facts, FlowId([0; 16])) else {
        return not_covered("the flow has no time".to_owned());
    };
    let flow = Flow(&facts);
    if !verdict::is_about(&flow, &occasion, contract) {
        return not_covered("the contract is not about it".to_owned());
    }
    let Some(ruled) = verdict::settled(&flow, &occasion, contract, rule) else {
        return not_covered("the rule does not apply".to_owned());
    };
    match &rule.grace {
        Some(grace) if ruled.verdict == Verdict::Violation => {
            let mut used = Used::before(grace, &contract.zone, test.grace_used, &occasion);
            verdict::in_grace(grace, contract, &occasion, &ruled, &mut used)
        }
        _ => ruled,
    }
}

/// The flow of a test; what its file does not say is not known.
///
/// # Errors
/// Where it has a field that no flow has, or a value that its field cannot have: line, column and what.
pub fn facts(
    test: &TestRow,
    contract: &Contract,
    vocabulary: Option<&Vocabulary>,
) -> Result<FlowFacts, (usize, usize, String)> {
    let wrong = |what: String| (test.flow.line, test.flow.column, what);
    let mut facts = FlowFacts::default();
    let at = match &test.at {
        None => contract.span.from,
        Some(text) => compile::moment(&text.value, &contract.zone)
            .map_err(|why| place(text, format!("`at`: {why}")))?,
    };
    facts.set(field::INTERVAL_START, Kept::Time(at));
    facts.set(field::INTERVAL_END, Kept::Time(at));
    for (name, value) in &test.flow.value {
        let Some(field) = FieldId::named(name) else {
            let names: Vec<&str> = FieldId::all().map(FieldId::name).collect();
            let hint = hint(name, names.iter().copied());
            return Err(wrong(format!(
                "`flow`: no field is called `{name}`; {hint}"
            )));
        };
        if matches!(field, field::INTERVAL_START | field::INTERVAL_END) {
            return Err(wrong(format!("`flow.{name}`: say when it happens by `at`")));
        }
        let tell = facts.tell(field, value);
        tell.map_err(|why| wrong(format!("`flow`: {why}")))?;
        if let (Some(vocabulary), Value::String(word)) = (vocabulary, value)
            && !super::expression::names_a_doubt(word)
        {
            let check = vocabulary.check(field, word);
            check.map_err(|why| wrong(format!("`flow`: {why}")))?;
        }
    }
    Ok(facts)
}

fn place<T>(at: &Placed<T>, what: String) -> (usize, usize, String) {
    (at.line, at.column, what)
}
