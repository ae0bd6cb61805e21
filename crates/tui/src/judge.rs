//! Judges lines by what is to be shown: labels first, then the stacked patterns, then the levels. One line at a time,
//! without parsing it where it has the usual form.

use std::collections::HashMap;
use std::sync::Arc;

use logtap_capture::{Line, LineSlices};
use logtap_loki::{Level, detect_level};
use memchr::memmem;

use crate::spec::{MAX_RULES, Pattern, Spec};

/// Label sets that are remembered.
const MAX_LABEL_SETS: usize = 4096;
/// Labels that tell a level.
const LEVEL_LABELS: [&str; 3] = ["detected_level", "level", "severity"];

/// What was found out about a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// It is a line at all.
    pub(crate) is_line: bool,
    /// It is shown.
    pub(crate) kept: bool,
    /// Its level as a number.
    pub(crate) level: usize,
    /// It passes all but the levels.
    pub(crate) has_level: bool,
    /// The search is in it.
    pub(crate) found: bool,
    /// The rules that it got as far as and that match, by bit.
    pub(crate) hits: u32,
}

impl Verdict {
    /// Whether it is shown and an error or worse.
    pub(crate) fn is_error(&self) -> bool {
        self.kept && self.level >= Level::Error as usize
    }
}

/// Judges lines by a spec; remembers what it found out about label sets.
pub(crate) struct Judge {
    pub(crate) spec: Arc<Spec>,
    labels: HashMap<Vec<u8>, LabelsVerdict>,
    room: Vec<u8>,
    metadata_levels: [memmem::Finder<'static>; 2],
}

#[derive(Clone, Copy)]
struct LabelsVerdict {
    wanted: bool,
    rules: u32,
    search: bool,
    level: Option<usize>,
}

impl Judge {
    pub(crate) fn new(spec: Arc<Spec>) -> Self {
        let metadata_levels =
            [memmem::Finder::new("\"detected_level\":\""), memmem::Finder::new("\"level\":\"")];
        Self { spec, labels: HashMap::new(), room: Vec::new(), metadata_levels }
    }

    /// Judges a line without its end.
    pub(crate) fn judge(&mut self, line: &[u8]) -> Verdict {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Verdict::default();
        }
        if line.starts_with(b"{\"ts\":\"0001-01-01")
            && Line::parse(line).is_some_and(|l| l.is_phantom())
        {
            return Verdict::default();
        }
        if !self.spec.needs_survey() {
            return Verdict { is_line: true, kept: true, ..Verdict::default() };
        }
        let mut room = std::mem::take(&mut self.room);
        let quick = LineSlices::of(line).and_then(|slices| {
            let labels = match self.labels.get(slices.labels) {
                Some(known) => *known,
                None => self.learn(&slices)?,
            };
            let message = slices.text(&mut room)?;
            let behind = slices.message.as_ptr_range().end as usize - line.as_ptr() as usize;
            let metadata = line.get(behind..).unwrap_or_default();
            let level = labels.level.or_else(|| self.level_of(metadata, message));
            Some(self.weigh(labels, message, level.unwrap_or(0)))
        });
        let verdict = quick.unwrap_or_else(|| self.judge_slowly(line));
        self.room = room;
        verdict
    }

    fn learn(&mut self, slices: &LineSlices<'_>) -> Option<LabelsVerdict> {
        let verdict = self.labels_verdict(&slices.label_pairs()?);
        if self.labels.len() >= MAX_LABEL_SETS {
            self.labels.clear();
        }
        self.labels.insert(slices.labels.to_vec(), verdict);
        Some(verdict)
    }

    fn level_of(&self, metadata: &[u8], message: &[u8]) -> Option<usize> {
        // `"}` is all there is behind most messages.
        if metadata.len() > 2 {
            for finder in &self.metadata_levels {
                let Some(at) = finder.find(metadata) else { continue };
                let value = metadata.get(at + finder.needle().len()..).unwrap_or_default();
                let value = value.split(|&byte| byte == b'"').next().unwrap_or_default();
                if let Some(level) = detect_level(value) {
                    return Some(level as usize);
                }
            }
        }
        detect_level(message).map(|level| level as usize)
    }

    fn labels_verdict<Text: AsRef<str>>(&self, pairs: &[(Text, Text)]) -> LabelsVerdict {
        let value = |wanted: &str| {
            pairs.iter().find(|(name, _)| name.as_ref() == wanted).map_or("", |(_, v)| v.as_ref())
        };
        let any =
            |pattern: &Pattern| pairs.iter().any(|(_, v)| pattern.is_in(v.as_ref().as_bytes()));
        let mut rules = 0;
        for (number, rule) in self.spec.rules.iter().enumerate().take(MAX_RULES) {
            rules |= u32::from(any(&rule.pattern)) << number;
        }
        LabelsVerdict {
            wanted: self.spec.labels.iter().all(|(name, wanted)| value(name) == wanted),
            rules,
            search: self.spec.search.as_ref().is_some_and(any),
            level: level_of_labels(pairs),
        }
    }

