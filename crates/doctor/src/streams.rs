//! Whether the standard streams of a running process are the ones that the library taps: those of its container or
//! command, not what a shell has put in their place.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use logtap_wire::identity::{Recognise, Streams};
use logtap_wire::settings::STREAMS;

use crate::Finding;
use crate::proc::Process;
use crate::settings::Asked;

/// A finding for each stream that is asked for and goes somewhere else.
pub(crate) fn untapped(process: &Process, asked: &Asked) -> Vec<Finding> {
    let told = Streams::parse(process.variable(STREAMS).unwrap_or_default()).unwrap_or_default();
    let wanted =
        [(asked.stdout, 1, "stdout", told.stdout), (asked.stderr, 2, "stderr", told.stderr)];
    let judged = |(is_asked, number, name, told): (bool, u32, &str, Recognise)| {
        let descriptor = process.descriptors.iter().find(|(known, _)| *known == number);
        let (text, remedy) = match descriptor {
            _ if !is_asked => return None,
            None => (format!("{name} is closed: nothing that is written there is tapped"), OPEN),
            Some((_, path)) if path == Path::new("/dev/null") => {
                // Without a tap directory the library goes by the number.
                if told == Recognise::Number || asked.raw_target.is_some() {
                    return None;
                }
                (format!("{name} is /dev/null, which is not tapped"), OPEN)
            }
            Some((_, path)) if told_of_another(process, number, told) => (
                format!(
                    "{name} is `{}`, not the {name} that it was started with: it is not tapped",
                    path.display()
                ),
                FILE,
            ),
            Some(_) => return None,
        };
        Some(Finding::warning("untapped_stream", text).remedy(remedy))
    };
    wanted.into_iter().filter_map(judged).collect()
}

const OPEN: &str = "start the program without that redirection, or with `logtap run -- PROGRAM ... >/dev/null`, which taps by number";
const FILE: &str = "start the program without that redirection, or name the file in `LLT_TAP_FILE` (`--file` of logtap run)";

/// Whether a descriptor is an object other than the one that the library was told of.
fn told_of_another(process: &Process, number: u32, told: Recognise) -> bool {
    let Recognise::Object(told) = told else { return false };
    std::fs::metadata(format!("/proc/{}/fd/{number}", process.number)).is_ok_and(|found| {
        let device = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        (device, found.ino()) != ((told.major, told.minor), told.inode)
    })
}
