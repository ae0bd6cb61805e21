//! A sink that keeps what it gets and does what the test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use logtap_collector::sink::{PushError, Sink};
use logtap_collector::{Collector, Config, LineRules};
use logtap_loki::{Batch, Pairs};

/// One line as the sink got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) labels: Pairs,
    pub(crate) metadata: Pairs,
    pub(crate) timestamp: i64,
    pub(crate) number: u64,
}

impl Line {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        find(&self.labels, name)
    }

    pub(crate) fn metadata(&self, name: &str) -> Option<&str> {
        find(&self.metadata, name)
    }
}

fn find<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[derive(Default)]
struct Inner {
    lines: Vec<Line>,
    fail: u32,
    refuse: u32,
}

/// The sink; clones share what they got.
#[derive(Clone, Default)]
pub(crate) struct MemorySink(Arc<Mutex<Inner>>);

impl MemorySink {
    /// The next `times` pushes fail.
    pub(crate) fn fail(&self, times: u32) {
        self.0.lock().unwrap().fail = times;
    }

    /// The next `times` pushes are refused for ever.
    pub(crate) fn refuse(&self, times: u32) {
        self.0.lock().unwrap().refuse = times;
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap().lines.clone()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.text).collect()
    }
}

impl Sink for MemorySink {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        let mut inner = self.0.lock().unwrap();
        if inner.refuse > 0 {
            inner.refuse -= 1;
            return Err(PushError::Refused { reason: "no".to_owned() });
        }
        if inner.fail > 0 {
            inner.fail -= 1;
            return Err(PushError::Retry { reason: "not now".to_owned(), after: None });
        }
        let origin = batch.origin.as_ref().expect("every batch says where it comes from");
        assert_eq!(origin.last - origin.first + 1, batch.entries.len() as u64);
        for (entry, number) in batch.entries.iter().zip(origin.first..) {
            inner.lines.push(Line {
                text: String::from_utf8_lossy(batch.line(entry)).into_owned(),
                labels: batch.streams[entry.stream as usize].clone(),
                metadata: batch.metadata[entry.metadata as usize].clone(),
                timestamp: entry.timestamp,
                number,
            });
        }
        Ok(())
    }
}

/// A directory on tmpfs.
pub(crate) fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// A collector for tests: no line is flushed because of a silence, unless asked for.
pub(crate) fn config(parent: &tempfile::TempDir) -> Config {
    let mut config = Config::new(parent.path().join("tap"));
    config.lines = LineRules { quiet: Duration::from_secs(60), ..LineRules::default() };
    config.batch.age = Duration::from_millis(10);
    config
}

/// Waits until no ring is left, as `logtap run` does.
pub(crate) fn wait_quiet(collector: &Collector) {
    for _ in 0..1000 {
        if collector.is_quiet() {
            return;
        }
    }
    panic!("the collector never became quiet");
}

/// Waits until `done`.
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    // A minute, far more than anything here takes.
    for _ in 0..12_000 {
        if done() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("it did not happen");
}

/// Says that a test does not run here, past the test runner; where all tests must run, that is a failure.
pub(crate) fn skip(reason: &str) {
    use std::io::Write as _;
    const REQUIRE_ALL: &str = "LOGTAP_REQUIRE_ALL";
    assert!(std::env::var_os(REQUIRE_ALL).is_none(), "skipped under {REQUIRE_ALL}: {reason}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    std::io::stderr().write_all(format!("skipped: {test}: {reason}\n").as_bytes()).unwrap();
}
