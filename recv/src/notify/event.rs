//! What a webhook is told: one JSON object, with the predecessor's keys.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The events that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The receiver began.
    Start,
    /// It ended; every line is in the capture.
    Stop,
    /// A segment was closed.
    Rotation,
    /// The capture could not be written.
    Error,
    /// The capture uses most of what it may.
    DiskWarning,
    /// A rule became true.
    Alert,
}

impl EventKind {
    /// Every event, in the order of a receiver's life.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::Rotation, Self::Error, Self::DiskWarning, Self::Alert, Self::Stop];

    /// The event's name in a body and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Rotation => "rotation",
            Self::Error => "error",
            Self::DiskWarning => "disk-warning",
            Self::Alert => "alert",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no event's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no event: start, rotation, error, disk-warning, alert or stop")]
pub struct UnknownEvent(String);

impl FromStr for EventKind {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.trim();
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == wanted)
            .ok_or_else(|| UnknownEvent(text.to_owned()))
    }
}

/// How a capture stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Lines stored.
    pub lines_written: u64,
    /// Their bytes.
    pub bytes_written: u64,
    /// Lines that were given up. Ours.
    pub lines_dropped: u64,
    /// Bytes of the data files.
    pub disk_usage: u64,
    /// Bytes that they may have; 0 for no cap.
    pub disk_cap: u64,
}

/// What is sent about an event. The last four keys are ours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// Which event.
    pub event: EventKind,
    /// When, in UTC.
    pub timestamp: String,
    /// The capture directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// How it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<Stats>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Name of the rule that became true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the rule looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<&'static str>,
    /// What that is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What it is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

impl Notice {
    /// An event of now with nothing but its time.
    pub fn new(event: EventKind, timestamp: String) -> Self {
        Self {
            event,
            timestamp,
            dir: None,
            stats: None,
            detail: None,
            rule: None,
            metric: None,
            value: None,
            threshold: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_wrong_ones_named() {
        for kind in EventKind::ALL {
            assert_eq!(format!(" {kind}").parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        let error = "rotate".parse::<EventKind>().unwrap_err().to_string();
        assert!(error.starts_with("`rotate` is no event: start, rotation"), "{error}");
    }

    #[test]
    fn a_body_has_the_keys_that_matter() {
        let mut notice = Notice::new(EventKind::DiskWarning, "2026-11-21T00:00:00Z".to_owned());
        notice.dir = Some("/captures/one".to_owned());
        notice.stats = Some(Stats { disk_usage: 95, disk_cap: 100, ..Stats::default() });
        assert_eq!(
            serde_json::to_string(&notice).unwrap(),
            "{\"event\":\"disk-warning\",\"timestamp\":\"2026-11-21T00:00:00Z\",\
             \"dir\":\"/captures/one\",\"stats\":{\"lines_written\":0,\"bytes_written\":0,\
             \"lines_dropped\":0,\"disk_usage\":95,\"disk_cap\":100}}"
        );
    }
}
