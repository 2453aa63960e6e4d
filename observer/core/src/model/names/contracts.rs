//! Words of contracts.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

words! {
    /// What a rule says of a flow.
    Verdict {
        /// The rule applies, and what it requires holds.
        Compliant = "compliant",
        /// The rule applies, and what it requires does not hold.
        Violation = "violation",
        /// A violation that is excepted for a time.
        Exempt = "exempt",
        /// A violation inside what the rule tolerates.
        InGrace = "in_grace",
        /// A field that the rule needs is not known.
        Undetermined = "undetermined",
        /// No rule of the contract applies.
        NotCovered = "not_covered",
    }
}

words! {
    /// How bad a violation is, by the words of OCSF.
    Severity {
        Informational = "informational",
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
    }
}
