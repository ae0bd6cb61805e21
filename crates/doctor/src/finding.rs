//! What is wrong, in words, and what to do about it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is not tapped, or was lost.
    Problem,
    /// Worth knowing.
    Warning,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A word for programs that stays the same over versions.
    pub what: &'static str,
    /// A lowercase fragment for people, values in backticks.
    pub text: String,
    /// What can be done; a fragment too.
    pub remedy: Option<String>,
}

impl Finding {
    /// Something that is not as it must be.
    pub fn problem(what: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Problem, what, text: text.into(), remedy: None }
    }

    /// Something worth knowing.
    pub fn warning(what: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, what, text: text.into(), remedy: None }
    }

    /// The same with what can be done.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Whether anything is a problem.
pub fn has_problem(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Problem)
}
