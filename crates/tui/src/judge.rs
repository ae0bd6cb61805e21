//! Judges lines by what is to be shown: labels first, then the stacked patterns, then the levels. One line after the
//! other, without parsing it where it has the usual form. A line that continues another ([`continuation`]) is judged as
//! that one is, with whatever its own text matches besides.
//!
//! [`continuation`]: logtap_capture::continuation

use std::collections::HashMap;
use std::sync::Arc;

use logtap_capture::continuation::{Context, Step, begin, step};
use logtap_capture::encode::push_object;
use logtap_capture::{Line, LineSlices, all_hold};
use logtap_loki::{Level, detect_level};
use memchr::memmem;

use crate::lines::Lines;
use crate::spec::{LevelSet, MAX_RULES, Pattern, Spec};

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
    /// It continues the line before it in its stream.
    pub(crate) continues: bool,
}

impl Verdict {
    /// Whether it is shown and an error or worse, and not only the rest of one.
    pub(crate) fn is_error(&self) -> bool {
        self.kept && !self.continues && self.level >= Level::Error as usize
    }
}

/// Judges lines by a spec; remembers what it found out about streams, the lines with the same labels.
pub(crate) struct Judge {
    pub(crate) spec: Arc<Spec>,
    streams: HashMap<Vec<u8>, Stream>,
    room: Vec<u8>,
    metadata_levels: MetadataLevels,
    /// Whether a line may be shown or hidden with the one that it continues.
    follows: bool,
    /// Whether a line looked like one that continues another, of a stream with none before it.
    orphaned: bool,
}

/// What is known about a stream.
struct Stream {
    labels: LabelsVerdict,
    head: Option<Head>,
}

/// The line that others of its stream continue.
#[derive(Clone, Copy)]
struct Head {
    context: Context,
    level: usize,
    hits: u32,
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
        let follows = !spec.rules.is_empty() || spec.levels != LevelSet::ALL || spec.counting;
        Self {
            spec,
            streams: HashMap::new(),
            room: Vec::new(),
            metadata_levels: MetadataLevels::new(),
            follows,
            orphaned: false,
        }
    }

    /// Judges the lines of a text in their order. What they continue may stand in the text before, which is asked for only
    /// where one does; a head that is farther away than that is not known.
    pub(crate) fn judge_all(
        &mut self,
        text: &[u8],
        before: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Vec<Verdict> {
        let mut before = Some(before).filter(|_| self.follows);
        self.forget_heads();
        let mut verdicts = Vec::new();
        let mut lines = Lines(text);
        while let Some(line) = lines.next() {
            verdicts.push(self.judge(line));
            if self.orphaned
                && let Some(before) = before.take()
                && let Some(earlier) = before()
            {
                self.forget_heads();
                for line in Lines(&earlier) {
                    self.judge(line);
                }
                self.orphaned = false;
                verdicts.clear();
                lines = Lines(text);
            }
        }
        verdicts
    }

    fn forget_heads(&mut self) {
        if self.follows {
            self.streams.values_mut().for_each(|stream| stream.head = None);
        }
        self.orphaned = false;
    }

    /// Judges a line without its end, which comes behind all that were judged before.
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
            let message = slices.text(&mut room)?;
            let behind = slices.message.as_ptr_range().end as usize - line.as_ptr() as usize;
            let metadata = line.get(behind..).unwrap_or_default();
            let orphaned = self.follows.then_some(&mut self.orphaned);
            let levels = &self.metadata_levels;
            let weigh = |stream: &mut Stream| {
                let own = || levels.of(metadata).or_else(|| level_of_text(message));
                let own = if stream.labels.level.is_none() { own() } else { None };
                stream.weigh(&self.spec, message, own, orphaned)
            };
            if let Some(stream) = self.streams.get_mut(slices.labels) {
                return Some(weigh(stream));
            }
            let labels = labels_verdict(&self.spec, &slices.label_pairs()?);
            Some(weigh(remember(&mut self.streams, slices.labels.to_vec(), labels)))
        });
        let verdict = quick.unwrap_or_else(|| self.judge_slowly(line));
        self.room = room;
        verdict
    }

    /// A line of an unusual form. What cannot be read at all is judged as text.
    fn judge_slowly(&mut self, line: &[u8]) -> Verdict {
        let parsed = Line::parse(line);
        let mut key = Vec::new();
        let (message, own) = match &parsed {
            Some(parsed) => {
                push_object(&mut key, &parsed.labels);
                let message = parsed.message.as_bytes();
                (message, level_of_labels(&parsed.metadata).or_else(|| level_of_text(message)))
            }
            None => (line, level_of_text(line)),
        };
        let orphaned = self.follows.then_some(&mut self.orphaned);
        if let Some(stream) = self.streams.get_mut(&key) {
            return stream.weigh(&self.spec, message, own, orphaned);
        }
        let labels = match &parsed {
            Some(parsed) => labels_verdict(&self.spec, &parsed.labels),
            None => labels_verdict::<&str>(&self.spec, &[]),
        };
        let stream = remember(&mut self.streams, key, labels);
        stream.weigh(&self.spec, message, own, orphaned)
    }
}

