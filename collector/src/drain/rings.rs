//! Which rings are read: found, taken over, ended, thrown out, removed.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

use logtap_wire::ring::SlotInfo;

use super::losses::Counted;
use super::{Drain, MAX_NAMES, MAX_RINGS, Reading, SCAN_EVERY};
use crate::chunk::{Adoption, Chunk, Release};
use crate::counts::{Hostile, MAX_LISTED};
use crate::events::is_worth_telling;
use crate::operation::{Operation, RingEnd, RingId};
use crate::ring_reader::{Hostility, RingReader};

impl Drain {
    /// Looks for new rings.
    pub(super) fn scan(&mut self) {
        let begun = Instant::now();
        self.look_around();
        // A directory full of files must not keep the thread from reading rings.
        let took = begun.elapsed();
        self.timers.scan = Some(begun + took + SCAN_EVERY.max(20 * took));
    }

    fn look_around(&mut self) {
        let found = match self.directory.scan(MAX_NAMES) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "failed to read the tap directory");
                return;
            }
        };
        for known in self.known.values_mut() {
            *known = false;
        }
        for name in found.rings {
            if let Some(seen) = self.known.get_mut(&name) {
                *seen = true;
            } else if self.rings.len() < MAX_RINGS {
                self.known.insert(name.clone(), true);
                self.adopt(&name);
            }
        }
        if !std::mem::replace(&mut self.scanned, true) {
            self.end_orphans();
        }
        if !found.too_many {
            let (rings, ended) = (&self.rings, &self.ended);
            self.known.retain(|name, seen| {
                *seen
                    || rings.values().any(|reading| reading.reader.name == *name)
                    || ended.values().any(|ended| ended.name == *name)
            });
        }
    }

    pub(super) fn adopt(&mut self, name: &str) {
        let opened = match self.directory.open_ring(name) {
            Ok(opened) => opened,
            // Its maker or another took it away again.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) if is_shortage(&error) => {
                // Our trouble, not the ring's: it is looked at again.
                self.known.remove(name);
                if !std::mem::replace(&mut self.short_of_descriptors, true) {
                    tracing::warn!(%error, "rings wait for descriptors or memory; raise the limit");
                }
                return;
            }
            Err(error) => return self.hostile(name, &Hostility::Io(error)),
        };
        if opened.size == 0 {
            // A ring that had to be emptied because it could not be removed.
            return;
        }
        let read = self.rings.values().map(|reading| &reading.reader).chain(self.ended.values());
        if let Some(same) = read.into_iter().find(|reader| reader.inode == opened.inode) {
            // Read twice it would be delivered twice.
            let reason = Hostility::SecondName { name: same.name.clone() };
            return self.hostile(name, &reason);
        }
        match RingReader::adopt(name, opened) {
            Ok(mut reader) => {
                let created = reader.info.created;
                let mut losses = Counted::default();
                let ring = match self.outlet.find(name, created) {
                    Some(known) if known.ended => {
                        self.ended.insert(known.ring, reader);
                        self.remove_ring(known.ring);
                        return;
                    }
                    Some(known) => {
                        reader.resume(&known.tails);
                        // What it lost under an earlier collector is in the books that came with the spool.
                        losses = Counted::of(&mut reader);
                        // Known already, unless the assembler's state was lost.
                        self.tell_ring(known.ring, name, &reader);
                        known.ring
                    }
                    None => {
                        for told in self.told_before.iter().filter(|told| told.is_of(name, created))
                        {
                            reader.know_told(told.slot, told.records, told.bytes);
                            losses.add(told.records, told.bytes);
                        }
                        self.begin_ring(name, &reader)
                    }
                };
                // The next pass over the timers gives it its lease.
                self.timers.lease = None;
                let processes = HashSet::new();
                let reading = Reading {
                    reader,
                    idle: false,
                    asked: None,
                    free: false,
                    processes,
                    path_bytes: 0,
                    losses,
                    gone: Vec::new(),
                };
                self.rings.insert(ring, reading);
                self.shared.live_rings.store(self.rings.len() as u64, Ordering::Relaxed);
            }
            Err(reason) => self.hostile(name, &reason),
        }
    }

    /// Gives a new ring its number and tells of it.
    pub(super) fn begin_ring(&mut self, name: &str, reader: &RingReader) -> RingId {
        let ring = self.next_ring;
        self.next_ring += 1;
        self.chunk.adoptions.push(Adoption {
            ring,
            created: reader.info.created,
            ended: false,
            name: name.to_owned(),
            tails: reader.positions(),
        });
        self.tell_ring(ring, name, reader);
        ring
    }

    fn tell_ring(&mut self, ring: RingId, name: &str, reader: &RingReader) {
        Operation::Ring {
            ring,
            pid: reader.info.pid,
            namespace: reader.info.pid_namespace,
            name: name.as_bytes(),
            executable: reader.info.executable_path(),
            source: b"preload",
        }
        .write(&mut self.chunk.bytes);
    }

    /// Ends what an earlier collector read from and is not there any more.
    pub(super) fn end_orphans(&mut self) {
        for known in self.outlet.known() {
            let ring = known.ring;
            if self.rings.contains_key(&ring) || self.ended.contains_key(&ring) {
                continue;
            }
            if !known.ended {
                Operation::RingEnd { ring, coverage: 0, how: RingEnd::Released }
                    .write(&mut self.chunk.bytes);
            }
            self.chunk.releases.push(Release::Forget { ring });
        }
    }

    /// A file is not read, or not any more.
    pub(super) fn hostile(&mut self, name: &str, reason: &Hostility) {
        let number = self.shared.saw_hostile();
        if is_worth_telling(number) {
            tracing::warn!(ring = name, %reason, number, "ring is not read");
        }
        if self.report.hostile.len() < MAX_LISTED {
            let reason = reason.to_string();
            self.report.hostile.push(Hostile { name: name.to_owned(), reason });
        }
    }

    /// Rings that no process holds and that were read to their end.
    pub(super) fn rings_at_their_end(&self) -> Vec<RingId> {
        let over = self
            .rings
            .iter()
            .filter(|(_, reading)| reading.free && reading.idle && reading.reader.buffered() == 0);
        over.map(|(ring, _)| *ring).collect()
    }

    /// Ends rings that were at their end before the directory was looked at for the last time: what their
    /// processes wrote into later rings is read by now.
    pub(super) fn end_rings(&mut self, over: &[RingId]) {
        for &ring in over {
            self.seal_promises(ring);
            self.count_losses_of(ring);
            let Some(mut reading) = self.rings.remove(&ring) else { continue };
            self.path_bytes -= reading.path_bytes;
            let told = tell_end(&mut self.chunk, ring, &mut reading.reader, RingEnd::Released);
            if let Err(reason) = told {
                self.hostile(&reading.reader.name.clone(), &reason);
                continue;
            }
            self.chunk.releases.push(Release::Ring { ring });
            self.ended.insert(ring, reading.reader);
            self.shared.live_rings.store(self.rings.len() as u64, Ordering::Relaxed);
        }
    }

    /// A ring broke the rules: what it delivered stays, the rest is not read.
    pub(super) fn drop_hostile(&mut self, ring: RingId, reason: &Hostility) {
        let Some(reading) = self.rings.remove(&ring) else { return };
        self.path_bytes -= reading.path_bytes;
        self.hostile(&reading.reader.name, reason);
        let coverage = reading.reader.info.coverage;
        Operation::RingEnd { ring, coverage, how: RingEnd::Hostile }.write(&mut self.chunk.bytes);
        self.chunk.releases.push(Release::Forget { ring });
        self.shared.live_rings.store(self.rings.len() as u64, Ordering::Relaxed);
    }

    pub(super) fn remove_ring(&mut self, ring: RingId) {
        // Its lock is held until here: nobody can take the file for a living ring.
        let Some(reader) = self.ended.remove(&ring) else { return };
        let name = &reader.name;
        match self.directory.remove_ring(name) {
            Ok(()) => {
                self.known.remove(name);
                self.outlet.forget(ring);
            }
            // In a directory with a sticky bit that is another user's: its memory can be had back.
            Err(error) => match reader.empty() {
                Ok(()) => {
                    if !std::mem::replace(&mut self.told_of_names, true) {
                        tracing::warn!(
                            %error,
                            ring = name,
                            "rings of other users are emptied, but their names stay; let the collector's \
                             user own the tap directory (`logtap-injector --tap DIR`)"
                        );
                    }
                }
                Err(_) => tracing::warn!(%error, ring = name, "failed to remove a ring"),
            },
        }
    }
}

