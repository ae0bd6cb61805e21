//! What the server counts, and how it shows that to Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::Store;

/// Counters of a server.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// Pushes stored.
    pub(crate) accepted: Meter,
    /// Pushes refused because they could not be decoded.
    pub(crate) undecodable: Meter,
    /// Pushes refused because they were too large.
    pub(crate) too_large: Meter,
    /// Pushes put off because too many were in flight, or because there was no room.
    pub(crate) put_off: Meter,
    /// Pushes that the capture failed to take.
    pub(crate) failed: Meter,
    /// Lines kept under the label for what is not as it should be.
    pub(crate) invalid_lines: Meter,
    /// Bytes of bodies received, as sent.
    pub(crate) received_bytes: Meter,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Meter(AtomicU64);

impl Meter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Meters {
    /// The text that `/metrics` answers with.
    pub(crate) fn render(&self, store: &Store, in_flight: u64) -> String {
        let counts = store.counts();
        let mut text = String::new();
        let mut put = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
            let lines = samples.iter().map(|(labels, value)| format!("{name}{labels} {value}\n"));
            text.extend([format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")]);
            text.extend(lines);
        };
        let pushes = [
            ("{outcome=\"accepted\"}", self.accepted.get()),
            ("{outcome=\"failed\"}", self.failed.get()),
            ("{outcome=\"put_off\"}", self.put_off.get()),
            ("{outcome=\"too_large\"}", self.too_large.get()),
            ("{outcome=\"undecodable\"}", self.undecodable.get()),
        ];
        put("logtap_pushes_total", "counter", "Pushes by what became of them.", &pushes);
        for (name, help, value) in [
            ("logtap_logs_received_total", "Lines stored.", counts.lines),
            ("logtap_logs_bytes_total", "Bytes of the lines stored.", counts.bytes),
            ("logtap_logs_repeated_total", "Lines sent again and skipped.", counts.skipped),
            (
                "logtap_logs_invalid_total",
                "Lines stored that were not as they should be.",
                self.invalid_lines.get(),
            ),
            ("logtap_push_bytes_total", "Bytes of push bodies.", self.received_bytes.get()),
        ] {
            put(name, "counter", help, &[("", value)]);
        }
        let redactions: Vec<_> = store
            .redactions()
            .into_iter()
            .map(|(name, count)| (format!("{{pattern=\"{}\"}}", escape_label(&name)), count))
            .collect();
        let redactions: Vec<_> =
            redactions.iter().map(|(labels, count)| (labels.as_str(), *count)).collect();
        let help = "Replacements by redaction, in what is stored.";
        put("logtap_redactions_total", "counter", help, &redactions);
        for (name, help, value) in [
            ("logtap_disk_usage_bytes", "Bytes of the capture's data files.", store.disk_bytes()),
            ("logtap_push_bytes_in_flight", "Bytes of push bodies held in memory.", in_flight),
        ] {
            put(name, "gauge", help, &[("", value)]);
        }
        text
    }
}

/// A label value as the text format wants it.
fn escape_label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
