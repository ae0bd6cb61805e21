//! `logtap doctor`: whether a program, a process or a directory can be tapped, and why not.
//!
//! What there is to find out is the library's; here it becomes words, or JSON.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use logtap_doctor::application::{self, ApplicationReport};
use logtap_doctor::executable::{self, ProgramReport};
use logtap_doctor::raw::RawReport;
use logtap_doctor::ring::RingReport;
use logtap_doctor::running::{self, RunningReport, State};
use logtap_doctor::settings::Asked;
use logtap_doctor::tap::{self, TapReport};
use logtap_doctor::{DoctorError, Finding, Severity, has_problem, preloads, proc, settings};
use logtap_program::{ProgramError, search};
use logtap_units::show::{plural, size};
use serde::Serialize;

use crate::commands::{run_directories, undelivered};
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::output::Printer;

/// The exit code where a problem was found.
const FINDINGS: Exit = Exit::Code(6);
/// Rings that are shown to a person.
const SHOWN_RINGS: usize = 6;
/// Programs that are.
const SHOWN_PROGRAMS: usize = 40;

/// Find out whether a program, a process or a directory can be tapped, how, and why not
#[derive(clap::Args)]
#[command(after_help = "Examples:
  logtap doctor nginx             a program, found as a shell finds it
  logtap doctor ./start.sh        through `#!` lines to what really runs
  logtap doctor --pid 4711        a running process: what was caught, what was lost
  logtap doctor /dev/shm/tap      a tap directory: its collector, its rings, their losses
  logtap doctor /opt/app --json   every executable of an application

Exit codes: 0 nothing wrong, 2 bad arguments, 3 no such program or process, 4 it may not be \
looked at, 6 a problem was found (warnings are none). Nothing is run, changed or locked.")]
pub(crate) struct DoctorArgs {
    /// A program, a directory with programs, or a tap directory
    #[arg(value_name = "PROGRAM|DIR", conflicts_with = "pid")]
    subject: Option<PathBuf>,
    /// A running process
    #[arg(long, value_name = "PID", value_parser = process_number)]
    pid: Option<u32>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print paths and names to a terminal as they are, whatever that does to it
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

fn process_number(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("a process has a number from 1 on; `pgrep NAME` tells it".to_owned()),
    }
}

pub(crate) fn run(args: &DoctorArgs, printer: &mut Printer) -> Result<Exit, CommandError> {
    let report = match (&args.subject, args.pid) {
        (_, Some(process)) => of_process(process)?,
        (Some(subject), None) => of_subject(subject)?,
        (None, None) => {
            let text = "doctor without a program is to check a Kubernetes cluster, which this version cannot do yet";
            return Err(CommandError::new(Kind::Arguments, text)
                .hinted("name what to look at: logtap doctor PROGRAM, logtap doctor DIR or logtap doctor --pid N"));
        }
    };
    if !args.json
        && let Some(notice) = undelivered::notice()
    {
        printer.note(format_args!("warning: {notice}"));
    }
    if args.json {
        printer.json(&report)?;
    } else {
        if args.raw {
            printer.let_through()?;
        }
        for line in text(&report) {
            printer.line(line)?;
        }
    }
    Ok(if report.healthy { Exit::OK } else { FINDINGS })
}

/// The whole answer.
#[derive(Serialize)]
struct Report {
    /// Whether no problem was found.
    healthy: bool,
    #[serde(flatten)]
    subject: Subject,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Subject {
    Program {
        program: Box<ProgramReport>,
        /// What the environment of this command, which the program would inherit, preloads.
        preloads: Vec<preloads::Preload>,
        asked: Asked,
    },
    Process {
        process: Box<RunningReport>,
    },
    TapDirectory {
        tap: Box<TapReport>,
    },
    Application {
        application: ApplicationReport,
    },
}

impl Report {
    fn new(subject: Subject, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.severity);
        Self { healthy: !has_problem(&findings), subject, findings }
    }
}

