//! The collector as a command: `logtap-collector`, and `logtap collector`, which is the same.

mod access;

use std::io::{self, IsTerminal as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use logtap_units::visible::VisibleWriter;
use logtap_units::{read, show};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

pub use self::access::AccessArgs;
use crate::config::{BatchRules, Config, LineRules, MIN_SPOOL_SIZE, SpoolConfig};
use crate::engine::Collector;
use crate::error::CollectorError;
use crate::sink::Sink;
use crate::sinks::{JsonLines, LokiConfig, LokiSink, PushFormat, TcpLines};

/// How long the last lines may take after a signal.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of the spool where nobody says.
const SPOOL_SIZE: u64 = 16 << 20;
/// Names that can be given as flags of their own or come from the environment.
const KNOWN_LABELS: usize = 5;

/// Drain a tap directory and push its lines
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  logtap collector --tap /dev/shm/tap --to http://127.0.0.1:3100 --label app=shop
  logtap collector --tap /dev/shm/tap --to - > lines.jsonl
  logtap collector --tap /dev/shm/tap --to https://loki.example --tenant shop --token-file token

A program writes into the directory that was started with LD_PRELOAD=$(logtap library) \
LLT_TARGET=tap:/dev/shm/tap LLT_TAP_INTO=3. What the sink does not take waits in the spool. It ends at SIGTERM or \
Ctrl-C, after what is there was sent. `logtap-collector` is the same without the rest of logtap.")]
pub struct CollectorArgs {
    /// Tap directory, on tmpfs; made if it is not there
    #[arg(long, value_name = "DIR", env = "LOGTAP_TAP")]
    pub tap: PathBuf,
    /// Where lines go: a Loki or `logtap recv` (http://HOST:PORT), tcp://HOST:PORT for JSON lines, or - for JSON lines on standard output
    #[arg(long, value_name = "URL|-", env = "LOGTAP_TO")]
    pub to: String,
    /// Label of every line; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub labels: Vec<(String, String)>,
    /// Label `app`
    #[arg(long, value_name = "NAME", env = "LOGTAP_APP")]
    pub app: Option<String>,
    /// Label `container`
    #[arg(long, value_name = "NAME", env = "LOGTAP_CONTAINER")]
    pub container: Option<String>,
    /// Label `pod`
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub pod: Option<String>,
    /// Label `namespace`
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    pub namespace: Option<String>,
    /// Label `node`
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub node: Option<String>,
    /// Address for /healthz, /readyz and /metrics
    #[arg(long, value_name = "IP:PORT", env = "LOGTAP_LISTEN")]
    pub listen: Option<String>,
    /// Unix stream socket on which raw bytes are taken too, as liblogtap's `socket:` target sends them
    #[arg(long, value_name = "PATH", env = "LOGTAP_SOCKET")]
    pub socket: Option<PathBuf>,
    /// Permissions of the tap directory if it is made, and of the socket: 0700 for one user, 0770 for a group, 1777 for all
    #[arg(long, value_name = "OCTAL", default_value = "0700", value_parser = directory_mode)]
    pub mode: u32,
    /// Size of all rings together [default: 64MB, or half of a small tmpfs]
    #[arg(long, value_name = "SIZE", value_parser = ring_cap)]
    pub ring_cap: Option<u64>,
    /// Directory of the spool, where lines wait for the sink and survive the collector [default: TAP/spool]
    #[arg(long, value_name = "DIR", env = "LOGTAP_SPOOL")]
    pub spool: Option<PathBuf>,
    /// Size of the spool [default: 16MB, or a quarter of a small tmpfs]
    #[arg(long, value_name = "SIZE", value_parser = read::size)]
    pub spool_size: Option<u64>,
    /// Let lines wait in the rings instead of a spool; after a kill some lines and losses may be told twice
    #[arg(long, conflicts_with_all = ["spool", "spool_size"])]
    pub no_spool: bool,
    /// How batches are encoded
    #[arg(long, value_enum, default_value_t = Format::Protobuf)]
    pub format: Format,
    /// Longest time for one push, up to 1h
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = push_timeout)]
    pub timeout: Duration,
    /// Size of a batch
    #[arg(long, value_name = "SIZE", default_value = "1MB", value_parser = read::size)]
    pub batch_size: u64,
    /// How long a line waits for others to make a batch, up to 1m
    #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = batch_age)]
    pub batch_age: Duration,
    /// Silence after which an unfinished line is sent, from 10ms to 1h
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = line_timeout)]
    pub line_timeout: Duration,
    /// Keep only the last state of a progress line, which is drawn again and again behind carriage returns
    #[arg(long)]
    pub collapse_progress: bool,
    /// Do not look for a level in each line
    #[arg(long)]
    pub no_level: bool,
    /// How a push gets in
    #[command(flatten)]
    pub access: AccessArgs,
}

