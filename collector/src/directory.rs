//! The tap directory: made, taken over and kept by exactly one collector.
//!
//! Applications may write to it. What they put there is opened without following links, looked at
//! as an open file and refused unless it is what it should be; never mapped, never trusted.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use logtap_wire::{CONTROL_FILE, RING_ENDING, SOCKET_FILE, control};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use crate::control_page::{Control, Repair};
use crate::error::CollectorError;
use crate::told::{self, TOLD_FILE, Told};

/// The file whose lock says that a collector works here.
const LOCK_FILE: &str = "collector.lock";
/// How the name of a ring ends that is being made.
const UNFINISHED_ENDING: &str = ".tmp";
/// The capability to open files whatever their mode is, as a bit.
const CAP_DAC_OVERRIDE: u64 = 1 << 1;
/// `statfs` type of tmpfs.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// `statfs` type of ramfs.
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// A tap directory that this process serves.
#[derive(Debug)]
pub struct TapDirectory {
    path: PathBuf,
    directory: OwnedFd,
    control: Control,
    socket: Option<UnixDatagram>,
    /// Ticket of the first record, if this process made the control page.
    first_ticket: Option<u64>,
    /// Holds the lock.
    _lock: File,
}

/// A file of the directory that claims to be a ring.
#[derive(Debug)]
pub(crate) struct RingFile {
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) blocks: u64,
    /// Tells whether two names are one file.
    pub(crate) inode: u64,
}

/// What a look at the directory found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Names that end as rings do.
    pub(crate) rings: Vec<String>,
    /// There were more than the limit.
    pub(crate) too_many: bool,
}

impl TapDirectory {
    /// Makes the directory with these permission bits, or takes over one that is there, and makes
    /// sure that it is on tmpfs and that no other collector serves it.
    pub fn create(path: &Path, mode: u32, ring_cap: u64) -> Result<Self, CollectorError> {
        match std::fs::DirBuilder::new().create(path) {
            Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(mode))
                .map_err(CollectorError::directory("set the permissions of", path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(CollectorError::directory("make the tap directory", path)(error));
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| CollectorError::directory("open", path)(error.into()))?;
        let system = rustix::fs::fstatfs(&directory)
            .map_err(|error| CollectorError::directory("examine", path)(error.into()))?;
        if ![TMPFS_MAGIC, RAMFS_MAGIC].contains(&(system.f_type as u64)) {
            return Err(CollectorError::NotMemory { path: path.to_owned() });
        }
        let lock = lock(&directory, path)?;
        let file_mode = file_mode(&directory, path)?;
        let (control, first_ticket) =
            Control::open(&directory, path, file_mode, ring_mode(file_mode), ring_cap)?;
        let socket = socket(&directory, path, file_mode);
        if let Err(error) = &socket {
            tracing::warn!(%error, "no datagram socket; programs that cannot make a ring are not tapped");
        }
        let path = path.to_owned();
        Ok(Self { path, directory, control, socket: socket.ok(), first_ticket, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ticket of the first record, if nothing can have been written before this process came.
    pub(crate) fn first_ticket(&self) -> Option<u64> {
        self.first_ticket
    }

    /// The socket of those who cannot make a ring.
    pub(crate) fn socket(&self) -> Option<&UnixDatagram> {
        self.socket.as_ref()
    }

    /// Looks for rings.
    pub(crate) fn scan(&self, limit: usize) -> io::Result<Found> {
        let mut found = Found::default();
        let entries = rustix::fs::Dir::read_from(&self.directory)?;
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !name.ends_with(RING_ENDING) {
                continue;
            }
            if found.rings.len() >= limit {
                found.too_many = true;
                break;
            }
            found.rings.push(name.to_owned());
        }
        found.rings.sort_unstable();
        Ok(found)
    }

    /// Opens a ring's file. An error of kind `InvalidData` where it is no regular file.
    pub(crate) fn open_ring(&self, name: &str) -> io::Result<RingFile> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty())?;
        let file = File::from(file);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        let (size, blocks, inode) = (metadata.len(), metadata.blocks(), metadata.ino());
        Ok(RingFile { file, size, blocks, inode })
    }

    /// Removes a ring's file.
    pub(crate) fn remove_ring(&self, name: &str) -> io::Result<()> {
        rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())?;
        Ok(())
    }

