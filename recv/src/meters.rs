//! What the server counts, and how it shows that to Prometheus.
//!
//! The names of the predecessor are kept where it had one, with what they say made true.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    /// Requests of senders that are not known.
    pub(crate) unknown_sender: Meter,
    /// Pushes refused on purpose.
    pub(crate) faults: Meter,
    /// Lines kept under the label for what is not as it should be.
    pub(crate) invalid_lines: Meter,
    /// Lines whose time seems to be in another unit.
    pub(crate) odd_times: Meter,
    /// Numbers of sources that were left out.
    pub(crate) missing_lines: Meter,
    /// Lines of sources under whose numbers there are others.
    pub(crate) clashes: Meter,
    /// Streams that came without a line.
    pub(crate) empty_streams: Meter,
    /// Lines that were not stored because a real Loki would not store them.
    pub(crate) strict_lines: Meter,
    /// Packets that the kernel had no room for.
    pub(crate) dropped_packets: Meter,
    /// Bytes of bodies received, as sent.
    pub(crate) received_bytes: Meter,
    /// Pushes that are read and not answered yet.
    pub(crate) waiting: Meter,
    /// Connections that are open.
    pub(crate) connections: Meter,
    /// Connections closed because they were idle or slow.
    pub(crate) timed_out: Meter,
    /// Connections that spoke something else.
    pub(crate) malformed: Meter,
    /// How often all places for connections were taken.
    pub(crate) connection_limit: Meter,
    /// Connections cut off because heads that did not end held too much.
    pub(crate) head_limit: Meter,
    /// How often the system had no room for a connection.
    pub(crate) accept_failures: Meter,
    /// Handshakes of TLS that failed.
    pub(crate) tls_failures: Meter,
    /// Changed files of TLS that could not be used.
    pub(crate) tls_reload_failures: Meter,
    /// How long pushes took.
    pub(crate) durations: Histogram,
}

/// One counter, or something that can be counted up and down.
#[derive(Debug, Default)]
pub(crate) struct Meter(AtomicU64);

impl Meter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn take_away(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The limits of a histogram's buckets in milliseconds: Prometheus' usual ones.
const BUCKETS: [(u64, &str); 11] = [
    (5, "0.005"),
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    (250, "0.25"),
    (500, "0.5"),
    (1000, "1"),
    (2500, "2.5"),
    (5000, "5"),
    (10_000, "10"),
];

/// How often something took how long.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Meter; BUCKETS.len()],
    count: Meter,
    microseconds: Meter,
}

impl Histogram {
    pub(crate) fn observe(&self, time: Duration) {
        for ((limit, _), bucket) in BUCKETS.iter().zip(&self.buckets) {
            if time <= Duration::from_millis(*limit) {
                bucket.add(1);
            }
        }
        self.count.add(1);
        self.microseconds.add(time.as_micros() as u64);
    }

    fn render(&self, name: &str) -> String {
        let buckets = BUCKETS.iter().zip(&self.buckets).map(|((_, limit), bucket)| {
            format!("{name}_bucket{{le=\"{limit}\"}} {}\n", bucket.get())
        });
        let count = self.count.get();
        let seconds = self.microseconds.get() as f64 / 1e6;
        buckets
            .chain([
                format!("{name}_bucket{{le=\"+Inf\"}} {count}\n"),
                format!("{name}_sum {seconds}\n{name}_count {count}\n"),
            ])
            .collect()
    }
}

impl Meters {
    /// Pushes that were not taken, for whatever reason.
    pub(crate) fn refused(&self) -> u64 {
        let meters = [
            &self.undecodable,
            &self.too_large,
            &self.put_off,
            &self.failed,
            &self.unknown_sender,
            &self.faults,
        ];
        meters.iter().map(|meter| meter.get()).sum()
    }

