//! What a label has to be, as people write it: `app=web`, `app!=web`, `app=~web.*`, `app!~web.*`.
//!
//! As in Loki a regular expression has to match the whole value, and a label that is not there has the empty value.
//! Several values that one label may have are alternatives. Refuses wildcards: what looks like one would match nothing.

use std::fmt;

use regex::Regex;

/// One condition on a label.
#[derive(Clone, Debug)]
pub struct LabelMatcher {
    name: String,
    operator: Operator,
    value: String,
    /// What the value means where it is an expression.
    pattern: Option<Regex>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Matches,
    MatchesNot,
}

impl Operator {
    const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }
}

impl PartialEq for LabelMatcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.operator, &self.value) == (&other.name, other.operator, &other.value)
    }
}

impl Eq for LabelMatcher {}

impl fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.operator.sign(), self.value)
    }
}

impl LabelMatcher {
    /// A label with exactly this value.
    pub fn equal(name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        Self { name, operator: Operator::Equal, value, pattern: None }
    }

    /// Reads a condition; the error says how to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let usage = || {
            format!(
                "`{text}` is not a label condition: write app=web, app!=web, app=~web.* or app!~web.*"
            )
        };
        let at = text.find(['=', '!']).ok_or_else(usage)?;
        let (name, rest) = text.split_at(at);
        let operators =
            [Operator::Matches, Operator::MatchesNot, Operator::NotEqual, Operator::Equal];
        let operator = operators.into_iter().find(|operator| rest.starts_with(operator.sign()));
        let operator = operator.ok_or_else(usage)?;
        let value = rest.get(operator.sign().len()..).unwrap_or_default().trim();
        let name = name.trim();
        if name.is_empty() {
            return Err(usage());
        }
        let pattern = match operator {
            Operator::Equal | Operator::NotEqual if value.contains('*') => {
                let sign = if operator == Operator::Equal { "=~" } else { "!~" };
                let remedy = value.replace('.', "\\.").replace('*', ".*");
                return Err(format!(
                    "`{text}`: `*` is not a wildcard here: write {name}{sign}{remedy}"
                ));
            }
            Operator::Equal | Operator::NotEqual => None,
            Operator::Matches | Operator::MatchesNot => {
                let pattern = Regex::new(&format!("^(?:{value})$")).map_err(|error| {
                    let reason = error.to_string();
                    let reason = reason.lines().last().unwrap_or_default().trim().to_owned();
                    format!("`{value}` is not a regular expression: {reason}")
                })?;
                Some(pattern)
            }
        };
        Ok(Self { name: name.to_owned(), operator, value: value.to_owned(), pattern })
    }

    /// Whether it asks for something, and does not exclude.
    const fn is_positive(&self) -> bool {
        matches!(self.operator, Operator::Equal | Operator::Matches)
    }

    fn takes(&self, value: &str) -> bool {
        let holds = match &self.pattern {
            Some(pattern) => pattern.is_match(value),
            None => self.value == value,
        };
        holds == self.is_positive()
    }
}

/// Whether all conditions hold; of those that ask for values of one label it is enough that one does.
pub fn all_hold<'v>(matchers: &[LabelMatcher], value_of: impl Fn(&str) -> &'v str) -> bool {
    each_label(matchers, |name, matcher| matcher.takes(value_of(name)))
}

/// Whether a segment with these values of its labels may have lines for which all conditions hold. `values_of` is none for
/// a label whose values are not known; the empty value is always possible.
pub(crate) fn may_hold<'v, Values: Iterator<Item = &'v String>>(
    matchers: &[LabelMatcher],
    values_of: impl Fn(&str) -> Option<Values>,
) -> bool {
    each_label(matchers, |name, matcher| {
        !matcher.is_positive()
            || matcher.takes("")
            || values_of(name).is_none_or(|mut values| values.any(|value| matcher.takes(value)))
    })
}

fn each_label(matchers: &[LabelMatcher], holds: impl Fn(&str, &LabelMatcher) -> bool) -> bool {
    matchers.iter().all(|matcher| {
        holds(&matcher.name, matcher)
            || (matcher.is_positive()
                && matchers.iter().any(|other| {
                    other.is_positive() && other.name == matcher.name && holds(&other.name, other)
                }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, app: &str) -> bool {
        let matchers: Vec<_> =
            text.split(',').map(|part| LabelMatcher::parse(part).unwrap()).collect();
        all_hold(&matchers, |name| if name == "app" { app } else { "" })
    }

    #[test]
    fn conditions_are_those_of_loki_and_values_of_one_label_are_alternatives() {
        for (text, taken, refused) in [
            ("app=web", &["web"][..], &["", "webx"][..]),
            ("app=", &[""], &["web"]),
            ("app!=web", &["", "db"], &["web"]),
            ("app=~web.*|d", &["web", "web-1", "d"], &["xweb", "db", ""]),
            ("app!~web.*", &["", "db"], &["web", "web-1"]),
            ("app=web,app=db", &["web", "db"], &["", "x"]),
            ("app=web, app=~d.", &["web", "db"], &["", "x"]),
            ("app!=web,app!=db", &["x", ""], &["web", "db"]),
            ("app=~web.*,app!=web-1", &["web-2"], &["web-1", "db"]),
            ("app=web,zone=", &["web"], &["db"]),
            ("app=web,zone=a", &[], &["web"]),
            (" app = a=b ", &["a=b"], &["a"]),
        ] {
            assert!(taken.iter().all(|app| holds(text, app)), "{text}");
            assert!(!refused.iter().any(|app| holds(text, app)), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_told_with_a_remedy() {
        for (text, part) in [
            ("web", "`web` is not a label condition: write app=web"),
            ("=web", "`=web` is not"),
            ("a!b", "`a!b` is not"),
            ("app=web*.x", "write app=~web.*\\.x"),
            ("app!=*", "write app!~.*"),
            ("app=~(", "`(` is not a regular expression: error: unclosed group"),
        ] {
            let error = LabelMatcher::parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        for text in ["app=web", "app!=", "app=~a.*", "app!~b"] {
            assert_eq!(LabelMatcher::parse(text).unwrap().to_string(), text);
        }
    }
}
