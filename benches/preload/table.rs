//! The sections of the table. Each figure is the median over rounds in which the ways take turns, so that a machine
//! whose speed drifts does not favour one. What a way adds is the median of the differences of each round, with the least
//! and the greatest of them beside it; a median below zero is said to be below noise.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::options::Options;
use crate::stage::{Onto, Stage, Way};

/// Prints a section's heading.
pub(crate) fn heading(text: &str) {
    println!(
        "\n{text:<44} {:>10} {:>10} {:>11} {:>19} {:>8}",
        "plain", "way", "added", "least to greatest", "ratio"
    );
}

/// Runs the ways in turns. A way whose target the library does not take has no figures.
fn turns(
    rounds: usize,
    ways: &[Way],
    mut run: impl FnMut(Way) -> Option<f64>,
) -> BTreeMap<Way, Vec<f64>> {
    let mut figures: BTreeMap<Way, Vec<f64>> = ways.iter().map(|way| (*way, Vec::new())).collect();
    let mut refused = Vec::new();
    for _ in 0..rounds {
        for &way in ways.iter().filter(|way| !refused.contains(*way)).collect::<Vec<_>>() {
            match run(way) {
                Some(figure) => figures.entry(way).or_default().push(figure),
                None => refused.push(way),
            }
        }
    }
    figures
}