fn of_process(process: u32) -> Result<Report, CommandError> {
    let (report, findings) =
        running::check(process, logtap_embedded::library()).map_err(|error| match error {
            DoctorError::NoProcess(_) => CommandError::new(Kind::NotFound, error)
                .hinted("it may have ended; `ps` lists those that run"),
            DoctorError::Hidden { .. } => {
                CommandError::new(Kind::Permission, error).hinted("ask as its user, or as root")
            }
            DoctorError::Unreadable { .. } => {
                CommandError::caused(error).hinted("ask as a user who may read it, or as root")
            }
        })?;
    Ok(Report::new(Subject::Process { process: Box::new(report) }, findings))
}

fn of_subject(subject: &Path) -> Result<Report, CommandError> {
    if subject.is_dir() {
        return of_directory(subject);
    }
    let path = match search::find(subject.as_os_str(), &search::path_variable()) {
        Ok(path) => path,
        // What its mount forbids is a finding, not a mistake of the user.
        Err(search::SearchError::NotExecutable(path))
            if executable::is_kept_from_running(&path) && path.is_file() =>
        {
            path
        }
        Err(error @ search::SearchError::NotExecutable(_)) => {
            return Err(CommandError::new(Kind::Permission, error)
                .hinted("make it executable (chmod +x), or name its interpreter"));
        }
        Err(error @ search::SearchError::NotFound(_)) => {
            return Err(not_found(subject, CommandError::new(Kind::NotFound, error)));
        }
    };
    let (program, mut findings) = executable::check(&path).map_err(|error| match &error {
        ProgramError::NotFound(_) => CommandError::new(Kind::NotFound, error),
        ProgramError::NotExecutable(_) => CommandError::new(Kind::Permission, error),
        _ => CommandError::caused(error),
    })?;
    findings.extend(executable::check_places(&run_directories::candidates()));
    let list = std::env::var_os("LD_PRELOAD").unwrap_or_default();
    let (preloads, found) = preloads::check(list.as_encoded_bytes(), Path::to_owned);
    findings.extend(found);
    let (asked, found) = settings::check(&proc::own_environment());
    findings.extend(found);
    if let Some(directory) = &asked.directory {
        match tap::check(directory, directory, &proc::own_rights()) {
            Ok((_, found)) => findings.extend(found),
            Err(error) => findings.push(
                Finding::problem("no_directory", with_causes(&error))
                    .remedy("start its collector first: logtap collector --tap DIR"),
            ),
        }
    }
    Ok(Report::new(Subject::Program { program: Box::new(program), preloads, asked }, findings))
}

/// Says what to name instead: a file of that name here, which a shell would not run either, or anything that is there.
fn not_found(subject: &Path, failure: CommandError) -> CommandError {
    let is_name = subject.components().count() == 1 && !subject.as_os_str().is_empty();
    if is_name && subject.is_file() {
        return failure.hinted(format!("a file of that name is here: `./{}`", subject.display()));
    }
    failure.hinted("name a program, a directory, or a running process with --pid")
}

fn of_directory(directory: &Path) -> Result<Report, CommandError> {
    if tap::is_tap(directory) {
        let (report, findings) =
            tap::check(directory, directory, &proc::own_rights()).map_err(CommandError::caused)?;
        return Ok(Report::new(Subject::TapDirectory { tap: Box::new(report) }, findings));
    }
    let (application, findings) = application::check(directory).map_err(|error| {
        CommandError::caused(error).hinted("ask as a user who may read it, or as root")
    })?;
    Ok(Report::new(Subject::Application { application }, findings))
}

fn with_causes(error: &DoctorError) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn text(report: &Report) -> Vec<String> {
    let mut lines = match &report.subject {
        Subject::Program { program, preloads, asked } => {
            let mut lines = vec![verdict(program)];
            lines.extend(describe(program));
            if !preloads.is_empty() {
                lines.push(row("preloaded", &preload_list(preloads)));
            }
            lines.extend(variables(asked));
            lines
        }
        Subject::Process { process } => of_running(process),
        Subject::TapDirectory { tap } => {
            let mut lines = vec![format!("{}: a tap directory", tap.path.display())];
            lines.extend(of_tap(tap));
            lines
        }
        Subject::Application { application } => of_application(application),
    };
    for finding in &report.findings {
        let word = match finding.severity {
            Severity::Problem => "problem",
            Severity::Warning => "warning",
        };
        lines.push(format!("{word}: {}", finding.text));
        lines.extend(finding.remedy.iter().map(|remedy| format!("  hint: {remedy}")));
    }
    if report.findings.is_empty() {
        lines.push("nothing is wrong".to_owned());
    }
    lines
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:<11} {value}")
}

