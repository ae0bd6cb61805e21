//! The dynamic symbols of the shipped library. It is loaded into programs with any libc or none, so
//! it needs no other library and no symbol that might be missing, and offers nothing but its hooks.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::aarch64;
use crate::support::machine::require;
use crate::support::workspace::library;

fn readelf(library: &Path, arguments: &[&str]) -> Option<String> {
    let readelf = require("readelf")?;
    let output = Command::new(readelf).args(arguments).arg(library).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("readelf writes text"))
}

/// Binding, section and name of each dynamic symbol.
fn symbols(library: &Path) -> Option<Vec<(String, String, String)>> {
    let table = readelf(library, &["--wide", "--dyn-syms"])?;
    let symbols: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() == 8 && words[0].ends_with(':') && words[0] != "Num:")
        // Sections have entries of their own on some architectures; nobody can ask for them.
        .filter(|words| words[3] != "SECTION")
        .map(|words| (words[4].to_owned(), words[6].to_owned(), words[7].to_owned()))
        .collect();
    assert!(symbols.len() > 10, "{table}");
    Some(symbols)
}

fn needs_no_library_and_no_symbol(library: &Path) {
    let dynamic = readelf(library, &["--wide", "--dynamic"]);
    let (Some(dynamic), Some(symbols)) = (dynamic, symbols(library)) else { return };
    assert!(!dynamic.contains("(NEEDED)"), "{dynamic}");
    for tag in ["(HASH)", "(GNU_HASH)", "NODELETE"] {
        assert!(dynamic.contains(tag), "no {tag} in {dynamic}");
    }
    for (binding, section, name) in symbols {
        assert!(section != "UND" || binding == "WEAK", "`{name}` must be there for it to load");
        assert!(!name.contains('@'), "`{name}` has a version");
    }
}

fn has_no_thread_local_storage(library: &Path) {
    let Some(headers) = readelf(library, &["--wide", "--program-headers"]) else { return };
    assert!(!headers.lines().any(|line| line.trim_start().starts_with("TLS")), "{headers}");
}

/// Less would not load everywhere; more costs every program that starts some calls of its loader.
fn is_laid_out_for_the_largest_page_of_its_architecture(library: &Path) {
    let Some(headers) = readelf(library, &["--wide", "--file-header", "--program-headers"]) else {
        return;
    };
    let largest = if headers.contains("AArch64") { " 0x10000" } else { " 0x1000" };
    let mut loads = headers.lines().filter(|line| line.trim_start().starts_with("LOAD")).peekable();
    assert!(loads.peek().is_some(), "{headers}");
    assert!(loads.all(|line| line.ends_with(largest)), "{headers}");
}

/// What stands in front of the libc's own. An addition here is an addition to every tapped program.
fn offers_only_its_hooks(library: &Path) {
    let Some(symbols) = symbols(library) else { return };
    let offered: BTreeSet<String> = symbols
        .into_iter()
        .filter(|(_, section, _)| section != "UND")
        .map(|(_, _, name)| name)
        .collect();
    let golden = include_str!("symbols.golden");
    let golden: BTreeSet<String> = golden.lines().map(str::to_owned).collect();
    let added: Vec<_> = offered.difference(&golden).collect();
    let missing: Vec<_> = golden.difference(&offered).collect();
    assert!(added.is_empty() && missing.is_empty(), "added: {added:?}, missing: {missing:?}");
}

macro_rules! each_architecture {
    ($($question:ident)*) => {$(
        mod $question {
            #[test]
            fn on_this_machine() {
                super::$question(std::path::Path::new(&super::library()));
            }

            #[test]
            fn on_aarch64() {
                if let Some(library) = super::aarch64::library() {
                    super::$question(&library);
                }
            }
        }
    )*};
}

each_architecture! {
    needs_no_library_and_no_symbol
    has_no_thread_local_storage
    is_laid_out_for_the_largest_page_of_its_architecture
    offers_only_its_hooks
}