/// How batches are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Protocol buffers, compressed with snappy
    Protobuf,
    /// JSON; cannot carry bytes that are not UTF-8
    Json,
}

/// Works until SIGTERM or SIGINT, then drains what there is.
pub fn run(args: &CollectorArgs) -> Result<(), CollectorError> {
    // Taken first: a signal that comes during the start ends the collector in good order too.
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(CollectorError::Thread)?;
    let config = args.config();
    let sink = args.sink()?;
    allow_descriptors();
    let collector = Collector::start(config, sink)?;
    if let Some(address) = &args.listen {
        let address = collector.monitor().serve(address)?;
        tracing::info!(%address, "answers health requests");
    }
    let raw = match &args.socket {
        Some(path) => Some(collector.listen_raw(path, args.mode)?),
        None => None,
    };
    tracing::info!(tap = %args.tap.display(), "collecting");
    let signal = signals.forever().next();
    tracing::info!(?signal, "stopping");
    let deadline = Instant::now() + DRAIN_WITHIN;
    if let Some(raw) = raw {
        match raw.stop(DRAIN_WITHIN / 2) {
            Some(clients) => tracing::info!(clients, "raw clients were served"),
            None => tracing::error!("what raw clients had sent last could not be taken in time"),
        }
    }
    let summary = collector.stop(deadline.saturating_duration_since(Instant::now()));
    let counts = summary.counts;
    tracing::info!(
        lines = counts.lines,
        delivered = counts.delivered_lines,
        refused = counts.refused_lines,
        lost_records = counts.totals.lost_records.saturating_add(counts.unringed_lost_records),
        torn_records = counts.totals.torn_records,
        undelivered = summary.undelivered_lines,
        "stopped"
    );
    Ok(())
}

/// Takes as many descriptors as this process may have: every ring that is read needs one.
fn allow_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

/// Lets events go to standard error, as `RUST_LOG` says or from `info` on.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Fails only where somebody listens already.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| VisibleWriter::new(io::stderr(), io::stderr().is_terminal()))
        .with_ansi(false)
        .try_init()
        .unwrap_or_default();
}

/// Lines of others on a terminal must not act on it.
fn visible_stdout() -> VisibleWriter<io::Stdout> {
    VisibleWriter::new(io::stdout(), io::stdout().is_terminal())
}

impl CollectorArgs {
    fn config(&self) -> Config {
        let mut config = Config::new(&self.tap);
        config.mode = self.mode;
        let room = if self.ring_cap.is_none() || self.spool_size.is_none() {
            room_for(&self.tap)
        } else {
            None
        };
        let (ring_cap, spool_size) = shares(room, config.ring_cap);
        config.ring_cap = self.ring_cap.unwrap_or(ring_cap);
        config.spool = (!self.no_spool).then(|| SpoolConfig {
            directory: self.spool.clone().unwrap_or_else(|| self.tap.join("spool")),
            size: self.spool_size.unwrap_or(spool_size),
        });
        let known: [(&str, &Option<String>); KNOWN_LABELS] = [
            ("app", &self.app),
            ("container", &self.container),
            ("pod", &self.pod),
            ("namespace", &self.namespace),
            ("node", &self.node),
        ];
        let known = known
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .filter(|(_, value)| !value.is_empty());
        config.labels = known.chain(self.labels.iter().cloned()).collect();
        config.detect_level = !self.no_level;
        config.lines = LineRules {
            quiet: self.line_timeout,
            collapse_progress: self.collapse_progress,
            ..LineRules::default()
        };
        config.batch = BatchRules {
            // Offsets in a batch have 32 bits, and one more line may follow.
            bytes: usize::try_from(self.batch_size.clamp(1024, 256 << 20)).unwrap_or(1 << 20),
            age: self.batch_age,
        };
        config
    }

    fn sink(&self) -> Result<Box<dyn Sink>, CollectorError> {
        let is_pushed = self.to != "-" && !self.to.starts_with("tcp://");
        if let (false, Some(flag)) = (is_pushed, self.access.typed()) {
            let reason = format!("`{flag}` is for pushes over HTTP, which `{}` is not", self.to);
            let remedy = "leave it out, or push to http://HOST:PORT or https://...";
            return Err(CollectorError::Access { reason, remedy });
        }
        if self.to == "-" {
            return Ok(Box::new(JsonLines::new(visible_stdout())));
        }
        if let Some(address) = self.to.strip_prefix("tcp://") {
            let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                let reason = format!("`{}` has no port", self.to);
                return Err(CollectorError::Sink { reason });
            }
            return Ok(Box::new(TcpLines::new(address)));
        }
        let mut loki = LokiConfig::new(&self.to);
        loki.format = match self.format {
            Format::Protobuf => PushFormat::Protobuf,
            Format::Json => PushFormat::Json,
        };
        loki.timeout = self.timeout;
        self.access.apply(&mut loki)?;
        Ok(Box::new(LokiSink::new(loki)?))
    }
}

