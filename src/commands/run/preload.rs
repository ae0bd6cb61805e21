//! The usual way: the library and a tap directory, and an environment that names both.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use logtap_wire::identity::{Recognise, Streams};
use logtap_wire::settings as names;

use super::settings::{Settings, preload_list};
use super::spawn::was_closed;
use crate::commands::place::Place;
use crate::commands::processes;
use crate::commands::run_directories;
use crate::commands::undelivered::{self, OWNER, Owner, Undelivered};
use crate::error::{CommandError, Kind};

/// Permissions of the tap directory: for one user, or for all that root's command may become.
const ONE_USER: u32 = 0o700;
const ALL_USERS: u32 = 0o1777;

/// Where library and rings are.
pub(crate) struct Ground {
    /// The library.
    pub(crate) library: PathBuf,
    /// The tap directory; the collector makes it.
    pub(crate) tap_directory: PathBuf,
    /// Its permissions.
    pub(crate) mode: u32,
    /// Why no program can be preloaded from here.
    pub(crate) obstacle: Option<String>,
    places: Vec<Place>,
}

impl Ground {
    /// Prepares both. Without a directory in memory there is no tap at all.
    pub(crate) fn prepare() -> Result<Self, CommandError> {
        let candidates = run_directories::candidates();
        let make = |base: &Path| Place::make(base).ok();
        let memory = candidates
            .iter()
            .filter(|base| run_directories::is_memory(base))
            .find_map(|base| make(base));
        let Some(rings) = memory else {
            let text = "no directory in memory (tmpfs) can be written to";
            return Err(CommandError::new(Kind::Run, text)
                .hinted("logtap keeps its rings in /dev/shm, $XDG_RUNTIME_DIR or /tmp"));
        };
        let tap_directory = rings.path().join(random_name()?);
        let is_root = rustix::process::geteuid().is_root();
        let mode = if is_root { ALL_USERS } else { ONE_USER };

        let executable =
            |directory: &Path| logtap_embedded::can_execute(directory).unwrap_or(false);
        let mut places = vec![rings];
        if !executable(places[0].path()) {
            places.extend(
                candidates.iter().filter(|base| executable(base)).find_map(|base| make(base)),
            );
        }
        let holder = places.last().map(Place::path).filter(|path| executable(path));
        let (library, obstacle) = match holder {
            Some(path) => (logtap_embedded::install(path).map_err(CommandError::caused)?, None),
            None => {
                let reason = "no directory is there from which a library can be loaded";
                (PathBuf::new(), Some(reason.to_owned()))
            }
        };
        Ok(Self { library, tap_directory, mode, obstacle, places })
    }

    /// Says in it whose lines are in its rings, should this process be killed.
    pub(crate) fn own(&self, owner: &Owner) -> io::Result<()> {
        self.places.first().map_or(Ok(()), |rings| owner.write(rings.path()))
    }