/// Whether a file could not be opened for want of something that may come back.
fn is_shortage(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR];
    error.raw_os_error().is_some_and(|code| shortages.iter().any(|e| e.raw_os_error() == code))
}

/// Tells what was torn and lost, and that nothing follows. Gives the slots with losses.
pub(super) fn tell_end(
    chunk: &mut Chunk,
    ring: RingId,
    reader: &mut RingReader,
    how: RingEnd,
) -> Result<Vec<(u8, SlotInfo)>, Hostility> {
    if how == RingEnd::Released {
        for torn in reader.torn()? {
            let (slot, bytes) = torn.what.unzip();
            if let Some(slot) = slot
                && let Some((kind, path)) = reader.new_stream(slot)?
            {
                Operation::Stream { ring, slot, kind, path }.write(&mut chunk.bytes);
                tell_known(chunk, ring, slot, reader);
            }
            Operation::Torn { ring, slot, bytes }.write(&mut chunk.bytes);
        }
    }
    let losses = reader.losses()?;
    for &(slot, counted) in &losses {
        if let Some((kind, path)) = reader.new_stream(slot)? {
            Operation::Stream { ring, slot, kind, path }.write(&mut chunk.bytes);
            tell_known(chunk, ring, slot, reader);
        }
        let (records, bytes) = (counted.torn_records, counted.torn_bytes);
        Operation::TakenBack { ring, slot, records, bytes }.write(&mut chunk.bytes);
        let (records, bytes) = (counted.lost_records, counted.lost_bytes);
        Operation::Loss { ring, slot, records, bytes }.write(&mut chunk.bytes);
    }
    let coverage = reader.coverage();
    Operation::RingEnd { ring, coverage, how }.write(&mut chunk.bytes);
    Ok(losses)
}

/// Tells, behind a stream's beginning, which of its losses the sink has from an earlier collector.
pub(super) fn tell_known(chunk: &mut Chunk, ring: RingId, slot: u8, reader: &RingReader) {
    if let Some((records, bytes)) = reader.told(slot) {
        Operation::Known { ring, slot, records, bytes }.write(&mut chunk.bytes);
    }
}
