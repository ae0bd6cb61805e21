//! `logtap recv`: the receiver, in front of a capture directory, with a screen where there is a terminal.

pub(crate) mod keeping;
mod observers;
mod screen;
mod summary;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use logtap_recv::audit::{AuditEvent, AuditRecord};
use logtap_recv::notify::webhook::Deliveries;
use logtap_recv::watch::Watch;
use logtap_recv::{
    Config, ConnectionLimits, Credential, Faults, LineSource, Mapping, ServeError, Store,
    StoreError, StoreOptions, TlsError, TlsFiles,
};
use logtap_tui::TuiError;
use logtap_units::read;
use logtap_units::show::plural;
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use self::keeping::KeepingArgs;
use crate::commands::redact;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::output::Printer;

/// How often is looked whether the server still runs.
const STEP: Duration = Duration::from_millis(200);

/// Receive pushes from collectors or any Loki client and keep them in a capture
#[derive(clap::Args)]
#[command(after_help = "Examples:
  logtap recv --dir ./capture
  logtap recv --dir ./capture --listen 0.0.0.0:3100 --max-disk 5GB
  logtap recv --dir ./capture --redact
  logtap recv --dir ./capture --redact=email,credit_card --redact-patterns ours.yaml
  logtap recv --dir ./capture --tls-cert tls.crt --tls-key tls.key --auth @token.txt
  logtap recv --dir ./capture --json-lines tcp://:5170        # as Talos sends its logs
  logtap recv --dir ./capture --fault 429:5%,delay:200ms      # a test double for log agents
  logtap recv --dir ./capture --strict-loki                   # refuses what Loki refuses

Takes what a Loki takes on /loki/api/v1/push, and JSON objects of any shape on /logtap/lines. \
What it has answered for is in the capture, whatever happens to it. On a terminal it shows \
statistics and the whole capture live; `?` tells the keys. It ends at `q`, Ctrl-C or SIGTERM. All \
routes, answers and limits are in docs/receiver.md.")]
pub(crate) struct RecvArgs {
    /// Address to listen on
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:3100",
        env = "LOGTAP_RECV_ADDR"
    )]
    listen: String,
    #[command(flatten)]
    keeping: KeepingArgs,
    /// Largest body of one push
    #[arg(long, value_name = "SIZE", default_value = "16MB", value_parser = read::size)]
    max_body: u64,
    /// Largest body of one push when it is unpacked
    #[arg(long, value_name = "SIZE", default_value = "64MB", value_parser = read::size)]
    max_unpacked: u64,
    /// Bodies held in memory at a time; senders beyond it are throttled (429)
    #[arg(long, value_name = "SIZE", default_value = "32MB", value_parser = read::size)]
    max_in_flight: u64,
    /// Connections at a time; more of them wait
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    max_connections: u32,
    /// Who may push: bearer:TOKEN, basic:USER:PASSWORD, or @FILE with one of them in each line
    ///
    /// Can be repeated; a sender needs one of them. Without it everybody may push.
    #[arg(long, value_name = "WHO", env = "LOGTAP_RECV_AUTH", hide_env_values = true)]
    auth: Vec<String>,
    /// Certificate with which to speak TLS, PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Roots of client certificates, PEM: who has none is refused
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Label to keep a push's X-Scope-OrgID in
    #[arg(long, value_name = "NAME")]
    tenant_label: Option<String>,
    /// Refuse what a real Loki refuses with its default limits
    #[arg(long)]
    strict_loki: bool,
    /// Failures on purpose, such as 429:5%,500:1%,delay:200ms
    #[arg(long, value_name = "FAULTS")]
    fault: Option<Faults>,
    /// Take JSON objects by tcp://HOST:PORT (one in a line) or udp://HOST:PORT (in packets) too
    ///
    /// Can be repeated. Talos sends its logs this way. Nobody is asked who they are here, and
    /// nothing is acknowledged.
    #[arg(long, value_name = "WHERE")]
    json_lines: Vec<LineSource>,
    /// Key of JSON objects and what it means: message=KEY, time=KEY, level=KEY or label=KEY[=NAME]
    #[arg(long, value_name = "KIND=KEY")]
    json_key: Vec<String>,
    /// Run without a screen, as it does where stdout is no terminal; notices go to stderr
    #[arg(long)]
    headless: bool,
    #[command(flatten)]
    observers: observers::ObserverArgs,
}

