//! Rust's standard library on both streams, into a file, from threads and from a child.
use std::fs::File;
use std::io::Write as _;
use std::process::Command;

fn main() {
    let mut log = File::create("rust.log").expect("the log opens");
    for line in 0..200 {
        println!("println {line}");
        eprintln!("eprintln {line}");
        writeln!(log, "a line {line} of the log file").expect("the log takes a line");
    }
    std::thread::spawn(|| println!("from a thread")).join().expect("the thread ends");
    Command::new("echo").arg("from a child").status().expect("echo runs");
    let pieces: [&[u8]; 2] = [b"one write ", b"of two pieces\n"];
    std::io::stderr().write_all(&pieces.concat()).expect("stderr takes bytes");
}