    fn weigh(&self, labels: LabelsVerdict, message: &[u8], level: usize) -> Verdict {
        let mut verdict = Verdict { is_line: true, level, ..Verdict::default() };
        if !labels.wanted {
            return verdict;
        }
        for (number, rule) in self.spec.rules.iter().enumerate().take(MAX_RULES) {
            let hit = labels.rules & (1 << number) != 0 || rule.pattern.is_in(message);
            verdict.hits |= u32::from(hit) << number;
            if hit == rule.hide {
                return verdict;
            }
        }
        verdict.has_level = true;
        verdict.kept = self.spec.levels.has(level);
        verdict.found = verdict.kept
            && self.spec.search.as_ref().is_some_and(|s| labels.search || s.is_in(message));
        verdict
    }

    /// A line of an unusual form. What cannot be read at all is judged as text.
    fn judge_slowly(&self, line: &[u8]) -> Verdict {
        match Line::parse(line) {
            Some(parsed) => {
                let labels = self.labels_verdict(&parsed.labels);
                let level = labels.level.or_else(|| level_of_labels(&parsed.metadata));
                let message = parsed.message.as_bytes();
                let level = level.or_else(|| detect_level(message).map(|level| level as usize));
                self.weigh(labels, message, level.unwrap_or(0))
            }
            None => {
                let labels = self.labels_verdict::<&str>(&[]);
                self.weigh(labels, line, detect_level(line).map_or(0, |level| level as usize))
            }
        }
    }
}

/// The level that labels or metadata tell.
pub(crate) fn level_of_labels<Text: AsRef<str>>(pairs: &[(Text, Text)]) -> Option<usize> {
    LEVEL_LABELS.iter().find_map(|name| {
        let (_, value) = pairs.iter().find(|(known, _)| known.as_ref() == *name)?;
        detect_level(value.as_ref().as_bytes()).map(|level| level as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{LevelSet, Rule};

    fn judge(spec: Spec, line: &str) -> Verdict {
        Judge::new(Arc::new(spec)).judge(line.as_bytes())
    }

    fn rule(hide: bool, text: &str) -> Rule {
        Rule { hide, pattern: Pattern::exact(text).unwrap() }
    }

    const LINE: &str = r#"{"ts":"2024-01-15T10:19:59Z","labels":{"app":"web","pod":"p-1"},"msg":"level=warn \"slow\" answer","meta":{"pid":"1"}}"#;

    #[test]
    fn rules_are_applied_in_order_and_count_what_gets_as_far() {
        let rules = vec![rule(false, "answer|p-9"), rule(true, "slow"), rule(false, "x")];
        let verdict = judge(Spec { rules, ..Spec::default() }, LINE);
        assert!(verdict.is_line && !verdict.kept && !verdict.has_level);
        assert_eq!(verdict.hits, 0b011);
        let rules = vec![rule(false, "p-1"), rule(true, "absent")];
        let search = Some(Pattern::smart("\"SLOW\"").unwrap());
        let verdict = judge(Spec { rules: rules.clone(), search, ..Spec::default() }, LINE);
        assert!(verdict.kept && !verdict.found && verdict.hits == 0b01);
        let search = Some(Pattern::smart("\"slow\"").unwrap());
        assert!(judge(Spec { rules, search, ..Spec::default() }, LINE).found);
    }

    #[test]
    fn labels_and_levels_hide_too() {
        let label = |name: &str, value: &str| {
            let labels = vec![(name.to_owned(), value.to_owned())];
            judge(Spec { labels, ..Spec::default() }, LINE).kept
        };
        assert!(label("app", "web") && label("zone", "") && !label("app", "db"));
        let warn = Level::Warn as usize;
        let levels = LevelSet::ALL.toggled(warn);
        let verdict = judge(Spec { levels, ..Spec::default() }, LINE);
        assert_eq!((verdict.level, verdict.kept, verdict.has_level), (warn, false, true));
    }

    #[test]
    fn levels_come_from_labels_then_metadata_then_the_text() {
        let level = |line: &str| judge(Spec { counting: true, ..Spec::default() }, line).level;
        let error = Level::Error as usize;
        for line in [
            r#"{"ts":"2024-01-15T10:19:59Z","labels":{"level":"error"},"msg":"info"}"#,
            r#"{"ts":"2024-01-15T10:19:59Z","msg":"info","meta":{"detected_level":"error"}}"#,
            r#"{"ts":"2024-01-15T10:19:59Z","msg":"error","meta":{"pid":"7"}}"#,
            r#"{"msg":"{\"level\":\"error\"}"}"#,
            "error: no JSON at all",
        ] {
            assert_eq!(level(line), error, "{line}");
        }
    }

    #[test]
    fn blank_lines_and_phantoms_are_none_and_strange_ones_are_shown() {
        assert!(!judge(Spec::default(), "  ").is_line);
        assert!(!judge(Spec::default(), r#"{"ts":"0001-01-01T00:00:00Z","msg":""}"#).is_line);
        assert!(judge(Spec::default(), "torn {").kept);
    }
}