pub(crate) fn run(args: &RecvArgs, printer: &Printer) -> Result<Exit, CommandError> {
    let directory = &args.keeping.dir;
    let writer = args.keeping.options()?;
    let redactor = Arc::clone(&writer.redactor);
    let (notices_tx, notices_rx) = mpsc::channel();
    let mut config = config(args, notices_tx)?;
    let listen = config.listen;
    let observers = args.observers.check()?;
    let notes = args.keeping.check()?;
    // A receiver that cannot listen shall leave no capture behind.
    logtap_recv::check(&config).map_err(cannot_serve)?;
    let store = Store::create(directory, StoreOptions { writer }).map_err(cannot_write)?;
    let store = Arc::new(store);
    let with_screen = !args.headless && screen::is_possible();
    if !with_screen {
        printer.never_wait();
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    if with_screen {
        // The terminal is gone, and the receiver with it; without one it may outlive it (nohup).
        signals.add_signal(SIGHUP)?;
    }
    allow_many_files();
    let guarded = config.tls.is_some() || !config.credentials.is_empty();
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let observers = observers.start(directory, config.notices.clone())?;
    config.audit = Some(Arc::clone(&observers.audit));
    observers.audit.tell_earlier_losses(&store.losses());
    observers.audit.record(AuditRecord::new(AuditEvent::ServerStarted));
    let server = logtap_recv::serve(config, Arc::clone(&store)).map_err(|error| {
        let record = AuditRecord::new(AuditEvent::Error).detail(error.to_string());
        observers.audit.record(record);
        cannot_serve(error)
    })?;
    let disk_cap = Some(args.keeping.max_disk);
    let watch = Watch::start(Arc::clone(&store), disk_cap, observers)?;
    printer.note(format_args!(
        "logtap: receiving on {scheme}://{} into {}",
        server.address(),
        directory.display()
    ));
    if redactor.is_active() {
        printer.note(format_args!("logtap: {}", redact::describe(&redactor)));
    }
    for note in notes.iter().chain(store.notes()) {
        printer.note(format_args!("logtap: warning: {note}"));
    }
    args.keeping.warn(printer);
    for source in server.line_sources() {
        printer.note(format_args!("logtap: taking JSON lines on {source}"));
    }
    if listen.ip().is_loopback() {
        printer.note(format_args!(
            "logtap: only this machine can send; --listen 0.0.0.0:{} opens it to others",
            server.address().port()
        ));
    } else if !guarded {
        printer.note(
            "logtap: warning: everybody who reaches this address can send, and what is sent can be \
             read on the way; see --auth, --tls-cert and --tls-key",
        );
    }

    let mut outcome = Ok(());
    let mut goes_on = true;
    if with_screen {
        let mut receiver = screen::Receiver {
            store: &store,
            server: &server,
            signals: &mut signals,
            notices_rx: &notices_rx,
            disk_cap: args.keeping.max_disk,
            redaction: redactor.is_active().then(|| redact::describe(&redactor)),
            printer,
        };
        let ended = screen::show(&mut receiver, &format!("{scheme}://{}", server.address()));
        if ended.is_stuck {
            // The capture is ended in order rather than that somebody is told and waited for.
            printer.give_up_terminal();
        } else {
            printer.never_wait();
        }
        for text in ended.told {
            printer.note(format_args!("logtap: {text}"));
        }
        goes_on = matches!(ended.outcome, Err(TuiError::Panicked(_)));
        if goes_on {
            printer.note("logtap: the screen has failed, the receiver goes on; Ctrl-C ends it");
        }
        outcome = ended.outcome.map_err(screen::failed);
    }
    while goes_on && signals.pending().next().is_none() && !server.is_finished() {
        if let Ok(notice) = notices_rx.recv_timeout(STEP) {
            printer.note(format_args!("logtap: warning: {notice}"));
        }
    }
    printer.note("logtap: shutting down");
    let stopped = server.stop();
    for notice in notices_rx.try_iter() {
        printer.note(format_args!("logtap: warning: {notice}"));
    }
    let closed = store.close();
    if let Some(Deliveries { given_up: 1.., .. }) = watch.stop(disk_cap) {
        printer.note("logtap: warning: some webhook notices did not arrive");
    }
    for notice in notices_rx.try_iter() {
        printer.note(format_args!("logtap: warning: {notice}"));
    }
    let totals = closed.map_err(cannot_write)?;
    stopped.map_err(cannot_serve)?;
    if let Some(failure) = &totals.compression_failure {
        printer.note(format_args!(
            "logtap: warning: {} could not be compressed: {failure}; readers take them as they are",
            plural((totals.segments - totals.compressed) as u64, "file")
        ));
    }
    summary::tell(&store, &redactor, printer);
    outcome?;
    Ok(Exit::OK)
}

fn config(args: &RecvArgs, notices_tx: mpsc::Sender<String>) -> Result<Config, CommandError> {
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let (max_body, max_unpacked) = (bytes(args.max_body), bytes(args.max_unpacked));
    let mut mapping = Mapping::default();
    for part in &args.json_key {
        let known = part
            .split_once('=')
            .is_some_and(|(kind, key)| !key.is_empty() && mapping.add(kind, key));
        if !known {
            let text = format!("`{part}` is no key of JSON objects");
            return Err(CommandError::new(Kind::Arguments, text)
                .hinted("say message=KEY, time=KEY, level=KEY or label=KEY[=NAME]"));
        }
    }
    if let Some(name) = &args.tenant_label {
        let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
        if name.is_empty() || !name.chars().all(plain) || name.starts_with(char::is_numeric) {
            let text = format!("`{name}` is no name of a label");
            return Err(CommandError::new(Kind::Arguments, text)
                .hinted("a name has letters, digits and _, and no digit in front"));
        }
    }
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_roots: args.tls_client_ca.clone(),
        }),
        // The arguments require each other.
        _ => None,
    };
    Ok(Config {
        listen: address(&args.listen)?,
        max_body,
        max_unpacked: max_unpacked.max(max_body),
        max_in_flight: bytes(args.max_in_flight).max(max_body),
        connections: ConnectionLimits {
            connections: args.max_connections as usize,
            ..ConnectionLimits::default()
        },
        tls,
        credentials: credentials(&args.auth)?,
        tenant_label: args.tenant_label.clone(),
        strict: args.strict_loki,
        faults: args.fault.clone().unwrap_or_default(),
        json_lines: args.json_lines.clone(),
        mapping,
        notices: Some(notices_tx),
        ..Config::default()
    })
}

