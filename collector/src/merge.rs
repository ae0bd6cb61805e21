//! The records of all lanes and rings in the order of their tickets.
//!
//! A ticket that is missing is waited for, but only for so long: its writer may have been killed or
//! stopped with it. Whoever comes after that is still delivered, and marked late. Nothing here reads
//! a clock or a ring: it only decides what comes next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How long a missing ticket is waited for, in nanoseconds.
pub(crate) const PATIENCE: u64 = 5_000_000;

/// Place of a record among all records of a tap directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Ticket of the write.
    pub(crate) ticket: u64,
    /// Which piece of the write.
    pub(crate) fragment: u16,
}

impl Place {
    /// The place after a record; `more` if its write goes on.
    fn after(self, more: bool) -> Self {
        if more {
            Self { fragment: self.fragment.wrapping_add(1), ..self }
        } else {
            Self { ticket: self.ticket.saturating_add(1), fragment: 0 }
        }
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    /// This record. `late` if later ones went before.
    Record { item: T, late: bool },
    /// A ticket is missing; it is waited for until this moment.
    Wait { until: u64 },
    /// Nothing is there.
    Nothing,
}

/// Records that wait for their turn.
#[derive(Debug)]
pub(crate) struct Merge<T> {
    heap: BinaryHeap<Reverse<Waiting<T>>>,
    /// The place that comes next. `None` at the very start, where any record may be the first.
    expected: Option<Place>,
    /// Since when it is missing.
    missing_since: Option<u64>,
    /// No ticket from here on was given out.
    ceiling: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting<T> {
    place: Place,
    more: bool,
    item: T,
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<T> Eq for Waiting<T> {}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

impl<T> Merge<T> {
    /// Waits for no record before the first one that comes, or for `first`.
    pub(crate) fn new(first: Option<u64>) -> Self {
        let expected = first.map(|ticket| Place { ticket, fragment: 0 });
        Self { heap: BinaryHeap::new(), expected, missing_since: None, ceiling: u64::MAX }
    }

    /// No ticket from `ceiling` on was given out when the records were read. One that says otherwise is late: it must
    /// not make all others late.
    pub(crate) fn limit(&mut self, ceiling: u64) {
        self.ceiling = ceiling;
    }

    /// Adds a record; `more` if its write goes on in a further one.
    pub(crate) fn add(&mut self, place: Place, more: bool, item: T) {
        self.heap.push(Reverse(Waiting { place, more, item }));
    }

    /// Whether this record may pass the heap by: it is exactly the one that comes next.
    pub(crate) fn pass(&mut self, place: Place, more: bool) -> bool {
        if self.expected != Some(place) {
            return false;
        }
        self.expected = Some(place.after(more));
        self.missing_since = None;
        true
    }

    /// What comes next at `now`.
    pub(crate) fn next(&mut self, now: u64) -> Next<T> {
        let Some(Reverse(first)) = self.heap.peek() else { return Next::Nothing };
        let late = match self.expected {
            _ if first.place.ticket >= self.ceiling => true,
            Some(expected) if first.place > expected => {
                let since = *self.missing_since.get_or_insert(now);
                let until = since.saturating_add(PATIENCE);
                if now < until {
                    return Next::Wait { until };
                }
                false
            }
            Some(expected) => first.place < expected,
            None => false,
        };
        let Some(Reverse(first)) = self.heap.pop() else { return Next::Nothing };
        if !late {
            self.expected = Some(first.place.after(first.more));
            self.missing_since = None;
        }
        Next::Record { item: first.item, late }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(ticket: u64) -> Place {
        Place { ticket, fragment: 0 }
    }

    fn take(merge: &mut Merge<u64>, now: u64) -> Vec<(u64, bool)> {
        let mut taken = Vec::new();
        while let Next::Record { item, late } = merge.next(now) {
            taken.push((item, late));
        }
        taken
    }

    #[test]
    fn records_come_by_ticket() {
        let mut merge = Merge::new(Some(1));
        for ticket in [3, 1, 4, 2] {
            merge.add(place(ticket), false, ticket);
        }
        assert_eq!(take(&mut merge, 0), [(1, false), (2, false), (3, false), (4, false)]);
        assert_eq!(merge.next(0), Next::Nothing);
    }

    #[test]
    fn a_missing_ticket_is_waited_for_and_then_late() {
        let mut merge = Merge::new(Some(1));
        merge.add(place(2), false, 2);
        assert_eq!(merge.next(100), Next::Wait { until: 100 + PATIENCE });
        assert_eq!(merge.next(99 + PATIENCE), Next::Wait { until: 100 + PATIENCE });
        merge.add(place(3), false, 3);
        assert_eq!(take(&mut merge, 100 + PATIENCE), [(2, false), (3, false)]);
        merge.add(place(1), false, 1);
        assert_eq!(take(&mut merge, 0), [(1, true)]);
        merge.add(place(4), false, 4);
        assert_eq!(take(&mut merge, 0), [(4, false)]);
    }

    #[test]
    fn one_that_comes_in_time_is_not_late() {
        let mut merge = Merge::new(Some(1));
        merge.add(place(2), false, 2);
        assert!(matches!(merge.next(0), Next::Wait { .. }));
        merge.add(place(1), false, 1);
        assert_eq!(take(&mut merge, 1), [(1, false), (2, false)]);
        merge.add(place(4), false, 4);
        assert_eq!(merge.next(7), Next::Wait { until: 7 + PATIENCE }, "each has its own patience");
    }

    #[test]
    fn the_pieces_of_a_write_stay_together() {
        let mut merge = Merge::new(None);
        let piece = |fragment| Place { ticket: 5, fragment };
        merge.add(place(6), false, 6);
        merge.add(piece(1), false, 51);
        merge.add(piece(0), true, 50);
        assert_eq!(take(&mut merge, 0), [(50, false), (51, false), (6, false)]);
        merge.add(Place { ticket: 7, fragment: 0 }, true, 7);
        merge.add(place(8), false, 8);
        assert_eq!(take(&mut merge, 0), [(7, false)], "the write of ticket 7 goes on");
    }

    #[test]
    fn a_ticket_that_nobody_has_given_out_makes_no_other_late() {
        for first in [Some(1), None] {
            let mut merge = Merge::new(first);
            merge.limit(3);
            merge.add(place(u64::MAX), false, 99);
            merge.add(place(1), false, 1);
            assert_eq!(take(&mut merge, 0), [(1, false), (99, true)]);
            merge.add(place(2), false, 2);
            assert_eq!(take(&mut merge, 0), [(2, false)]);
        }
    }

    #[test]
    fn the_expected_one_passes() {
        let mut merge: Merge<u64> = Merge::new(Some(1));
        assert!(!merge.pass(place(2), false));
        assert!(merge.pass(place(1), true));
        assert!(merge.pass(Place { ticket: 1, fragment: 1 }, false));
        assert!(merge.pass(place(2), false));
    }
}
