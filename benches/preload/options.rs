//! What the user asks of the bench: sections, rounds, and another library to compare with.

use std::env;
use std::path::PathBuf;

/// The variable that names another library.
const OTHER: &str = "LIBLOGTAP";

/// The parts of the table, by their words on the command line.
pub(crate) const SECTIONS: [(&str, &str); 9] = [
    ("writes", "added time of a tapped write: 20, 200 and 4000 bytes, 1, 4 and 16 threads"),
    ("count", "instructions of a write, by callgrind: the same on every machine"),
    ("untapped", "a write on a descriptor that is not tapped"),
    ("suppressed", "a suppressed write against the plain append to a file"),
    ("first", "the first lap of a ring that was just made"),
    ("load", "loading an empty library, ours inert, and ours with its start and first ring"),
    ("exec", "10,000 lives of /bin/true (500 with --quick)"),
    ("start", "start-up of python3 and java"),
    ("memory", "resident memory of a tapped program"),
];

/// What is to be measured, and how.
pub(crate) struct Options {
    pub(crate) sections: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) other: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments behind the program's name.
    pub(crate) fn read() -> Result<Self, String> {
        let mut options = Self {
            sections: Vec::new(),
            rounds: 7,
            quick: false,
            other: env::var_os(OTHER).map(PathBuf::from),
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = |what: &str| arguments.next().ok_or(format!("{what} is missing"));
            match argument.as_str() {
                // Cargo says so to every bench.
                "--bench" => {}
                "--quick" => options.quick = true,
                "--rounds" => {
                    let text = value("the number of rounds")?;
                    let rounds = text.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds = rounds.ok_or(format!("`{text}` is no number of rounds"))?;
                }
                "--other" => options.other = Some(value("the path of the other library")?.into()),
                word if SECTIONS.iter().any(|(name, _)| *name == word) => {
                    options.sections.push(argument);
                }
                word => return Err(format!("`{word}` is neither a section nor an option")),
            }
        }
        match &options.other {
            Some(path) if !path.is_file() => {
                Err(format!("`{}` is not there; name a liblogtap.so", path.display()))
            }
            _ => Ok(options),
        }
    }

    /// Whether a section is asked for: all are where none is named.
    pub(crate) fn wants(&self, section: &str) -> bool {
        self.sections.is_empty() || self.sections.iter().any(|name| name == section)
    }
}

/// The words that the user may say.
pub(crate) fn usage() -> String {
    let sections: Vec<_> =
        SECTIONS.iter().map(|(name, text)| format!("  {name:<11} {text}\n")).collect();
    format!(
        "usage: cargo bench --bench preload -- [SECTION...] [--rounds N] [--quick] [--other LIBRARY]\n\
         sections (all where none is named):\n{}\
         --other, or {OTHER} in the environment: a liblogtap.so to compare with",
        sections.concat()
    )
}