    /// Counts what ring files take now and tells the writers. Counting again, instead of subtracting,
    /// also finds what killed makers left behind; that is removed.
    pub(crate) fn recount_rings(&self) -> io::Result<u64> {
        let mut total = 0_u64;
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let bytes = name.to_bytes();
            let is_unfinished = bytes.ends_with(UNFINISHED_ENDING.as_bytes());
            if bytes.ends_with(RING_ENDING.as_bytes()) || is_unfinished {
                let stat = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
                // What it takes, not what it says: a file that is all hole shall not use up the cap.
                let blocks = stat.map_or(0, |stat| u64::try_from(stat.st_blocks).unwrap_or(0));
                let is_left = is_unfinished
                    && blocks > 0
                    && name.to_str().is_ok_and(|name| self.remove_left_behind(name));
                if !is_left {
                    total = blocks.saturating_mul(512).saturating_add(total);
                }
            }
        }
        self.control.put(control::RING_BYTES_OFFSET, &total.to_ne_bytes())?;
        Ok(total)
    }

    /// Removes a ring that was killed while it was made. False where somebody may still finish it.
    ///
    /// A maker locks its file before it gives it room, and holds the lock through its mapping when it gives it its
    /// name. So room without a lock belongs to nobody, however long a maker was stopped. A file without room yet may
    /// still become a ring, and takes nothing of the cap.
    fn remove_left_behind(&self, name: &str) -> bool {
        // What is no ring, as a control page that is being made, nobody locks.
        let stem = name.strip_suffix(UNFINISHED_ENDING).unwrap_or(name);
        if !stem.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return false;
        }
        let Ok(left) = self.open_ring(name) else { return false };
        let is_free = rustix::fs::flock(&left.file, FlockOperation::NonBlockingLockExclusive);
        // Looked at again as the file that is open: the name may have been another's.
        if left.blocks == 0 || is_free.is_err() {
            return false;
        }
        // In a directory with a sticky bit that is another user's: its memory can be had back.
        let removed = self.remove_ring(name).or_else(|_| left.file.set_len(0));
        match &removed {
            Ok(()) => tracing::debug!(name, "removed what a killed process left of a ring"),
            Err(error) => tracing::debug!(%error, name, "failed to remove an unfinished ring"),
        }
        removed.is_ok()
    }

    /// Tells the writers to look their descriptors up again, and that the collector lives.
    pub(crate) fn beat(&self, epoch: u32, lease: u64) -> io::Result<()> {
        self.control.put(control::EPOCH_OFFSET, &epoch.to_ne_bytes())?;
        self.control.put(control::LEASE_OFFSET, &lease.to_ne_bytes())
    }

    /// Tells the writers that there is room now for which it is worth while to wait.
    pub(crate) fn made_room(&self, now: u64) -> io::Result<()> {
        self.control.put(control::MADE_ROOM_OFFSET, &now.to_ne_bytes())
    }

    /// What writers without a ring lost: records and bytes.
    pub(crate) fn unringed_losses(&self) -> io::Result<(u64, u64)> {
        self.control.losses()
    }

    /// A number that no ticket given out so far reaches.
    pub(crate) fn next_ticket(&self) -> u64 {
        self.control.next_ticket()
    }

    /// Puts the control page back in order, if somebody has spoilt it or taken its name. What was done, if anything.
    pub(crate) fn repair(&mut self) -> io::Result<Option<Repair>> {
        self.control.repair(&self.directory)
    }

    /// What an earlier collector has told of the losses of rings.
    pub(crate) fn told(&self) -> io::Result<Vec<Told>> {
        told::read(&self.directory)
    }

    /// Leaves to the next collector what this one has told.
    pub(crate) fn leave_told(&self, told: &[Told]) -> io::Result<()> {
        told::write(&self.directory, told)
    }

    /// Removes what belongs to the collector, rings too, and the directory if nothing else is in it.
    /// For the maker of a directory, when no process needs it any more.
    pub fn remove(self) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let bytes = name.to_bytes();
            let ours = bytes == CONTROL_FILE.as_bytes()
                || bytes == SOCKET_FILE.as_bytes()
                || bytes == LOCK_FILE.as_bytes()
                || bytes == TOLD_FILE.as_bytes()
                || bytes.starts_with(logtap_wire::STREAMS_PREFIX.as_bytes())
                || bytes.ends_with(RING_ENDING.as_bytes())
                || bytes.ends_with(UNFINISHED_ENDING.as_bytes());
            // Something of another kind under such a name is not ours: it stays, and the directory with it.
            if ours
                && let Err(error) = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())
            {
                tracing::debug!(%error, name = %String::from_utf8_lossy(bytes), "a file stays");
            }
        }
        std::fs::remove_dir(&self.path)
    }
}