fn print(name: &str, mut figures: BTreeMap<Way, Vec<f64>>) {
    let plain = figures.remove(&Way::Plain).unwrap_or_default();
    for (way, values) in figures {
        let name = format!("{name}: {}", way.name());
        if values.is_empty() {
            println!("{name:<44} not taken by this library");
            continue;
        }
        let mut added: Vec<f64> =
            values.iter().zip(&plain).map(|(way, plain)| way - plain).collect();
        let middle = median(&mut added);
        let least_and_greatest = added.first().zip(added.last());
        let spread = least_and_greatest
            .map_or_else(String::new, |(least, greatest)| format!("{least:.1} to {greatest:.1}"));
        let shown = if middle < 0.0 { "below noise".to_owned() } else { format!("{middle:.1}") };
        let (plain, value) = (median(&mut plain.clone()), median(&mut values.clone()));
        let ratio = value / plain;
        println!("{name:<44} {plain:>10.1} {value:>10.1} {shown:>11} {spread:>19} {ratio:>8.2}");
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The ways of both libraries, as far as there is another.
fn with_other(stage: &Stage, ways: &[Way]) -> Vec<Way> {
    ways.iter().copied().filter(|way| stage.other.is_some() || !way.is_other()).collect()
}

/// One kind of write, in nanoseconds a call.
fn steady(
    stage: &Stage,
    options: &Options,
    name: &str,
    ways: &[Way],
    (threads, length): (u64, u64),
    onto: Onto,
) {
    if onto == Onto::Stub && stage.stub.is_none() {
        println!("{name:<44} left out: `cc` is not on this machine");
        return;
    }
    // Long enough for a processor's clock, and paced, so that the collector keeps up on the other processor.
    let share = if options.quick { 8 } else { 1 };
    let pause = if length > 1000 { 4000 } else { 1000 } * threads;
    let writes = (400_000_000 / pause / threads / share).max(1000);
    let figures = turns(options.rounds, &with_other(stage, ways), |way| {
        let descriptor = if matches!(way, Way::Untapped | Way::OtherUntapped) { 0 } else { 1 };
        let numbers = [descriptor, threads, length, writes, pause];
        let words: Vec<String> = std::iter::once("child-steady".to_owned())
            .chain(numbers.iter().map(u64::to_string))
            .collect();
        figure(&stage.child(&words, way, onto)?, 0)
    });
    print(name, figures);
}

/// A number of what a child said.
fn figure(text: &str, index: usize) -> Option<f64> {
    let word = text.split_whitespace().nth(index).and_then(|word| word.parse().ok());
    Some(word.unwrap_or_else(|| panic!("`{text}` is no figure")))
}

pub(crate) fn writes(stage: &Stage, options: &Options) {
    heading("tapped write, ns a call, kernel's call stubbed");
    let ways = [Way::Plain, Way::Tapped, Way::File, Way::Socket, Way::OtherFile, Way::OtherSocket];
    for threads in [1, 4, 16] {
        for length in [20, 200, 4000] {
            let name = format!("{length} B, {threads} thr.");
            steady(stage, options, &name, &ways, (threads, length), Onto::Stub);
        }
    }
    steady(stage, options, "200 B to /dev/null", &ways, (1, 200), Onto::Null);
}

/// Instructions of one write: the difference of two run lengths under callgrind, which is the same on every machine.
pub(crate) fn instructions(stage: &Stage, _options: &Options) {
    heading("instructions a write, kernel's call stubbed");
    if stage.stub.is_none() || !has_valgrind() {
        return println!("left out: `cc` or `valgrind` is not on this machine");
    }
    const WRITES: u64 = 20_000;
    for length in [20, 200, 4000] {
        let figures = turns(1, &[Way::Plain, Way::Untapped, Way::Tapped], |way| {
            let descriptor = u64::from(way != Way::Untapped);
            let [once, twice] = [WRITES, 2 * WRITES].map(|writes| {
                let words = ["child-count".to_owned()]
                    .into_iter()
                    .chain([descriptor, length, writes].map(|number| number.to_string()))
                    .collect::<Vec<_>>();
                stage.instructions(&words, way)
            });
            Some((twice - once) / WRITES as f64)
        });
        print(&format!("{length} B"), figures);
    }
}

fn has_valgrind() -> bool {
    let mut command = Command::new("valgrind");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(crate) fn untapped(stage: &Stage, options: &Options) {
    heading("untapped write, ns a call, kernel's call stubbed");
    let ways = [Way::Plain, Way::Untapped, Way::OtherUntapped];
    steady(stage, options, "200 B", &ways, (1, 200), Onto::Stub);
}

pub(crate) fn suppressed(stage: &Stage, options: &Options) {
    heading("append to a file, ns a call");
    let ways = [Way::Plain, Way::Tapped, Way::Suppressed, Way::OtherFile];
    for length in [20, 200, 4000] {
        steady(stage, options, &format!("{length} B"), &ways, (1, length), Onto::Log);
    }
}

pub(crate) fn first(stage: &Stage, options: &Options) {
    heading("first lap of a new ring, ns a call, stubbed");
    if stage.stub.is_none() {
        return println!("left out: `cc` is not on this machine");
    }
    let words = ["child-first", "200"].map(str::to_owned);
    // A lap is short: more rounds are cheap.
    let figures = turns(options.rounds * 3, &[Way::Plain, Way::Tapped], |way| {
        figure(&stage.child(&words, way, Onto::Stub)?, 0)
    });
    print("200 B, 1 thread", figures);
}

pub(crate) fn load(stage: &Stage, options: &Options) {
    heading("loading the library and its start, microseconds");
    if stage.stub.is_none() {
        return println!("left out: `cc` is not on this machine");
    }
    let words = ["child-load".to_owned()];
    let ways = [Way::Empty, Way::Mapped, Way::Inert, Way::Tapped];
    let figures = turns(options.rounds * 15, &ways, |way| {
        figure(&stage.child(&words, way, Onto::Nothing)?, 0)
    });
    let against = |base: Way, ways: &[Way]| {
        let of = |way: &Way| figures.get(way).cloned().unwrap_or_default();
        let others = ways.iter().map(|way| (*way, of(way)));
        std::iter::once((Way::Plain, of(&base))).chain(others).collect()
    };
    // All that it costs, step by step; then the constructor alone, in both of its cases.
    print("to an empty one", against(Way::Empty, &[Way::Mapped, Way::Inert, Way::Tapped]));
    print("constructor alone", against(Way::Mapped, &[Way::Inert, Way::Tapped]));
}

/// So many lives of a program, microseconds each.
fn lives(stage: &Stage, rounds: usize, name: &str, program: &str, words: &[&str], lives: u32) {
    let run = |way: Way| {
        let mut command = Command::new(program);
        command.args(words).stderr(Stdio::null());
        let mut spent = 0.0;
        stage.run(&mut command, way, Onto::Null, |command| {
            let from = Instant::now();
            for _ in 0..lives {
                let status =
                    command.status().unwrap_or_else(|error| panic!("`{program}`: {error}"));
                assert!(status.success(), "`{program}` ended with {status}");
            }
            spent = from.elapsed().as_secs_f64() * 1e6 / f64::from(lives);
        });
        Some(spent)
    };
    let mut ways = with_other(stage, &[Way::Plain, Way::Empty, Way::Tapped, Way::OtherFile]);
    ways.retain(|way| *way != Way::Empty || stage.stub.is_some());
    print(name, turns(rounds, &ways, run));
}

pub(crate) fn exec(stage: &Stage, options: &Options) {
    heading("lives of /bin/true, microseconds each");
    let (count, rounds) = if options.quick { (500, 3) } else { (10_000, options.rounds.min(3)) };
    lives(stage, rounds, &format!("{count} times"), "/bin/true", &[], count);
}

pub(crate) fn start(stage: &Stage, options: &Options) {
    heading("start-up, microseconds");
    let runs = |program: &str, word: &str| {
        let mut command = Command::new(program);
        let status = command.arg(word).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    for (program, word, words, count) in [
        ("python3", "--version", &["-c", "print(1)"][..], 10),
        ("java", "-version", &["-version"][..], 3),
    ] {
        if runs(program, word) {
            lives(stage, options.rounds, program, program, words, count);
        } else {
            println!("{program:<44} left out: not on this machine");
        }
    }
}

pub(crate) fn memory(stage: &Stage, options: &Options) {
    heading("resident memory after 20,000 writes, KB");
    let words = ["child-memory".to_owned()];
    for (index, name) in ["the program's own", "shared (the rings)"].into_iter().enumerate() {
        let ways = with_other(stage, &[Way::Plain, Way::Tapped, Way::OtherFile]);
        let figures = turns(options.rounds.min(3), &ways, |way| {
            figure(&stage.child(&words, way, Onto::Null)?, index)
        });
        print(name, figures);
    }
}