fn remember(
    streams: &mut HashMap<Vec<u8>, Stream>,
    key: Vec<u8>,
    labels: LabelsVerdict,
) -> &mut Stream {
    if streams.len() >= MAX_LABEL_SETS {
        streams.clear();
    }
    streams.entry(key).or_insert(Stream { labels, head: None })
}

impl Stream {
    /// Weighs a message with the level that the line itself tells. A line that continues another is what that one is, and
    /// matches what that one matches. `orphaned` is none where lines follow nobody.
    fn weigh(
        &mut self,
        spec: &Spec,
        message: &[u8],
        own: Option<usize>,
        orphaned: Option<&mut bool>,
    ) -> Verdict {
        let level = self.labels.level.or(own).unwrap_or(0);
        let Some(orphaned) = orphaned else { return weigh(spec, self.labels, message, level, 0) };
        let before = self.head.map(|head| head.context).unwrap_or_default();
        // A level of the labels is that of all lines of the stream, and no line's own.
        let step = step(message, before, || own.is_some());
        if let (Step::Continues(context), Some(head)) = (step, &mut self.head) {
            head.context = context;
            let verdict = weigh(spec, self.labels, message, head.level, head.hits);
            return Verdict { continues: true, ..verdict };
        }
        let context = match step {
            Step::Begins(context) => context,
            Step::Continues(_) => {
                *orphaned = true;
                begin(message)
            }
        };
        let verdict = weigh(spec, self.labels, message, level, 0);
        self.head = Some(Head { context, level, hits: verdict.hits });
        verdict
    }
}

/// Weighs a message of a level; `inherited` are the rules that match anyway.
fn weigh(
    spec: &Spec,
    labels: LabelsVerdict,
    message: &[u8],
    level: usize,
    inherited: u32,
) -> Verdict {
    let mut verdict = Verdict { is_line: true, level, ..Verdict::default() };
    if !labels.wanted {
        return verdict;
    }
    let known = labels.rules | inherited;
    for (number, rule) in spec.rules.iter().enumerate().take(MAX_RULES) {
        let hit = known & (1 << number) != 0 || rule.pattern.is_in(message);
        verdict.hits |= u32::from(hit) << number;
        if hit == rule.hide {
            return verdict;
        }
    }
    verdict.has_level = true;
    verdict.kept = spec.levels.has(level);
    verdict.found = verdict.kept
        && spec.search.as_ref().is_some_and(|search| labels.search || search.is_in(message));
    verdict
}

fn labels_verdict<Text: AsRef<str>>(spec: &Spec, pairs: &[(Text, Text)]) -> LabelsVerdict {
    let value = |wanted: &str| {
        pairs.iter().find(|(name, _)| name.as_ref() == wanted).map_or("", |(_, v)| v.as_ref())
    };
    let any = |pattern: &Pattern| pairs.iter().any(|(_, v)| pattern.is_in(v.as_ref().as_bytes()));
    let mut rules = 0;
    for (number, rule) in spec.rules.iter().enumerate().take(MAX_RULES) {
        rules |= u32::from(any(&rule.pattern)) << number;
    }
    LabelsVerdict {
        wanted: all_hold(&spec.labels, value),
        rules,
        search: spec.search.as_ref().is_some_and(any),
        level: level_of_labels(pairs),
    }
}