fn lock(directory: &OwnedFd, path: &Path) -> Result<File, CollectorError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(directory, LOCK_FILE, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| CollectorError::directory("lock", path)(error.into()))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(File::from(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(CollectorError::Busy { path: path.to_owned() }),
        Err(error) => Err(CollectorError::directory("lock", path)(error.into())),
    }
}

/// The mode of files that writers must be able to open: as open as the directory itself.
fn file_mode(directory: &OwnedFd, path: &Path) -> Result<u32, CollectorError> {
    let stat = rustix::fs::fstat(directory)
        .map_err(|error| CollectorError::directory("examine", path)(error.into()))?;
    let (mode, user) = (stat.st_mode, rustix::process::geteuid().as_raw());
    let refuse = |reason| Err(CollectorError::Unsafe { path: path.to_owned(), reason });
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        // A volume that somebody else made for us cannot be changed, and is still the best there is.
        let sticky = Mode::from_raw_mode(mode & 0o7777 | 0o1000);
        if let Err(error) = rustix::fs::fchmod(directory, sticky) {
            tracing::warn!(%error, "the tap directory has no sticky bit: its users can disturb each other");
        }
    }
    if stat.st_uid != user && stat.st_uid != 0 && user != 0 {
        return refuse("its owner is neither you nor root");
    }
    Ok(match mode & 0o022 {
        0 => 0o600,
        0o020 => 0o660,
        _ => 0o666,
    })
}

/// The mode of rings. Their writers have them mapped, and nobody else but the collector opens them: where that may open
/// every file, a ring is its user's alone, and no other user can shorten what a program has mapped.
fn ring_mode(file_mode: u32) -> u32 {
    if may_open_every_file() { 0o600 } else { file_mode }
}

/// Whether this process may open the files of every user that there is: it has the right, and its user namespace has all
/// users.
fn may_open_every_file() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    has_all_rights(&status) && has_all_users(&map)
}

/// Whether a `/proc/PID/status` has the effective right to open files whatever their mode is.
fn has_all_rights(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    set & CAP_DAC_OVERRIDE != 0
}

/// Whether a `/proc/PID/uid_map` is that of the first user namespace.
fn has_all_users(map: &str) -> bool {
    let numbers: Vec<u32> = map.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers == [0, 0, u32::MAX]
}