/// Bytes of the file system on which the tap directory is or will be; `None` where it does not say.
fn room_for(tap: &Path) -> Option<u64> {
    let system = tap.ancestors().find_map(|path| rustix::fs::statfs(path).ok())?;
    let bytes = u64::try_from(system.f_bsize).ok()?.checked_mul(system.f_blocks)?;
    (bytes > 0).then_some(bytes)
}

/// What rings and spool may take: their usual sizes, or half and a quarter of a smaller file system.
fn shares(room: Option<u64>, ring_cap: u64) -> (u64, u64) {
    let room = room.unwrap_or(u64::MAX);
    (ring_cap.min(room / 2), SPOOL_SIZE.min(room / 4).max(MIN_SPOOL_SIZE))
}

/// Parses `NAME=VALUE`.
fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    crate::config::check_label(name).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}

fn directory_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o1777 && mode & 0o700 == 0o700 => Ok(mode),
        _ => {
            Err("expected octal permissions with all rights for the owner, as 0700 or 1777"
                .to_owned())
        }
    }
}

/// With less than one ring all would go through the socket, at its pace.
fn ring_cap(text: &str) -> Result<u64, String> {
    let size = read::size(text).map_err(|error| error.to_string())?;
    let least = logtap_wire::ring::STARTER.file_size();
    if size < least {
        return Err(format!("`{text}` is less than one ring takes, {}", show::size(least)));
    }
    Ok(size)
}

/// A number alone is of seconds.
fn push_timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(1), Duration::from_secs(1)..=Duration::from_secs(3600))
}

/// A number alone is of milliseconds.
fn batch_age(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1), Duration::from_millis(1)..=Duration::from_secs(60))
}

/// A number alone is of milliseconds.
fn line_timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1), Duration::from_millis(10)..=Duration::from_secs(3600))
}

fn within(text: &str, unit: Duration, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = read::duration_or_number(text, unit).map_err(|error| error.to_string())?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    Err(format!("`{text}` is not from {:?} to {:?}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: CollectorArgs,
    }

    fn parse(args: &[&str]) -> Result<CollectorArgs, clap::Error> {
        let base = ["collector", "--tap", "/tap", "--to", "-"];
        Command::try_parse_from(base.iter().chain(args)).map(|command| command.args)
    }

    #[test]
    fn flags_become_a_configuration() {
        let args = parse(&["--label", "app=x", "--app", "y", "--pod", "p", "--mode", "1777"]);
        let config = args.unwrap().config();
        assert_eq!(config.mode, 0o1777);
        let labels: Vec<_> = config.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert!(labels.ends_with(&["app=x".to_owned()]), "what is said by --label counts");
        assert!(labels.contains(&"pod=p".to_owned()));
    }

    #[test]
    fn an_error_is_one_line_and_its_remedy_another() {
        let args = parse(&["--token-file", "/nonexistent"]).unwrap();
        let told = args.sink().map(|_| ()).unwrap_err();
        assert!(told.to_string().starts_with("`--token-file` is for pushes over HTTP"), "{told}");
        let args = CollectorArgs { to: "http://x".to_owned(), ..args };
        let Err(error) = args.sink() else { panic!("there is no such file") };
        assert!(error.with_causes().starts_with("failed to read `/nonexistent`: No such file"));
        assert!(!error.with_causes().contains("hint"));
        assert_eq!(error.remedy(), Some("name a readable file"));
        assert_eq!(error.exit_code(), 3);
        let args = CollectorArgs { access: AccessArgs::default(), ..args };
        assert!(args.sink().is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            ["--label", "stream=x"],
            ["--label", "a-b=x"],
            ["--label", "x"],
            ["--mode", "0077"],
            ["--mode", "7777"],
            ["--ring-cap", "x"],
            ["--batch-age", "0"],
            ["--batch-age", "2m"],
            ["--line-timeout", "soon"],
            ["--timeout", "500ms"],
            ["--ring-cap", "0"],
            ["--ring-cap", "4KB"],
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
        let mut args = parse(&[]).unwrap();
        "nowhere".clone_into(&mut args.to);
        assert!(args.sink().is_err());
        "tcp://nowhere".clone_into(&mut args.to);
        assert!(args.sink().is_err());
    }

    #[test]
    fn a_small_volume_is_shared_out() {
        assert_eq!(shares(None, 64 << 20), (64 << 20, SPOOL_SIZE));
        assert_eq!(shares(Some(64 << 20), 64 << 20), (32 << 20, 16 << 20));
        assert_eq!(shares(Some(8 << 20), 64 << 20), (4 << 20, MIN_SPOOL_SIZE));
        assert!(room_for(Path::new("/dev/shm/not/there")).is_some());
        let spool = parse(&[]).unwrap().config().spool.unwrap();
        assert_eq!(spool.directory, Path::new("/tap/spool"));
        assert!(parse(&["--no-spool"]).unwrap().config().spool.is_none());
    }
}
