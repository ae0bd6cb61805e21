//! Rules about when somebody is to be told, in YAML, as the predecessor has them.
//!
//! ```yaml
//! rules:
//!   - name: losing lines
//!     metric: drop_rate      # logs_dropped, logs_received, drop_rate or disk_pct
//!     op: gt                 # gt, lt, gte or lte
//!     threshold: 0
//!     detail: the receiver cannot keep up
//! ```
//! A rule fires when it becomes true, once, and again only after it was false. Rules are evaluated from
//! numbers; nothing here looks at a clock or sends anything.

use std::collections::BTreeSet;

use serde::Deserialize;

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Lines given up so far.
    LogsDropped,
    /// Lines received so far.
    LogsReceived,
    /// Lines given up in the last second.
    DropRate,
    /// Used disk as a part of the cap, in percent; without a cap always 0.
    DiskPct,
}

impl Metric {
    /// Its name in a rule.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LogsDropped => "logs_dropped",
            Self::LogsReceived => "logs_received",
            Self::DropRate => "drop_rate",
            Self::DiskPct => "disk_pct",
        }
    }
}

/// How a rule compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// More than.
    Gt,
    /// Less than.
    Lt,
    /// At least.
    Gte,
    /// At most.
    Lte,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, of which there is one.
    pub name: String,
    /// What it looks at.
    pub metric: Metric,
    /// How it compares.
    pub op: Comparison,
    /// With what.
    pub threshold: f64,
    /// What to say.
    #[serde(default)]
    pub detail: String,
}

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Not YAML, or not of this form.
    #[error("alert rules: {0}")]
    Form(String),
    /// Two rules of one name would share what they remember.
    #[error("alert rules: there are two rules named `{0}`")]
    Twice(String),
    /// A rule of no name cannot be told apart.
    #[error("alert rules: rule {0} has no name")]
    Nameless(usize),
    /// A comparison with this never changes.
    #[error("alert rules: `threshold` of rule `{0}` is no number")]
    Threshold(String),
}

/// The numbers that rules look at, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Numbers {
    /// Lines given up so far.
    pub dropped: u64,
    /// Lines received so far.
    pub received: u64,
    /// Lines given up in the last second.
    pub dropped_now: u64,
    /// Bytes on disk.
    pub disk_usage: u64,
    /// Bytes that may be; 0 for no cap.
    pub disk_cap: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    rules: Vec<Rule>,
}

/// Reads a file of rules.
pub fn parse_rules(text: &str) -> Result<Vec<Rule>, RulesError> {
    let file: RulesFile =
        serde_saphyr::from_str(text).map_err(|error| RulesError::Form(error.to_string()))?;
    let mut names = BTreeSet::new();
    for (index, rule) in file.rules.iter().enumerate() {
        if rule.name.trim().is_empty() {
            return Err(RulesError::Nameless(index + 1));
        }
        if !rule.threshold.is_finite() {
            return Err(RulesError::Threshold(rule.name.clone()));
        }
        if !names.insert(rule.name.as_str()) {
            return Err(RulesError::Twice(rule.name.clone()));
        }
    }
    Ok(file.rules)
}

/// The value of a metric.
pub fn value(metric: Metric, numbers: &Numbers) -> f64 {
    match metric {
        Metric::LogsDropped => numbers.dropped as f64,
        Metric::LogsReceived => numbers.received as f64,
        Metric::DropRate => numbers.dropped_now as f64,
        Metric::DiskPct if numbers.disk_cap == 0 => 0.0,
        Metric::DiskPct => numbers.disk_usage as f64 * 100.0 / numbers.disk_cap as f64,
    }
}

/// The rules that are true now and were not before. `was_true` has one place for each rule and is
/// brought up to date.
pub fn newly_true<'a>(
    rules: &'a [Rule],
    was_true: &mut Vec<bool>,
    numbers: &Numbers,
) -> Vec<&'a Rule> {
    was_true.resize(rules.len(), false);
    let mut fired = Vec::new();
    for (rule, was_true) in rules.iter().zip(was_true) {
        let is_true = holds(rule, numbers);
        if is_true && !*was_true {
            fired.push(rule);
        }
        *was_true = is_true;
    }
    fired
}

fn holds(rule: &Rule, numbers: &Numbers) -> bool {
    let value = value(rule.metric, numbers);
    match rule.op {
        Comparison::Gt => value > rule.threshold,
        Comparison::Lt => value < rule.threshold,
        Comparison::Gte => value >= rule.threshold,
        Comparison::Lte => value <= rule.threshold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "
rules:
  - name: losing lines
    metric: drop_rate
    op: gt
    threshold: 0
    detail: the receiver cannot keep up
  - {name: disk, metric: disk_pct, op: gte, threshold: 90.5}
";

    #[test]
    fn a_rule_fires_when_it_becomes_true_and_again_after_it_was_false() {
        let rules = parse_rules(RULES).unwrap();
        let mut was_true = Vec::new();
        let mut fired = |dropped_now, disk_usage| -> Vec<String> {
            let numbers = Numbers { dropped_now, disk_usage, disk_cap: 200, ..Numbers::default() };
            let rules = newly_true(&rules, &mut was_true, &numbers);
            rules.into_iter().map(|rule| rule.name.clone()).collect()
        };
        assert!(fired(0, 180).is_empty());
        assert_eq!(fired(1, 181), ["losing lines", "disk"]);
        assert!(fired(5, 200).is_empty());
        assert!(fired(0, 200).is_empty());
        assert_eq!(fired(1, 200), ["losing lines"]);
    }

    #[test]
    fn without_a_cap_the_disk_is_never_full() {
        let numbers = Numbers { disk_usage: 5, ..Numbers::default() };
        assert_eq!(value(Metric::DiskPct, &numbers), 0.0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("rules: 5", "alert rules: "),
            ("rulez: []", "rulez"),
            ("rules: [{name: a, metric: speed, op: gt, threshold: 1}]", "speed"),
            ("rules: [{name: a, metric: disk_pct, op: over, threshold: 1}]", "over"),
            ("rules: [{name: a, metric: disk_pct, op: gt}]", "threshold"),
            ("rules: [{name: a, metric: disk_pct, op: gt, threshold: .nan}]", "no number"),
            ("rules: [{name: ' ', metric: disk_pct, op: gt, threshold: 1}]", "rule 1 has no name"),
            (
                "rules: [{name: a, metric: disk_pct, op: gt, threshold: 1}, \
                 {name: a, metric: disk_pct, op: lt, threshold: 1}]",
                "two rules named `a`",
            ),
        ] {
            let error = parse_rules(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