    /// The text that `/metrics` answers with; bytes of bodies in flight, and how many there may be.
    pub(crate) fn render(&self, store: &Store, (in_flight, budget): (u64, u64)) -> String {
        let counts = store.counts();
        let status = store.status();
        let mut text = String::new();
        let mut put = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
            let lines = samples.iter().map(|(labels, value)| format!("{name}{labels} {value}\n"));
            text.extend([format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")]);
            text.extend(lines);
        };
        let pushes = [
            ("{outcome=\"accepted\"}", self.accepted.get()),
            ("{outcome=\"failed\"}", self.failed.get()),
            ("{outcome=\"fault\"}", self.faults.get()),
            ("{outcome=\"put_off\"}", self.put_off.get()),
            ("{outcome=\"too_large\"}", self.too_large.get()),
            ("{outcome=\"undecodable\"}", self.undecodable.get()),
            ("{outcome=\"unknown_sender\"}", self.unknown_sender.get()),
        ];
        put("logtap_pushes_total", "counter", "Pushes by what became of them.", &pushes);
        let strict = self.strict_lines.get();
        let losses = store.losses();
        let dropped = losses.dropped.lines + strict;
        for (name, help, value) in [
            ("logtap_logs_received_total", "Lines stored.", counts.lines),
            ("logtap_logs_bytes_total", "Bytes of the lines stored.", counts.bytes),
            (
                "logtap_bytes_written_total",
                "Bytes of the lines stored, by an older name.",
                counts.bytes,
            ),
            (
                "logtap_logs_removed_total",
                "Lines of files that were deleted because the disk limit was reached, over the capture's life.",
                losses.removed.lines,
            ),
            ("logtap_bytes_removed_total", "Their bytes before compression.", losses.removed.bytes),
            ("logtap_files_removed_total", "Files that went so.", losses.removed.segments),
            (
                "logtap_rotation_errors_total",
                "Times that a file could not be closed, indexed or compressed; it is tried again.",
                status.rotation_failures,
            ),
            ("logtap_write_failures_total", "Batches that could not be stored.", counts.failures),
            (
                "logtap_sync_failures_total",
                "Times that a file could not be written through to the disk.",
                status.sync_failures,
            ),
            ("logtap_logs_repeated_total", "Lines sent again and skipped.", counts.skipped),
            (
                "logtap_logs_invalid_total",
                "Lines stored that were not as they should be.",
                self.invalid_lines.get(),
            ),
            (
                "logtap_logs_odd_time_total",
                "Lines whose time is in another unit than nanoseconds, as it seems.",
                self.odd_times.get(),
            ),
            (
                "logtap_source_lines_missing_total",
                "Lines that a collector numbered and did not send in their place.",
                self.missing_lines.get(),
            ),
            (
                "logtap_source_lines_clashing_total",
                "Lines stored whose numbers another collector uses too.",
                self.clashes.get(),
            ),
            (
                "logtap_streams_empty_total",
                "Streams of pushes that came without a line.",
                self.empty_streams.get(),
            ),
            (
                "logtap_logs_dropped_total",
                "Lines not stored, over the capture's life: no room, or lost where nobody is answered; and now: refused as Loki does.",
                dropped,
            ),
            ("logtap_push_bytes_total", "Bytes of push bodies.", self.received_bytes.get()),
            ("logtap_backpressure_events_total", "Pushes throttled with 429.", self.put_off.get()),
            (
                "logtap_packets_dropped_total",
                "Packets that the kernel had no room for.",
                self.dropped_packets.get(),
            ),
            (
                "logtap_connections_timed_out_total",
                "Connections closed because they were idle or slow.",
                self.timed_out.get(),
            ),
            (
                "logtap_connections_malformed_total",
                "Connections that did not speak HTTP, or not the right kind.",
                self.malformed.get(),
            ),
            (
                "logtap_connections_limit_total",
                "Times that all places for connections were taken.",
                self.connection_limit.get(),
            ),
            (
                "logtap_connections_head_limit_total",
                "Connections cut off because heads that did not end held too much.",
                self.head_limit.get(),
            ),
            (
                "logtap_connections_failed_total",
                "Connections that the system had no room for.",
                self.accept_failures.get(),
            ),
            ("logtap_tls_failures_total", "Failed handshakes of TLS.", self.tls_failures.get()),
            (
                "logtap_tls_reload_failures_total",
                "Changed certificate files that could not be used.",
                self.tls_reload_failures.get(),
            ),
        ] {
            put(name, "counter", help, &[("", value)]);
        }
        let mut put_owned = |name: &str, help: &str, samples: Vec<(String, u64)>| {
            let samples: Vec<_> = samples.iter().map(|(of, count)| (of.as_str(), *count)).collect();
            put(name, "counter", help, &samples);
        };
        let labelled = |label: &str, value: &str, count| {
            (format!("{{{label}=\"{}\"}}", escape_label(value)), count)
        };
        let redactions = store.redactions();
        let redactions = redactions.iter().map(|(name, count)| labelled("pattern", name, *count));
        let help = "Replacements by redaction, in what is stored.";
        put_owned("logtap_redactions_total", help, redactions.collect());
        // The names are limited where they are counted, so that no sender can make more and more of them.
        let dropped = losses.dropped.streams.iter();
        let dropped = dropped.map(|(name, count)| labelled("stream", name, count));
        let help = "Lines dropped because the disk limit was reached, or lost where nobody is answered, by stream, over the capture's life.";
        put_owned("logtap_logs_dropped_by_stream_total", help, dropped.collect());
        let removed = losses.removed_streams.iter();
        let removed = removed.map(|(name, count)| labelled("stream", name, count));
        let help = "Lines of files that were deleted because the disk limit was reached, by stream, over the capture's life.";
        put_owned("logtap_logs_removed_by_stream_total", help, removed.collect());
        let unanswered = losses.dropped.unanswered.min(losses.dropped.lines);
        let reasons = [
            ("{reason=\"no_room\"}", losses.dropped.lines - unanswered),
            ("{reason=\"nobody_answered\"}", unanswered),
            ("{reason=\"strict\"}", strict),
        ];
        let help = "Lines not stored, by reason.";
        put("logtap_logs_dropped_by_reason_total", "counter", help, &reasons);
        let rotations = [
            ("{reason=\"size\"}", status.rotations_by_size),
            ("{reason=\"age\"}", status.rotations_by_age),
        ];
        put("logtap_rotation_total", "counter", "Segments closed.", &rotations);
        let cap = status.disk_cap.unwrap_or(0);
        for (name, help, value) in [
            ("logtap_disk_cap_bytes", "Bytes that its files may take; 0 for no cap.", cap),
            ("logtap_disk_usage_bytes", "Bytes of the capture's files.", store.disk_bytes()),
            ("logtap_push_bytes_in_flight", "Bytes of push bodies held in memory.", in_flight),
            ("logtap_push_bytes_budget", "Bytes of push bodies that may be held.", budget),
            ("logtap_active_connections", "Open connections.", self.connections.get()),
            (
                "logtap_writer_queue_length",
                "Pushes that are read and wait to be stored.",
                self.waiting.get(),
            ),
        ] {
            put(name, "gauge", help, &[("", value)]);
        }
        let name = "logtap_push_duration_seconds";
        put(name, "histogram", "Time from a push's head to its answer.", &[]);
        text.push_str(&self.durations.render(name));
        text
    }
}

/// A label value as the text format wants it.
fn escape_label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_all_buckets_above_them() {
        let histogram = Histogram::default();
        for milliseconds in [3, 30, 60_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let text = histogram.render("x");
        for line in [
            "x_bucket{le=\"0.005\"} 1\n",
            "x_bucket{le=\"0.05\"} 2\n",
            "x_bucket{le=\"10\"} 2\n",
            "x_bucket{le=\"+Inf\"} 3\n",
            "x_sum 60.033\n",
            "x_count 3\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
