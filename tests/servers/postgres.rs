//! PostgreSQL as its own user, with its log on stderr and in a file that its log process writes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Server, text};
use crate::support::PATIENCE;
use crate::support::machine::{require, require_postgres, skip};
use crate::support::workspace::command;

/// Becomes the user that Debian's package makes for PostgreSQL, which refuses to run as root.
const AS_POSTGRES: [&str; 4] =
    ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];

fn as_postgres(program: &str) -> Command {
    let mut command = command(AS_POSTGRES[0]);
    command.args(&AS_POSTGRES[1..]).arg(program);
    command
}

fn succeed(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {error}");
}

fn make_cluster(initdb: &str, directory: &Path) {
    let mut command = as_postgres(initdb);
    command.args(["--no-sync", "--auth=trust", "--username=postgres", "--pgdata"]);
    command.arg(directory.join("data")).current_dir(directory);
    succeed(command);
}

/// It listens before it is ready, and who asks too early is an entry in the log.
fn wait_until_ready(directory: &Path) {
    let state = directory.join("data/postmaster.pid");
    let ready = || std::fs::read_to_string(&state).is_ok_and(|state| state.contains("\nready"));
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "PostgreSQL never became ready");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn query(psql: &str, port: u16) {
    let statements = [
        "create table t (a integer)",
        "insert into t select generate_series(1, 100)",
        "select count(*) from t",
        "do $$ begin raise warning 'a warning of two\nlines'; end $$",
    ];
    for statement in statements {
        let mut command = command(psql);
        command.args(["-q", "-X", "-h", "127.0.0.1", "-U", "postgres", "-c", statement, "-p"]);
        command.arg(port.to_string());
        succeed(command);
    }
    let mut failing = command(psql);
    failing.args(["-X", "-h", "127.0.0.1", "-U", "postgres", "-c", "select 1 / 0", "-p"]);
    let output = failing.arg(port.to_string()).output().expect("psql runs");
    assert!(!output.status.success(), "a division by zero worked");
}

/// Who becomes PostgreSQL's user: `logtap run` itself, or the program that it starts.
enum Changes {
    Logtap,
    Program,
}

fn compare(changes: &Changes, log: Option<&str>) {
    let (Some(postgres), Some(initdb)) = (require_postgres("postgres"), require_postgres("initdb"))
    else {
        return;
    };
    let Some(psql) = require_postgres("psql") else { return };
    if require("setpriv").is_none() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become PostgreSQL's user");
    }
    let settings = match log {
        Some(_) => ["logging_collector=on", "log_directory=..", "log_filename=postgresql.log"],
        None => ["logging_collector=off", "log_directory=..", "log_filename=unused.log"],
    };
    Server {
        prepare: &|directory, _| make_cluster(&text(initdb.clone()), directory),
        command: &|directory, port| {
            let mut words: Vec<String> = Vec::new();
            if matches!(changes, Changes::Program) {
                words.extend(AS_POSTGRES.map(str::to_owned));
            }
            words.extend([text(postgres.clone()), "-D".into(), text(directory.join("data"))]);
            words.extend(["-p".into(), port.to_string()]);
            let fixed = [
                "listen_addresses=127.0.0.1",
                "unix_socket_directories=",
                "log_statement=all",
                "fsync=off",
                "autovacuum=off",
                "log_file_mode=0644",
            ];
            for setting in fixed.into_iter().chain(settings) {
                words.extend(["-c".to_owned(), setting.to_owned()]);
            }
            words
        },
        client: &|directory, port| {
            wait_until_ready(directory);
            query(&text(psql.clone()), port);
        },
        log,
        user: if matches!(changes, Changes::Logtap) { &AS_POSTGRES } else { &[] },
    }
    .compare();
}

#[test]
fn log_on_stderr() {
    compare(&Changes::Logtap, None);
}

#[test]
fn log_in_a_file() {
    compare(&Changes::Logtap, Some("postgresql.log"));
}

#[test]
fn log_on_stderr_of_a_program_that_changes_its_user() {
    compare(&Changes::Program, None);
}