    /// The rings hold nothing any more that somebody could miss. What processes write into them that still run is told
    /// not to be captured.
    pub(crate) fn is_delivered(&self) -> io::Result<()> {
        match self.places.first().map(|rings| fs::remove_file(rings.path().join(OWNER))) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What is left in its rings.
    pub(crate) fn undelivered(&self) -> Option<Undelivered> {
        undelivered::look(self.places.first()?.path()).ok().flatten()
    }

    /// Removes everything that no process needs any more; returns what stays.
    pub(crate) fn give_up(self) -> Vec<PathBuf> {
        let paths: Vec<_> = self.places.iter().map(|place| place.path().to_path_buf()).collect();
        for place in self.places {
            place.remove_if_unused();
        }
        paths.into_iter().filter(|path| path.exists()).collect()
    }

    /// The command's environment: ours with what the library needs, everything else as it was and in
    /// its order.
    pub(crate) fn environment(
        &self,
        settings: &Settings,
        streams: Streams,
    ) -> Vec<(OsString, OsString)> {
        let list = preload_list(&self.library, env::var_os("LD_PRELOAD").as_deref());
        let mut target = OsString::from("tap:");
        target.push(&self.tap_directory);
        let into = u8::from(settings.stdout) | u8::from(settings.stderr) << 1;
        let suppressed = &settings.suppressed;
        let truth = |value: bool| OsString::from(if value { "true" } else { "false" });
        let ours = [
            ("LD_PRELOAD", Some(list)),
            (names::TARGET, Some(target)),
            (names::TAP_INTO, Some(into.to_string().into())),
            (names::TAP_FILE, Some(OsString::from_vec(settings.files.clone()))),
            (names::SUPPRESS_STDOUT, Some(truth(suppressed.stdout))),
            (names::SUPPRESS_STDERR, Some(truth(suppressed.stderr))),
            (names::SUPPRESS_TAP_FILE, Some(truth(suppressed.file))),
            (names::ON_FULL, Some(settings.on_full.clone().into())),
            (names::STREAMS, Some(streams.to_string().into())),
            ("ASAN_OPTIONS", Some(sanitizer_options(env::var_os("ASAN_OPTIONS").as_deref()))),
        ];
        let ours = ours.map(|(name, value)| match name {
            names::TAP_FILE => (name, value.filter(|list| !list.is_empty())),
            _ => (name, value),
        });
        merged(env::vars_os(), ours)
    }
}

/// Lets programs with an address sanitizer start: it refuses to when another library comes before its own. What the hooks
/// call is the sanitizer's, as if they were the program.
fn sanitizer_options(inherited: Option<&OsStr>) -> OsString {
    let mut options = inherited.unwrap_or_default().to_owned();
    if !options.is_empty() {
        options.push(":");
    }
    options.push("verify_asan_link_order=0");
    options
}

/// Replaces variables where they are and adds the others at the end; without a value a variable is
/// taken away.
fn merged<const N: usize>(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    ours: [(&'static str, Option<OsString>); N],
) -> Vec<(OsString, OsString)> {
    let mut ours = ours.map(|(name, value)| (name, value, false));
    let mut environment = Vec::new();
    for (name, value) in inherited {
        match ours.iter_mut().find(|(known, ..)| name == OsStr::new(known)) {
            None => environment.push((name, value)),
            Some((_, _, true)) => {}
            Some((_, replacement, placed)) => {
                *placed = true;
                environment.extend(replacement.take().map(|value| (name, value)));
            }
        }
    }
    let missing = ours.into_iter().filter_map(|(name, value, _)| Some((name.into(), value?)));
    environment.extend(missing);
    environment
}

/// What our standard output and error are, and so the command's. One that is closed is not tapped.
pub(crate) fn streams() -> Streams {
    let null = processes::identity("/dev/null");
    let recognise = |number: i32, descriptor: std::os::fd::BorrowedFd<'_>| {
        if was_closed(number) {
            return Recognise::Never;
        }
        match processes::identity_of_descriptor(descriptor) {
            None => Recognise::Never,
            // /dev/null is everybody's.
            Some(identity) if null.is_some_and(|null| null.is(&identity)) => Recognise::Number,
            Some(identity) => Recognise::Object(identity),
        }
    };
    Streams {
        stdout: recognise(1, std::io::stdout().as_fd()),
        stderr: recognise(2, std::io::stderr().as_fd()),
    }
}

fn random_name() -> Result<String, CommandError> {
    use std::fmt::Write as _;
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| CommandError::new(Kind::Run, error))?;
    Ok(bytes.iter().fold(String::new(), |mut name, byte| {
        let _never_fails = write!(name, "{byte:02x}");
        name
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_keeps_its_order() {
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let inherited =
            [pair("Z", "1"), pair("LLT_STREAMS", "old"), pair("A", "2"), pair("GONE", "3")];
        let ours = [
            ("LLT_STREAMS", Some("new".into())),
            ("LD_PRELOAD", Some("x".into())),
            ("GONE", None),
            ("NEVER", None),
        ];
        assert_eq!(
            merged(inherited.into_iter(), ours),
            [pair("Z", "1"), pair("LLT_STREAMS", "new"), pair("A", "2"), pair("LD_PRELOAD", "x")]
        );
    }

    #[test]
    fn ground_is_prepared_and_given_up() {
        let ground = Ground::prepare().unwrap();
        assert!(ground.library.is_file());
        assert!(!ground.tap_directory.exists());
        let library = ground.library.clone();
        assert!(ground.give_up().is_empty());
        assert!(!library.exists());
    }
}