/// Binds the datagram socket, replacing one that a dead collector left.
fn socket(directory: &OwnedFd, path: &Path, file_mode: u32) -> io::Result<UnixDatagram> {
    match rustix::fs::unlinkat(directory, SOCKET_FILE, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let place = path.join(SOCKET_FILE);
    let socket = UnixDatagram::bind(&place)?;
    socket.set_nonblocking(true)?;
    std::fs::set_permissions(&place, Permissions::from_mode(file_mode))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").unwrap()
    }

    #[test]
    fn a_directory_is_made_once_and_served_by_one() {
        let parent = memory();
        let path = parent.path().join("tap");
        let tap = TapDirectory::create(&path, 0o700, 1 << 20).unwrap();
        assert_eq!(tap.first_ticket(), Some(1));
        assert!(matches!(
            TapDirectory::create(&path, 0o700, 1 << 20),
            Err(CollectorError::Busy { .. })
        ));
        drop(tap);
        let again = TapDirectory::create(&path, 0o700, 1 << 20).unwrap();
        assert_eq!(again.first_ticket(), None);
        again.beat(7, 8).unwrap();
        again.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn writers_may_do_what_the_directory_says() {
        for (mode, expected) in [(0o700, 0o600), (0o770, 0o660), (0o1777, 0o666)] {
            let parent = memory();
            let path = parent.path().join("tap");
            let _tap = TapDirectory::create(&path, mode, 1 << 20).unwrap();
            for name in [CONTROL_FILE, SOCKET_FILE] {
                let found = std::fs::metadata(path.join(name)).unwrap().mode() & 0o777;
                assert_eq!(found, expected, "{name} in {mode:o}");
            }
            let page = std::fs::read(path.join(CONTROL_FILE)).unwrap();
            assert_eq!(page.len(), control::CONTROL_SIZE);
            assert!(control::is_valid(&page));
            let at = control::RING_MODE_OFFSET;
            let rings = u32::from_ne_bytes(page[at..at + 4].try_into().unwrap());
            assert_eq!(rings, ring_mode(expected), "rings in {mode:o}");
        }
    }

    #[test]
    fn rings_are_their_users_alone_where_the_collector_may_open_every_file() {
        let root = "Name:\tx\nCapEff:\t000001ffffffffff\n";
        assert!(has_all_rights(root));
        assert!(!has_all_rights("CapEff:\t0000000000000001\n") && !has_all_rights(""));
        assert!(has_all_users("         0          0 4294967295\n"));
        assert!(!has_all_users("0 100000 65536\n") && !has_all_users(""));
        let parent = memory();
        let path = parent.path().join("tap");
        drop(TapDirectory::create(&path, 0o1777, 1 << 20).unwrap());
        // A page that a program made before a collector came says what a program can know.
        let page = File::options().write(true).open(path.join(CONTROL_FILE)).unwrap();
        let at = control::RING_MODE_OFFSET;
        std::os::unix::fs::FileExt::write_all_at(&page, &0o666_u32.to_ne_bytes(), at as u64)
            .unwrap();
        drop(TapDirectory::create(&path, 0o1777, 1 << 20).unwrap());
        let page = std::fs::read(path.join(CONTROL_FILE)).unwrap();
        assert_eq!(page[at..at + 4], ring_mode(0o666).to_ne_bytes());
    }

    #[test]
    fn an_open_directory_gets_its_sticky_bit_and_a_disk_is_refused() {
        let parent = memory();
        let path = parent.path().join("tap");
        let _tap = TapDirectory::create(&path, 0o777, 1 << 20).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o1777);
        let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let result = TapDirectory::create(&disk.path().join("tap"), 0o700, 1 << 20);
        assert!(matches!(result, Err(CollectorError::NotMemory { .. })), "{result:?}");
    }

    #[test]
    fn only_regular_files_are_rings() {
        let parent = memory();
        let tap = TapDirectory::create(&parent.path().join("tap"), 0o700, 1 << 20).unwrap();
        std::fs::create_dir(tap.path().join("directory.ring")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", tap.path().join("link.ring")).unwrap();
        std::fs::write(tap.path().join("file.ring"), [0; 100]).unwrap();
        std::fs::write(tap.path().join("other"), [0; 100]).unwrap();
        let found = tap.scan(10).unwrap();
        assert_eq!(found.rings, ["directory.ring", "file.ring", "link.ring"]);
        assert!(tap.open_ring("directory.ring").is_err() && tap.open_ring("link.ring").is_err());
        assert_eq!(tap.open_ring("file.ring").unwrap().size, 100);
        assert!(tap.scan(2).unwrap().too_many);
        std::fs::remove_dir(tap.path().join("directory.ring")).unwrap();
        std::fs::remove_file(tap.path().join("link.ring")).unwrap();
        assert_eq!(tap.recount_rings().unwrap(), 4096);
    }

    #[test]
    fn what_killed_makers_left_is_removed_and_what_may_become_a_ring_is_not() {
        let parent = memory();
        let tap = TapDirectory::create(&parent.path().join("tap"), 0o700, 1 << 20).unwrap();
        let make = |name: &str, bytes: usize| {
            let path = tap.path().join(name);
            std::fs::write(&path, vec![1; bytes]).unwrap();
            File::open(path).unwrap()
        };
        drop(make("1-2-3-0.tmp", 8192));
        // Between its opening and its lock, with its lock, and a control page.
        let opened = make("1-2-3-1.tmp", 0);
        let locked = make("1-2-3-2.tmp", 4096);
        rustix::fs::flock(&locked, FlockOperation::NonBlockingLockShared).unwrap();
        drop(make(".control-7.tmp", 4096));
        drop(make("00000002.state.tmp", 4096));
        assert_eq!(tap.recount_rings().unwrap(), 3 * 4096);
        let is_there = |name: &str| tap.path().join(name).exists();
        assert!(!is_there("1-2-3-0.tmp") && is_there(".control-7.tmp"));
        assert!(is_there("00000002.state.tmp"));
        assert!(is_there("1-2-3-1.tmp") && is_there("1-2-3-2.tmp"));
        // The stopped maker goes on, the other is killed.
        rustix::fs::flock(&opened, FlockOperation::NonBlockingLockShared).unwrap();
        drop(locked);
        assert_eq!(tap.recount_rings().unwrap(), 2 * 4096);
        assert!(is_there("1-2-3-1.tmp") && !is_there("1-2-3-2.tmp"));
        tap.remove().unwrap();
        assert!(!parent.path().join("tap").exists());
    }
}
