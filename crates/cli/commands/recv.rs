//! `logtap recv`: the receiver, in front of a capture directory.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use logtap_recv::{Config, ServeError, Store, StoreOptions, WriterOptions};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::commands::run::{plural, size};
use crate::commands::{Ending, redact};
use crate::failure::{CommandError, Kind};
use crate::output::Printer;
use crate::values;

/// How often is looked whether the server still runs.
const STEP: Duration = Duration::from_millis(200);

/// Receive pushes from collectors or any Loki client and keep them in a capture
#[derive(clap::Args)]
#[command(after_help = "Examples:
  logtap recv --dir ./capture
  logtap recv --dir ./capture --listen 0.0.0.0:3100 --max-disk 5GB
  logtap recv --dir ./capture --redact
  logtap recv --dir ./capture --redact=email,credit_card --redact-patterns ours.yaml

Takes what a Loki takes on /loki/api/v1/push. What it has answered for is in the capture, whatever
happens to it. It ends at Ctrl-C or SIGTERM.")]
pub(crate) struct RecvArgs {
    /// Address to listen on
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:3100",
        env = "LOGTAP_RECV_ADDR"
    )]
    listen: String,
    /// Directory of the capture; an existing capture is continued
    #[arg(long, value_name = "DIR", env = "LOGTAP_RECV_DIR")]
    dir: PathBuf,
    /// Size at which a file of the capture is closed
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = values::size)]
    max_file: u64,
    /// Size of all files together, beyond which the oldest go
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "50GB",
        value_parser = values::size,
        env = "LOGTAP_RECV_DISK_CAP"
    )]
    max_disk: u64,
    /// Whether closed files are compressed
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    compress: bool,
    /// Take personal data and secrets out before anything is written: all patterns, or those named
    #[arg(
        long,
        value_name = "LIST",
        num_args = 0..=1,
        default_missing_value = "true",
        env = "LOGTAP_RECV_REDACT"
    )]
    redact: Option<String>,
    /// YAML file with patterns of your own (`name`, `pattern`, `replacement`)
    #[arg(long, value_name = "FILE", env = "LOGTAP_RECV_REDACT_PATTERNS")]
    redact_patterns: Option<PathBuf>,
    /// Largest body of one push
    #[arg(long, value_name = "SIZE", default_value = "16MB", value_parser = values::size)]
    max_body: u64,
    /// Run without a screen of its own, as it always does now
    #[arg(long)]
    headless: bool,
}

pub(crate) fn run(args: &RecvArgs, printer: &Printer) -> Result<Ending, CommandError> {
    let listen = address(&args.listen)?;
    let redactor = redact::policy(args.redact.as_deref(), args.redact_patterns.as_deref())?;
    let writer = WriterOptions {
        max_segment_bytes: args.max_file,
        disk_cap: Some(args.max_disk),
        compress: args.compress,
        redactor: Arc::clone(&redactor),
        ..WriterOptions::default()
    };
    let store = Store::create(&args.dir, StoreOptions { writer }).map_err(CommandError::caused)?;
    let store = Arc::new(store);
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let max_body = usize::try_from(args.max_body).unwrap_or(usize::MAX);
    let config = Config {
        listen,
        max_body,
        max_in_flight: Config::default().max_in_flight.max(max_body),
        ..Config::default()
    };
    let server = logtap_recv::serve(config, Arc::clone(&store)).map_err(cannot_serve)?;
    let screen = if args.headless { "" } else { " (headless: there is no screen yet)" };
    printer.note(format_args!(
        "logtap: receiving on {} into {}{screen}",
        server.address(),
        args.dir.display()
    ));
    if redactor.is_active() {
        printer.note(format_args!("logtap: {}", redact::describe(&redactor)));
    }

    while signals.pending().next().is_none() && !server.is_finished() {
        thread::park_timeout(STEP);
    }
    printer.note("logtap: shutting down");
    let stopped = server.stop();
    let counts = store.counts();
    store.close().map_err(CommandError::caused)?;
    stopped.map_err(cannot_serve)?;
    printer.note(format_args!(
        "logtap: done: {} ({}) received, next: logtap inspect {}",
        plural(counts.lines, "line"),
        size(counts.bytes),
        args.dir.display()
    ));
    let replaced: Vec<String> = store
        .redactions()
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if redactor.is_active() {
        let replaced = if replaced.is_empty() { "nothing".to_owned() } else { replaced.join(", ") };
        printer.note(format_args!("logtap: redacted: {replaced}"));
    }
    Ok(Ending::OK)
}

fn address(text: &str) -> Result<SocketAddr, CommandError> {
    // A port alone, as other servers take it, means every address of this machine.
    let full =
        text.strip_prefix(':').map_or_else(|| text.to_owned(), |port| format!("0.0.0.0:{port}"));
    let found = full.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| {
        CommandError::new(Kind::Arguments, format!("`{text}` is no address to listen on"))
            .hinted("an address is HOST:PORT, such as 127.0.0.1:3100")
    })
}

fn cannot_serve(error: ServeError) -> CommandError {
    let kind = match &error {
        ServeError::Listen { source, .. } => match Kind::of(source) {
            Kind::Permission => Kind::Permission,
            _ => Kind::Network,
        },
        ServeError::Run(_) => Kind::Internal,
    };
    CommandError::new(kind, error)
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
}