fn verdict(program: &ProgramReport) -> String {
    let path = program.path.display();
    if program.preloadable {
        format!("{path}: can be tapped by the preload library")
    } else {
        format!("{path}: out of the preload library's reach; logtap run taps it from outside")
    }
}

fn describe(program: &ProgramReport) -> Vec<String> {
    let mut lines = Vec::new();
    if !program.interpreters.is_empty() {
        let chain: Vec<_> =
            program.interpreters.iter().map(|path| path.display().to_string()).collect();
        lines.push(row("script of", &chain.join(", then ")));
    }
    let linking = if program.dynamic { "dynamic" } else { "static" };
    let go = if program.go { ", built by Go" } else { "" };
    lines.push(row("built for", &format!("{}, {linking}{go}", program.architecture)));
    if let Some(libc) = program.libc {
        let version = program.libc_version.as_deref().unwrap_or("of an unknown release");
        let file = program.libc_file.as_deref().map(|path| format!(" ({})", path.display()));
        lines.push(row("libc", &format!("{libc} {version}{}", file.unwrap_or_default())));
    }
    if program.privileged {
        lines.push(row("rights", "its file gives rights (setuid, setgid or capabilities)"));
    }
    lines
}

fn preload_list(preloads: &[preloads::Preload]) -> String {
    let names: Vec<_> = preloads
        .iter()
        .map(|preload| {
            let mark = if preload.logtap_version.is_some() { " (logtap)" } else { "" };
            format!("{}{mark}", preload.path.display())
        })
        .collect();
    names.join(", ")
}

fn variables(asked: &Asked) -> Vec<String> {
    asked.variables.iter().map(|(name, value)| row("setting", &format!("{name}={value}"))).collect()
}

fn of_running(process: &RunningReport) -> Vec<String> {
    let state = match process.state {
        State::Tapped => "tapped",
        State::Ready => "the library is ready, nothing has been written to a tapped stream",
        State::Raw => "its copies go to the target below as raw bytes",
        State::Inert => "the library is loaded and inert",
        State::NotLoaded => "not tapped: the library is not loaded",
    };
    let mut lines =
        vec![format!("process {} (`{}`): {state}", process.pid, process.executable.display())];
    lines.extend(process.program.iter().flat_map(describe));
    if !process.preloads.is_empty() {
        lines.push(row("preloaded", &preload_list(&process.preloads)));
    }
    if let Some(library) = &process.library {
        let version = match (library.version, library.same_as_ours) {
            (Some(version), Some(true)) => format!("version {version}, the one of this logtap"),
            (Some(version), _) => format!("version {version}, of another build than this logtap"),
            (None, _) => "its file is gone".to_owned(),
        };
        lines.push(row("library", &format!("{} ({version})", library.path.display())));
    }
    lines.extend(variables(&process.asked));
    for (name, path) in [("stdout", &process.stdout), ("stderr", &process.stderr)] {
        lines.push(row(
            name,
            &path.as_ref().map_or("closed".into(), |path| path.display().to_string()),
        ));
    }
    lines.extend(
        process.tapped_files.iter().map(|path| row("tapped file", &path.display().to_string())),
    );
    lines.extend(process.tap.iter().flat_map(of_tap));
    lines.extend(process.raw.iter().flat_map(of_raw));
    lines
}

fn of_raw(raw: &RawReport) -> Vec<String> {
    let opened = match (raw.opened, raw.reconnects) {
        (0, _) => "never opened".to_owned(),
        (_, 0) => "opened once".to_owned(),
        (_, again) => format!("opened, and {} again", plural(again, "time")),
    };
    let lost = match raw.lost_records {
        0 => "nothing lost".to_owned(),
        records => format!("{} of {} LOST", size(raw.lost_bytes), plural(records, "write")),
    };
    vec![
        row(
            "written",
            &format!("{} ({})", plural(raw.taken_records, "write"), size(raw.taken_bytes)),
        ),
        row("target", &opened),
        row(
            "",
            &format!(
                "{} delivered, {} waiting, {lost}",
                size(raw.delivered_bytes),
                size(raw.waiting_bytes)
            ),
        ),
    ]
}

