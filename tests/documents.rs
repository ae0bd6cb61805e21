//! What the documents name is there, and what is there is named: metrics, flags, variables, routes, files and
//! keys of a capture, links. Refuses to judge what a document says about it; that is for readers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::parts::tap_directory;
use crate::support::pushing::{push, request};
use crate::support::receiving::{metadata, objects, receiver};
use crate::support::running::{Service, free_port};
use crate::support::workspace::{Workspace, command, logtap, repository};

/// Flags that documents name and that are of other programs.
const FOREIGN_FLAGS: [&str; 10] = [
    "--bench",
    "--build",
    "--build-arg",
    "--long",
    "--other",
    "--path",
    "--port",
    "--release",
    "--volumes",
    "--workspace",
];

/// Names that begin as those of our metrics do and are labels, or types of the header for C.
const NO_METRICS: [&str; 8] = [
    "logtap_invalid",
    "logtap_lane",
    "logtap_lost",
    "logtap_record_header",
    "logtap_ring_header",
    "logtap_stream_slot",
    "logtap_wire",
    "logtap_control",
];

fn read(path: impl AsRef<Path>) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

/// The documents that users read, but for the list of changes.
fn documents() -> Vec<(PathBuf, String)> {
    let pages = std::fs::read_dir(repository("docs")).expect("there are documents");
    let pages = pages.map(|entry| Path::new("docs").join(entry.expect("an entry").file_name()));
    let more = ["README.md", "docker-compose.yaml", "deployment.yaml"].map(PathBuf::from);
    pages.chain(more).map(|path| (path.clone(), read(&path))).collect()
}

