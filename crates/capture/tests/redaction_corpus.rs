//! Holds redaction to a corpus: what must go and what must stay, of every pattern, and to the table that
//! `docs/redaction.md` shows of it.
//!
//! One file a pattern, one case a line: `gone`, a text and what must not be left of it, or `stays` and a text; with tabs
//! between them and `␤` where a line ends. Cases that redaction is known to fail stay in the corpus, and in the table.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use logtap_capture::Redactor;
use logtap_capture::redact::{Pattern, Patterns};

/// What becomes of a text of lines.
fn redact(redactor: &Redactor, text: &str) -> String {
    let mut lines = redactor.lines();
    let out = text.split('\u{2424}').map(|line| match lines.redact(line.as_bytes(), |_| {}) {
        Some(text) => String::from_utf8(text).unwrap(),
        None => line.to_owned(),
    });
    out.collect::<Vec<_>>().join("\u{2424}")
}

#[test]
fn the_corpus_goes_and_stays_as_the_table_of_the_documents_says() {
    let redactor = Redactor::new(Patterns::ALL, None);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut table, mut failed) = (String::new(), String::new());
    let (mut caught, mut missed, mut stayed, mut wrong) = (0, 0, 0, 0);
    for pattern in Pattern::ALL {
        let path = directory.join(format!("tests/redaction/{pattern}.tsv"));
        let text = fs::read_to_string(&path).unwrap();
        let mut row = [0; 4];
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let place = match fields[..] {
                ["gone", text, gone] => usize::from(redact(&redactor, text).contains(gone)),
                ["stays", text] => 2 + usize::from(redact(&redactor, text) != text),
                _ => panic!("{}: {line}", path.display()),
            };
            row[place] += 1;
            if place % 2 == 1 {
                writeln!(failed, "{pattern}: {line}\n    {}", redact(&redactor, fields[1]))
                    .unwrap();
            }
        }
        let [row_caught, row_missed, row_stayed, row_wrong] = row;
        writeln!(
            table,
            "| `{pattern}` | {row_caught} | {row_missed} | {row_stayed} | {row_wrong} |"
        )
        .unwrap();
        caught += row_caught;
        missed += row_missed;
        stayed += row_stayed;
        wrong += row_wrong;
    }
    writeln!(table, "| together | {caught} | {missed} | {stayed} | {wrong} |").unwrap();
    assert!(caught + missed >= 400 && stayed + wrong >= 400, "{table}");
    let documents = fs::read_to_string(directory.join("../../docs/redaction.md")).unwrap();
    assert!(
        documents.contains(&table),
        "the table of docs/redaction.md is\n{table}\nthese fail:\n{failed}"
    );
}
