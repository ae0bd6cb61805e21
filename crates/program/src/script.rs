//! Follows a `#!` line to the program that will really run.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::ProgramError;
use crate::search::{self, SearchError};

/// The kernel looks no further for the end of a `#!` line.
const LINE_LIMIT: usize = 256;

/// execvp gives a file that the kernel does not know to this shell.
const SHELL: &str = "/bin/sh";

/// The file that runs a script.
pub(crate) fn interpreter(
    file: &File,
    path: &Path,
    search_path: &OsStr,
) -> Result<PathBuf, ProgramError> {
    let mut buffer = [0; LINE_LIMIT];
    let length = file
        .read_at(&mut buffer, 0)
        .map_err(|source| ProgramError::Unreadable { path: path.to_path_buf(), source })?;
    match parse(&buffer[..length]) {
        None => Ok(SHELL.into()),
        Some(Line { interpreter, argument }) => {
            let name =
                argument.filter(|_| is_env(&interpreter)).and_then(|text| command_of_env(&text));
            match name {
                None => Ok(interpreter.into()),
                Some(name) => search::find(&name, search_path).map_err(|error| match error {
                    SearchError::NotFound(name) => ProgramError::NotFound(name.into()),
                    SearchError::NotExecutable(path) => ProgramError::NotExecutable(path),
                }),
            }
        }
    }
}

/// A `#!` line, cut as the kernel cuts it: the interpreter and all the rest as one argument.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    interpreter: OsString,
    argument: Option<OsString>,
}

fn parse(beginning: &[u8]) -> Option<Line> {
    let line = beginning.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let (interpreter, argument) = match line.iter().position(blank) {
        Some(end) => (&line[..end], line[end..].trim_ascii()),
        None => (line, &b""[..]),
    };
    (!interpreter.is_empty()).then(|| Line {
        interpreter: OsStr::from_bytes(interpreter).to_owned(),
        argument: (!argument.is_empty()).then(|| OsStr::from_bytes(argument).to_owned()),
    })
}

fn is_env(interpreter: &OsStr) -> bool {
    Path::new(interpreter).file_name() == Some(OsStr::new("env"))
}

/// The command in env's argument: `NAME`, or with `-S` the first word that is no option and no
/// assignment. Quoting inside `-S` is left to env: such a word is not found and env itself is
/// examined by whoever runs it.
fn command_of_env(argument: &OsStr) -> Option<OsString> {
    let text = argument.as_bytes();
    let Some(rest) = text.strip_prefix(b"-S").or_else(|| text.strip_prefix(b"--split-string="))
    else {
        // Without -S the kernel hands over one word, blanks and all.
        return (text.first() != Some(&b'-')).then(|| argument.to_owned());
    };
    rest.split(u8::is_ascii_whitespace)
        .find(|word| !word.is_empty() && word[0] != b'-' && !word.contains(&b'='))
        .map(|word| OsStr::from_bytes(word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(interpreter: &str, argument: Option<&str>) -> Option<Line> {
        Some(Line { interpreter: interpreter.into(), argument: argument.map(Into::into) })
    }

    #[test]
    fn lines_are_cut_as_the_kernel_does() {
        assert_eq!(parse(b"#!/bin/sh\necho"), line("/bin/sh", None));
        assert_eq!(parse(b"#! /bin/sh -e -u \n"), line("/bin/sh", Some("-e -u")));
        assert_eq!(parse(b"#!\t/usr/bin/env\tpython3"), line("/usr/bin/env", Some("python3")));
        assert_eq!(parse(b"#!\n"), None);
        assert_eq!(parse(b"echo hello\n"), None);
    }

    #[test]
    fn env_names_the_real_interpreter() {
        let command = |text: &str| command_of_env(OsStr::new(text));
        assert_eq!(command("python3"), Some("python3".into()));
        assert_eq!(command("-S FOO=1 python3 -u"), Some("python3".into()));
        assert_eq!(command("-S -i perl -w"), Some("perl".into()));
        assert_eq!(command("-i"), None);
    }
}
