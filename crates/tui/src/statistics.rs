//! What a receiver says about itself, a few times a second.

/// Counters of a receiver, since its start unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Lines stored.
    pub lines: u64,
    /// Their bytes, as they were sent.
    pub bytes: u64,
    /// Lines that were sent again and are stored once.
    pub repeated: u64,
    /// Lines and packets that came where nobody can be put off, and are lost.
    pub dropped: u64,
    /// Pushes that were not taken: put off, too large, not readable, failed.
    pub refused: u64,
    /// Connections that are open now.
    pub connections: u64,
    /// Bytes of the data files now.
    pub disk_bytes: u64,
    /// Bytes that they may take.
    pub disk_cap: Option<u64>,
    /// How lines are redacted, in a few words; none if they are not.
    pub redaction: Option<String>,
    /// Label names that lines have, in order.
    pub label_names: Vec<String>,
    /// Values of the label that was asked for with their lines, in no order.
    pub talkers: Vec<(String, u64)>,
    /// Lines with values that were too many to be counted one by one.
    pub other_talkers: u64,
}

/// Where the statistics come from.
pub trait Source {
    /// The counters now, with the lines for each value of a label. Called a few times a second; must
    /// not wait.
    fn statistics(&mut self, label: Option<&str>) -> Statistics;

    /// Warnings since the last time.
    fn notices(&mut self) -> Vec<String>;

    /// Tells somebody something when the screen is gone already.
    fn note(&mut self, text: String);

    /// Whether the screen is to end: the receiver has ended, or somebody has asked it to.
    fn is_over(&mut self) -> bool;
}
