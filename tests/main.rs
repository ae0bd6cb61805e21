//! End-to-end tests: real programs, plain and tapped, and the rules of this repository.
//!
//! This is the only integration binary. What needs no process belongs into the crates' own tests.

/// The machinery: fresh directories, programs on the machine, running, reading captures, comparing.
mod support;

/// No files import each other in a circle.
mod circles;
/// What the documents name is there, and what is there is named.
mod documents;
/// Every file under `tests/` is part of this binary.
mod listed;
/// The rules of the repository: layers, headers, names, documented settings.
mod tidy;

/// The machinery does what it says, tried on programs that are not tapped.
mod harness;

/// What was written is delivered, or counted as lost at its place.
mod accounting;
/// The C header of the wire format.
mod header;
/// Situations that have broken preload libraries.
mod hostile;
/// The preload library as it ships, without collector and command.
mod library;

/// `logtap` as people and scripts see it, and what a command sees under `logtap run`.
mod cli;

/// The library for aarch64, in programs that an emulator runs.
mod aarch64;
/// Log libraries of other people, and the receiver.
mod clients;
/// Small programs in C, C++ and Rust, linked against glibc and musl.
mod compiled;
/// `logtap doctor`: what can be tapped, what is, and why not.
mod doctor;
/// Programs in Python, Perl, Ruby, PHP, JavaScript, Java and the shells.
mod interpreted;
/// Receivers that are killed at any moment, and an account of every line.
mod kills;
/// What the receiver tells others, and its configuration files.
mod notifications;
/// What the predecessor makes of our captures.
mod old_readers;
/// Library, collector and receiver as programs of their own.
mod parts;
/// What could not be delivered, and how it is later.
mod recovery;
/// The disk cap at every moment.
mod recv_cap;
/// The receiver on a disk that fails or is stuck, and with a clock that is set.
mod recv_faults;
/// The receiver on a full disk, at its cap, killed, wrongly set.
mod recv_limits;
/// Every loss is told in three places, with the same numbers.
mod recv_losses;
/// What people run into with a receiver, by symptom: each has its cause and its remedy told.
mod recv_troubles;
/// What redaction keeps from the disk, and how it is asked for.
mod redaction;
/// `logtap run` as a command: its exit codes, its directory, its summary, what it passes on.
mod run_command;
/// nginx, redis-server and PostgreSQL, used by a client.
mod servers;
/// Other people's own tests, which must come to the same results.
mod suites;
/// Suppressed writes.
mod suppression;
/// The dynamic symbols of the library.
mod symbols;
/// liblogtap's targets: a socket, a file.
mod targets;
/// The screen of `logtap recv`, in a terminal that can be typed into.
mod tui;

/// Programs that no library can be loaded into: static ones and Go's.
mod unreachable;

/// The demos, on this machine and on a Docker engine.
mod demos;