/// The words of a text that are made of such characters.
fn words(text: &str, of: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |character: char| !of(character)).filter(|word| !word.is_empty())
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// All text of our programs' sources.
fn sources() -> String {
    fn collect(directory: &Path, text: &mut String) {
        for entry in std::fs::read_dir(directory).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let mut text = String::new();
    for directory in ["src", "recv/src", "collector/src", "injector/src", "preload/src", "crates"] {
        collect(&repository(directory), &mut text);
    }
    text
}

/// The names of metrics that an address tells.
fn told_metrics(port: u16) -> BTreeSet<String> {
    let text = request(port, "GET", "/metrics", b"").body;
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let workspace = Workspace::new();
    let (port, other) = (free_port(), free_port());
    let receiver = receiver(port, &workspace.join("capture"), &[]);
    let mut metrics = told_metrics(port);
    receiver.stop(Signal::TERM, &[]);
    let mut collector = command(logtap());
    collector.args(["collector", "--to", "-", "--listen", &format!("127.0.0.1:{other}"), "--tap"]);
    let Some(tap) = tap_directory() else { return };
    collector.arg(tap.path());
    let collector = Service::start(collector, workspace.path());
    collector.wait_for_port(other);
    metrics.extend(told_metrics(other));
    collector.stop(Signal::TERM, &[]);
    assert!(metrics.len() > 50, "{metrics:?}");

    let documents = documents();
    let mut named = BTreeSet::new();
    let mut wrong = Vec::new();
    for (path, text) in &documents {
        for word in words(text, |character| is_of_name(character) || character == '*') {
            if !word.starts_with("logtap_") || NO_METRICS.contains(&word) {
                continue;
            }
            let known: Vec<&String> = match word.split_once('*') {
                Some((begin, end)) => {
                    let fits = |name: &&String| name.starts_with(begin) && name.ends_with(end);
                    metrics.iter().filter(fits).collect()
                }
                None => metrics.get(word).into_iter().collect(),
            };
            if known.is_empty() {
                wrong.push(format!("{} names `{word}`, which is no metric", path.display()));
            }
            named.extend(known);
        }
    }
    let missing = metrics.iter().filter(|name| !named.contains(name));
    wrong.extend(missing.map(|name| format!("no document names the metric `{name}`")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The flags of a command, as its help lists them.
fn flags(name: &str) -> BTreeSet<String> {
    let output = command(logtap()).args([name, "--help"]).output().expect("logtap starts");
    let text = String::from_utf8(output.stdout).expect("help is text");
    let lines = text.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    lines.flat_map(|line| flags_in(line.split("  ").next().unwrap_or(line))).collect()
}

fn flags_in(text: &str) -> BTreeSet<String> {
    words(text, |character| character.is_ascii_alphanumeric() || character == '-')
        .filter(|word| word.starts_with("--"))
        .filter(|word| word.chars().nth(2).is_some_and(|first| first.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_flag_is_documented_and_every_documented_one_is_there() {
    const COMMANDS: [&str; 11] = [
        "run",
        "recv",
        "collector",
        "inspect",
        "grep",
        "redact",
        "recover",
        "doctor",
        "library",
        "inject",
        "completion",
    ];
    let mut wrong = Vec::new();
    let mut known: BTreeSet<String> = FOREIGN_FLAGS.map(str::to_owned).into();
    let documents = documents();
    let changes = read("CHANGELOG.md");
    let texts = documents.iter().map(|(_, text)| text.as_str()).chain([changes.as_str()]);
    let named: BTreeSet<String> = texts.flat_map(flags_in).collect();
    for name in COMMANDS {
        let flags = flags(name);
        let missing = flags.iter().filter(|flag| !named.contains(*flag));
        wrong.extend(missing.map(|flag| format!("no document names `{flag}` of `logtap {name}`")));
        known.extend(flags);
    }
    known.extend(["--help", "--version"].map(str::to_owned));
    assert!(known.len() > 60, "{known:?}");
    for (path, text) in &documents {
        let unknown = flags_in(text).into_iter().filter(|flag| !known.contains(flag));
        wrong.extend(
            unknown.map(|flag| format!("{} names `{flag}`, which is no flag", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_documented_variable_is_looked_at() {
    let sources = sources();
    let known: BTreeSet<&str> = words(&sources, is_of_name).collect();
    let mut wrong = Vec::new();
    let text = read("docs/environment.md");
    for word in words(&text, is_of_name) {
        let is_ours = word.starts_with("LLT_") || word.starts_with("LOGTAP_");
        if is_ours && !word.ends_with('_') && !known.contains(word) {
            wrong.push(word);
        }
    }
    assert!(wrong.is_empty(), "docs/environment.md names what nobody looks at: {wrong:?}");
}

#[test]
fn every_route_is_documented_and_every_documented_one_is_there() {
    let source = read("recv/src/routes.rs");
    let routes = source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let routes: BTreeSet<&str> = routes.collect();
    assert!(routes.len() >= 10, "{routes:?}");
    let document = read("docs/receiver.md");
    let table = document.split("## Routes").nth(1).and_then(|rest| rest.split("\n## ").next());
    let first_cells =
        table.expect("a table of routes").lines().filter_map(|line| line.split('|').nth(1));
    let named: BTreeSet<&str> = first_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|name| name.rsplit(' ').next().unwrap_or(name))
        .collect();
    assert_eq!(named, routes);
}

/// The names of all members of a value, but not of those whose names come from outside.
fn keys(value: &Value, out: &mut BTreeSet<String>) {
    const FROM_OUTSIDE: [&str; 6] =
        ["labels", "labels_seen", "label_counts", "streams", "removed_streams", "counts"];
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                out.insert(name.clone());
                if !FROM_OUTSIDE.contains(&name.as_str()) {
                    keys(value, out);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, out)),
        _ => {}
    }
}

#[test]
fn every_file_and_key_of_a_capture_is_documented() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let options = ["--max-file", "4KB", "--redact"];
    let receiver = receiver(port, &directory, &options);
    for from in 1..100 {
        let line = format!("mail bob@example.com, {from} {}", "x".repeat(100));
        assert_eq!(push(port, from, &[&line]).status, 204);
    }
    assert_eq!(request(port, "POST", "/loki/api/v1/push", b"{").status, 400);
    receiver.stop(Signal::TERM, &[]);

    let document = read("docs/capture.md");
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(&directory).expect("a capture") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        let (begin, end) = name.split_once('.').expect("names have an end");
        let is_segment = begin.starts_with(|character: char| character.is_ascii_digit());
        files.insert(if is_segment { format!(".{end}") } else { name });
    }
    let unnamed: Vec<&String> = files.iter().filter(|name| !document.contains(*name)).collect();
    assert!(
        unnamed.is_empty() && files.len() >= 4,
        "docs/capture.md does not name {unnamed:?} of {files:?}"
    );

    let mut found = BTreeSet::new();
    keys(&metadata(&directory), &mut found);
    for name in ["index.jsonl", "audit.jsonl"] {
        objects(&directory, name).iter().for_each(|value| keys(value, &mut found));
    }
    let documents = document + &read("docs/notifications.md");
    let named: BTreeSet<&str> = words(&documents, is_of_name).collect();
    let unnamed: Vec<&String> = found.iter().filter(|key| !named.contains(key.as_str())).collect();
    assert!(unnamed.is_empty() && found.len() > 20, "no document names {unnamed:?}");
}

#[test]
fn every_key_in_a_table_is_one_of_ours() {
    let sources = sources();
    let known: BTreeSet<&str> = words(&sources, is_of_name).collect();
    let mut wrong = Vec::new();
    let mut found = 0;
    for (path, text) in documents() {
        let mut in_table = false;
        for line in text.lines() {
            in_table = line.starts_with("| key |") || (in_table && line.starts_with('|'));
            let cell = line.split('|').nth(1).filter(|_| in_table).unwrap_or_default();
            for key in cell.split('`').skip(1).step_by(2) {
                found += 1;
                let last = key.rsplit('.').next().unwrap_or(key);
                if !known.contains(last) {
                    wrong.push(format!("{}: `{key}`", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty() && found >= 15, "keys of nothing: {wrong:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let anchors = |text: &str| -> BTreeSet<String> {
        let titles = text.lines().filter(|line| line.starts_with('#'));
        titles
            .map(|title| title.trim_start_matches('#').trim().to_lowercase())
            .map(|title| title.replace(' ', "-"))
            .map(|title| {
                title.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
            })
            .collect()
    };
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.contains(' ')) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap_or(Path::new("")).join(file),
            };
            let leads = repository(&target).exists()
                && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !leads {
                wrong.push(format!("{}: `{link}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