/// Looks for a level in metadata as they stand behind a message.
struct MetadataLevels([memmem::Finder<'static>; 2]);

impl MetadataLevels {
    fn new() -> Self {
        Self([memmem::Finder::new("\"detected_level\":\""), memmem::Finder::new("\"level\":\"")])
    }

    fn of(&self, metadata: &[u8]) -> Option<usize> {
        // `"}` is all there is behind most messages.
        if metadata.len() <= 2 {
            return None;
        }
        self.0.iter().find_map(|finder| {
            let at = finder.find(metadata)?;
            let value = metadata.get(at + finder.needle().len()..).unwrap_or_default();
            let value = value.split(|&byte| byte == b'"').next().unwrap_or_default();
            level_of_text(value)
        })
    }
}

fn level_of_text(text: &[u8]) -> Option<usize> {
    detect_level(text).map(|level| level as usize)
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
    use logtap_capture::LabelMatcher;

    use super::*;
    use crate::spec::Rule;

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
            let labels = vec![LabelMatcher::equal(name, value)];
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

    /// The lines of a text that are shown, by their numbers; what is before it is given too.
    fn kept(spec: &Spec, before: &str, text: &str) -> Vec<usize> {
        let mut judge = Judge::new(Arc::new(spec.clone()));
        let verdicts = judge.judge_all(text.as_bytes(), || Some(before.as_bytes().to_vec()));
        let numbers = verdicts.iter().enumerate().filter(|(_, verdict)| verdict.kept);
        numbers.map(|(number, _)| number).collect()
    }

    fn entries(lines: &[(&str, &str)]) -> String {
        let entry = |(app, message): &(&str, &str)| {
            format!(
                "{{\"ts\":\"2024-01-15T10:19:59Z\",\"labels\":{{\"app\":\"{app}\"}},\"msg\":\"{message}\"}}\n"
            )
        };
        lines.iter().map(entry).collect()
    }

    const TRACES: [(&str, &str); 8] = [
        ("a", "ERROR no stock"),
        ("b", "INFO fine"),
        ("a", "\\tat a.B.c(B.java:1)"),
        ("b", "  details of fine"),
        ("a", "Caused by: x.Y: z"),
        ("b", "INFO other"),
        ("a", "\\t... 2 more"),
        ("a", "plain"),
    ];

    #[test]
    fn a_trace_follows_its_head_through_every_filter_though_streams_interleave() {
        let text = entries(&TRACES);
        let error = (0..8).filter(|level| *level != Level::Error as usize);
        let levels = error.fold(LevelSet::ALL, LevelSet::toggled);
        let spec = Spec { levels, ..Spec::default() };
        assert_eq!(kept(&spec, "", &text), [0, 2, 4, 6]);
        let keeps = |rules: Vec<Rule>| kept(&Spec { rules, ..Spec::default() }, "", &text);
        assert_eq!(keeps(vec![rule(false, "stock")]), [0, 2, 4, 6]);
        assert_eq!(keeps(vec![rule(true, "stock")]), [1, 3, 5, 7]);
        assert_eq!(keeps(vec![rule(false, "Caused by")]), [4], "its own text counts too");
        assert_eq!(keeps(vec![rule(false, "stock"), rule(true, "more")]), [0, 2, 4]);
        let mut judge = Judge::new(Arc::new(Spec { counting: true, ..Spec::default() }));
        let verdicts = judge.judge_all(text.as_bytes(), || None);
        let level = |number: usize| (verdicts[number].level, verdicts[number].is_error());
        assert_eq!((level(0), level(6), level(7)), ((5, true), (5, false), (0, false)));
        // Heads in the text before.
        let (before, behind) = (entries(&TRACES[..3]), entries(&TRACES[3..]));
        assert_eq!(kept(&spec, &before, &behind), [1, 3]);
        assert_eq!(kept(&spec, "", &behind), [0; 0]);
    }

    #[test]
    fn lines_without_a_form_follow_each_other_too() {
        let spec = Spec { rules: vec![rule(false, "head")], ..Spec::default() };
        assert_eq!(kept(&spec, "", "head\n\tat a.b(C:1)\n\tindented\nnext\n"), [0, 1, 2]);
    }

    #[test]
    fn blank_lines_and_phantoms_are_none_and_strange_ones_are_shown() {
        assert!(!judge(Spec::default(), "  ").is_line);
        assert!(!judge(Spec::default(), r#"{"ts":"0001-01-01T00:00:00Z","msg":""}"#).is_line);
        assert!(judge(Spec::default(), "torn {").kept);
    }
}