fn of_tap(tap: &TapReport) -> Vec<String> {
    let mut lines = vec![row(
        "directory",
        &format!(
            "{} ({}, mode {}, owner {})",
            tap.path.display(),
            tap.file_system,
            tap.mode,
            tap.owner
        ),
    )];
    let collector = match (tap.collector_alive, tap.collector_pid, &tap.collector_command) {
        (false, None, _) => "none".to_owned(),
        (alive, Some(process), command) => {
            let state = if alive { "alive" } else { "silent" };
            let command = command.as_deref().map(|words| format!(" (`{words}`)"));
            format!("{state}, process {process}{}", command.unwrap_or_default())
        }
        (true, None, _) => "alive, in another container".to_owned(),
    };
    lines.push(row("collector", &collector));
    if let Some(control) = &tap.control {
        lines.push(row(
            "rings",
            &format!(
                "{} of at most {}; {} written so far",
                size(control.ring_bytes),
                size(control.ring_cap),
                plural(control.records, "record")
            ),
        ));
    }
    lines.extend(tap.rings.iter().take(SHOWN_RINGS).flat_map(of_ring));
    let more = tap.rings.len().saturating_sub(SHOWN_RINGS) + tap.rings_left_out;
    if more > 0 {
        lines.push(format!("  and {} more", plural(more as u64, "ring")));
    }
    lines
}

fn of_ring(ring: &RingReport) -> Vec<String> {
    let name = Path::new(&ring.executable).file_name().unwrap_or(OsStr::new("?"));
    let state = match ring.in_use {
        Some(true) => "in use",
        Some(false) => "its processes have ended",
        None => "perhaps in use",
    };
    let starter = if ring.starter { "starter ring" } else { "full ring" };
    let mut lines = vec![
        row(
            "ring",
            &format!(
                "process {} ({}), {starter} of {}, {state}",
                ring.pid,
                name.display(),
                size(ring.capacity)
            ),
        ),
        row("", &format!("captures {}", ring.hooks.join(", "))),
        row(
            "",
            &format!(
                "{} written with headers, {} of them waiting for the collector",
                size(ring.written_bytes),
                size(ring.waiting_bytes)
            ),
        ),
    ];
    for stream in &ring.streams {
        let mut parts = Vec::new();
        let mut part = |records: u64, bytes: u64, what: &str| {
            if records > 0 {
                parts.push(format!("{} ({}) {what}", plural(records, "record"), size(bytes)));
            }
        };
        part(stream.waiting_records, stream.waiting_bytes, "waiting");
        part(stream.lost_records, stream.lost_bytes, "LOST");
        part(stream.torn_records, stream.torn_bytes, "TORN");
        let told = if parts.is_empty() {
            "nothing waiting, nothing lost".to_owned()
        } else {
            parts.join(", ")
        };
        lines.push(row("", &format!("{}: {told}", stream.name())));
    }
    lines
}

fn of_application(application: &ApplicationReport) -> Vec<String> {
    let reached = application.programs.iter().filter(|program| program.preloadable).count();
    let all = application.programs.len();
    let mut lines = vec![format!(
        "{}: {}, {reached} of them within the preload library's reach",
        application.path.display(),
        plural(all as u64, "program")
    )];
    for program in application.programs.iter().take(SHOWN_PROGRAMS) {
        let told = match (&program.reason, program.libc, &program.libc_version) {
            (Some(reason), ..) => format!("no: {reason}"),
            (None, Some(libc), Some(version)) => format!("yes ({libc} {version})"),
            (None, ..) => "yes".to_owned(),
        };
        lines.push(format!("  {}  {told}", program.path.display()));
    }
    if all > SHOWN_PROGRAMS {
        lines.push(format!(
            "  and {} (all with --json)",
            plural((all - SHOWN_PROGRAMS) as u64, "more program")
        ));
    }
    if application.cut {
        lines.push("  not everything below it was looked at".to_owned());
    }
    lines
}
