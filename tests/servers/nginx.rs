//! nginx with its access log in a file and on /dev/stdout. Its workers run as a user of their own
//! when it is started by root.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use super::{Server, text};
use crate::support::machine::require;

const REQUESTS: usize = 100;

fn configure(directory: &Path, port: u16, access_log: &str) {
    let configuration = format!(
        "daemon off;\npid nginx.pid;\nworker_processes 1;\nerror_log stderr error;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n\
           access_log {access_log};\n\
           client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
           uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
           server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"hello\\n\"; }}\n\
             location /missing {{ root {}; }} }}\n\
         }}\n",
        text(directory)
    );
    std::fs::write(directory.join("nginx.conf"), configuration).expect("a fresh directory");
}

fn browse(port: u16) {
    for number in 0..REQUESTS {
        let path = if number % 10 == 9 { "missing" } else { "page" };
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("nginx listens");
        write!(stream, "GET /{path}/{number} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .expect("nginx reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("nginx answers");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
}

fn compare(access_log: &str, log: Option<&str>) {
    let Some(nginx) = require("nginx") else { return };
    Server {
        prepare: &|directory, port| configure(directory, port, access_log),
        command: &|directory, _| {
            let here = text(directory);
            let configuration = text(directory.join("nginx.conf"));
            let words = ["-p", &here, "-e", "stderr", "-c", &configuration].map(str::to_owned);
            [vec![text(nginx.clone())], words.to_vec()].concat()
        },
        client: &|_, port| browse(port),
        log,
        user: &[],
    }
    .compare();
}

#[test]
fn access_log_in_a_file() {
    compare("access.log", Some("access.log"));
}

#[test]
fn access_log_in_a_file_with_a_buffer() {
    compare("access.log combined buffer=32k flush=1h", Some("access.log"));
}

#[test]
fn access_log_on_dev_stdout() {
    compare("/dev/stdout", None);
}
