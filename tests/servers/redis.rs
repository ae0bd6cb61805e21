//! redis-server with its log on stdout and in a file, which it opens and closes for each line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use super::{Server, text};
use crate::support::machine::require;

fn talk(port: u16) {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("redis listens");
    let mut replies = BufReader::new(stream.try_clone().expect("a second handle")).lines();
    let mut ask = |command: &str| {
        (&stream).write_all(format!("{command}\r\n").as_bytes()).expect("redis reads");
        replies.next().expect("redis answers").expect("redis writes text")
    };
    assert_eq!(ask("PING"), "+PONG");
    for number in 0..50 {
        assert_eq!(ask(&format!("SET key:{number} value")), "+OK");
    }
    assert_eq!(ask("SAVE"), "+OK");
}

fn compare(log: Option<&str>) {
    let Some(redis) = require("redis-server") else { return };
    Server {
        prepare: &|_, _| {},
        command: &|directory, port| {
            let mut words = vec![text(redis.clone()), "--port".into(), port.to_string()];
            words.extend(["--bind", "127.0.0.1", "--save", "", "--dir"].map(str::to_owned));
            words.push(text(directory));
            if let Some(log) = log {
                words.extend(["--logfile".to_owned(), text(directory.join(log))]);
            }
            words
        },
        client: &|_, port| talk(port),
        log,
        user: &[],
    }
    .compare();
}

#[test]
fn log_on_stdout() {
    compare(None);
}

#[test]
fn log_in_a_file() {
    compare(Some("redis.log"));
}
