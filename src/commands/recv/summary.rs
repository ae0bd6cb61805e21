//! What a receiver says when it has ended: what it has taken, and everything that it has not kept.

use logtap_capture::Redactor;
use logtap_recv::Store;
use logtap_units::show::{plural, size};

use crate::output::Printer;

/// Says what a store that is closed has received, and what was lost on the way.
pub(super) fn tell(store: &Store, redactor: &Redactor, printer: &Printer) {
    let counts = store.counts();
    printer.note(format_args!(
        "logtap: done: {} ({}) received, next: logtap inspect {}",
        plural(counts.lines, "line"),
        size(counts.bytes),
        store.directory().display()
    ));
    if counts.removed + counts.dropped > 0 {
        printer.note(format_args!(
            "logtap: warning: disk limit reached: deleted {} of the oldest files, dropped {}",
            plural(counts.removed, "line"),
            plural(counts.dropped, "new line")
        ));
    }
    if counts.lost > 0 {
        printer.note(format_args!(
            "logtap: warning: {} came where nobody is asked to send again, and were lost",
            plural(counts.lost, "line")
        ));
    }
    if redactor.is_active() {
        let replaced: Vec<String> = store
            .redactions()
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let replaced = if replaced.is_empty() { "nothing".to_owned() } else { replaced.join(", ") };
        printer.note(format_args!("logtap: redacted: {replaced}"));
    }
}