/// Reads `--auth`. What it says is never repeated in an error: it may be a password.
fn credentials(texts: &[String]) -> Result<Vec<Credential>, CommandError> {
    let parse = |text: &str, whence: &str| {
        text.parse::<Credential>().map_err(|error| {
            CommandError::new(Kind::Arguments, format!("{whence} has no credential: {error}"))
                .hinted("say bearer:TOKEN, basic:USER:PASSWORD, or @FILE with one in each line")
        })
    };
    let mut credentials = Vec::new();
    for text in texts {
        let Some(path) = text.strip_prefix('@') else {
            credentials.push(parse(text, "--auth")?);
            continue;
        };
        let content = std::fs::read_to_string(path).map_err(|error| {
            CommandError::new(Kind::of(&error), format!("failed to read `{path}`: {error}"))
                .hinted("--auth @FILE names a readable file with one credential in each line")
        })?;
        let before = credentials.len();
        for line in content.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                credentials.push(parse(line, &format!("`{path}`"))?);
            }
        }
        if credentials.len() == before {
            // An empty file must not open the door.
            let text = format!("`{path}` has no credential");
            return Err(CommandError::new(Kind::Arguments, text)
                .hinted("one in each line: bearer:TOKEN or basic:USER:PASSWORD"));
        }
    }
    Ok(credentials)
}

/// Each connection is a file; many systems allow 1024 unless asked. Where asking fails, fewer
/// connections are possible, and the receiver says so when it comes to that.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _raised = setrlimit(Resource::Nofile, limit);
}

fn address(text: &str) -> Result<SocketAddr, CommandError> {
    // A port alone, as other servers take it, means every address of this machine.
    let full =
        text.strip_prefix(':').map_or_else(|| text.to_owned(), |port| format!("0.0.0.0:{port}"));
    let found = full.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| {
        CommandError::new(Kind::Arguments, format!("`{text}` is no address to listen on"))
            .hinted("an address is HOST:PORT, such as 127.0.0.1:3100, [::1]:3100, or :3100 for all")
    })
}

/// A capture that cannot be written, with what can be done about it.
fn cannot_write(error: StoreError) -> CommandError {
    let remedy = error.remedy();
    // It is there, and may not be written now.
    let failure = if error.is_locked() {
        CommandError::new(Kind::Permission, error)
    } else {
        CommandError::caused(error)
    };
    match remedy {
        Some(remedy) => failure.hinted(remedy),
        None => failure,
    }
}

fn cannot_serve(error: ServeError) -> CommandError {
    let ServeError::Listen { address, source } = &error else {
        return match error {
            ServeError::Tls(TlsError::Unreadable { .. }) => {
                CommandError::caused(error).hinted("name a file that this user can read")
            }
            ServeError::Tls(_) => CommandError::new(Kind::Arguments, error).hinted(
                "--tls-cert, --tls-key and --tls-client-ca name files in PEM form (`-----BEGIN ...`)",
            ),
            _ => CommandError::caused(error),
        };
    };
    let hint = match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program listens there: `ss -ltnp 'sport = :{}'` names it; --listen chooses \
             another address",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; 0.0.0.0 stands for all that it has".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need rights of their own; --listen chooses another one".to_owned()
        }
        _ => "--listen chooses another address".to_owned(),
    };
    let kind = match Kind::of(source) {
        Kind::Permission => Kind::Permission,
        _ => Kind::Network,
    };
    CommandError::new(kind, error).hinted(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!(address("127.0.0.1:3100").unwrap().port(), 3100);
        assert_eq!(address(":3100").unwrap().to_string(), "0.0.0.0:3100");
        assert_eq!(address("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert!(address("nowhere").is_err());
    }

    #[test]
    fn credentials_are_read_and_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("who");
        let file = format!("@{}", path.display());
        std::fs::write(&path, "# ours\nbearer:one\n\nbasic:me:two\n").unwrap();
        let read = credentials(&["bearer:three".to_owned(), file.clone()]).unwrap();
        assert_eq!(read.len(), 3);
        std::fs::write(&path, "# nobody\n").unwrap();
        assert!(credentials(std::slice::from_ref(&file)).is_err(), "an empty file opens nothing");
        let error = credentials(&["hunter2".to_owned()]).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
