//! Which lines continue another: the lines of a stack trace, and what is indented below a line.
//!
//! A line follows the line before it in its stream (the lines with the same labels), whatever stands between them in
//! the capture, if it has no time and no level of its own, and is indented deeper or has a shape that stack traces have
//! in Java, Python, Go, Node, Ruby, .NET, Rust and PHP. A pure function of a message and of where its stream is; who
//! filters keeps a [`Context`] for each stream. Refuses to understand traces: what looks like none begins anew.

use logtap_loki::detect_level;
use memchr::memmem;

/// Where a stream is after a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    inside: Inside,
    /// Bytes of blanks before the line that the others follow.
    indentation: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    /// Of no trace.
    #[default]
    Nothing,
    /// Of a trace.
    Trace,
    /// Of one whose next line is its message, whatever that looks like.
    Announced,
    /// Of one of Python, which ends with the exception's name at the margin.
    Python,
    /// Of one of Go, whose functions stand at the margin.
    Go,
}

/// What a line is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It begins something of its own.
    Begins(Context),
    /// It continues what the stream's last lines are part of.
    Continues(Context),
}

impl Step {
    /// Where the stream is now.
    pub const fn context(self) -> Context {
        match self {
            Self::Begins(context) | Self::Continues(context) => context,
        }
    }
}

/// Whether a message continues its stream, which has been brought to `before` by its other lines. `names_level` says
/// whether the line has a level of its own; it is asked only where that matters.
pub fn step(message: &[u8], before: Context, names_level: impl FnOnce() -> bool) -> Step {
    let Some(blanks) = message.iter().position(|byte| !byte.is_ascii_whitespace()) else {
        // An empty line keeps a trace together, and is nothing to a line.
        return match before.inside {
            Inside::Nothing => Step::Begins(Context::default()),
            _ => Step::Continues(before),
        };
    };
    let text = message.get(blanks..).unwrap_or_default();
    let is_candidate =
        blanks > 0 || before.inside != Inside::Nothing || may_have_shape(text) || is_package(text);
    if is_candidate && !begins_with_time(text) {
        if let Some(inside) = shape(text, blanks > 0, before.inside) {
            return Step::Continues(Context { inside, ..before });
        }
        let deeper = blanks > usize::from(before.indentation);
        let follows = match before.inside {
            Inside::Nothing => deeper && !names_level(),
            Inside::Announced => deeper || !names_level(),
            Inside::Trace | Inside::Python | Inside::Go => deeper,
        };
        if follows {
            let inside = match before.inside {
                Inside::Announced => Inside::Trace,
                other => other,
            };
            return Step::Continues(Context { inside, ..before });
        }
    }
    Step::Begins(begin(message))
}

/// Whether a message may continue its stream at all, by a glance at its front as it stands in JSON. Most do not, and need
/// not be unescaped to know.
#[inline]
pub fn may_continue(escaped: &[u8], before: Context) -> bool {
    before.inside != Inside::Nothing
        || matches!(escaped.first(), None | Some(b' ' | b'\\'))
        || may_have_shape(escaped)
        || is_package(escaped)
}

/// Where a stream is after a line that begins something of its own.
pub fn begin(message: &[u8]) -> Context {
    let text = message.trim_ascii_start();
    let indentation = u8::try_from(message.len() - text.len()).unwrap_or(u8::MAX);
    Context { inside: opens(text), indentation }
}

/// Whether a line tells its own level: in its metadata, as they stand behind its message, or in its message.
pub fn names_level(metadata: &[u8], message: &[u8]) -> bool {
    level_of_metadata(metadata).is_some() || detect_level(message).is_some()
}

fn level_of_metadata(metadata: &[u8]) -> Option<logtap_loki::Level> {
    // `"}` is all there is behind most messages.
    if metadata.len() <= 2 {
        return None;
    }
    let name = b"level\":\"";
    let behind = metadata.get(memmem::find(metadata, name)? + name.len()..)?;
    detect_level(behind.split(|&byte| byte == b'"').next()?)
}

/// What a line of its own lets follow.
fn opens(text: &[u8]) -> Inside {
    match text.first() {
        Some(b'p') if text.starts_with(b"panic: ") => Inside::Go,
        Some(b'f') if text.starts_with(b"fatal error: ") => Inside::Go,
        Some(b'S') if text.starts_with(b"SIG") && text.contains(&b':') => Inside::Go,
        Some(b't') if text.starts_with(b"thread '") && text.ends_with(b":") => Inside::Announced,
        Some(b'E') if text.starts_with(b"Exception in thread ") => Inside::Trace,
        Some(b'U') if text.starts_with(b"Unhandled exception") => Inside::Trace,
        Some(b'P') if text.starts_with(b"PHP Fatal error: ") => Inside::Trace,
        Some(b'T') if text.starts_with(b"Traceback (most recent call last)") => Inside::Python,
        _ => Inside::Nothing,
    }
}

/// Whether a line at the margin may have a shape at all: most have not, and need no second look.
#[inline]
fn may_have_shape(text: &[u8]) -> bool {
    matches!(
        text,
        [b'a', b't', b' ', ..]
            | [b'#', b'0'..=b'9', ..]
            | [b'.' | b'-', b'.' | b'-', ..]
            | [b'C', b'a', b'u', ..]
            | [b'S', b'u' | b't', ..]
            | [b'T', b'r' | b'h', ..]
            | [b'g', b'o', b'r', ..]
            | [b'c', b'r', b'e', ..]
            | [b'D', b'u', b'r', ..]
            | [b'n', b'o', b't', b'e', ..]
            | [b's', b't', b'a', ..]
            | [b'P', b'H', b'P', ..]
            | [b'[', b's' | b'p', ..]
            | [b'F', b'i', b'l', ..]
            | [b't', b'h', b'r', ..]
    )
}

/// Whether a line may begin with a class in a package.
#[inline]
fn is_package(text: &[u8]) -> bool {
    let word = text.iter().take(16).position(|byte| !byte.is_ascii_lowercase());
    word.is_some_and(|at| at > 0 && text.get(at) == Some(&b'.'))
}

/// What a stream is inside of after a line, if only lines that continue another look like it.
fn shape(text: &[u8], indented: bool, inside: Inside) -> Option<Inside> {
    let starts = |front: &str| text.starts_with(front.as_bytes());
    let has = |part: &str| memmem::find(text, part.as_bytes()).is_some();
    let in_trace = if inside == Inside::Nothing { Inside::Trace } else { inside };
    match text.first()? {
        // Java, Node, .NET: `at com.acme.Shop.buy(Shop.java:17)`, `at async run (/app/x.js:1:2)`.
        b'a' if starts("at ") && (indented || (has("(") && text.ends_with(b")"))) => Some(in_trace),
        b'C' if starts("Caused by:") => Some(in_trace),
        b'S' if starts("Suppressed:") || starts("Stack trace:") => Some(in_trace),
        b's' if starts("stack backtrace:") => Some(in_trace),
        b'.' if starts("... ") && (has(" more") || has(" omitted") || has(" repeated")) => {
            Some(in_trace)
        }
        b'-' if starts("---> ") || starts("--- End of ") => Some(in_trace),
        // Python.
        b'T' if starts("Traceback (most recent call last)") => Some(Inside::Python),
        b'T' if starts("The above exception was ") => Some(Inside::Python),
        b'D' if starts("During handling of the above exception") => Some(Inside::Python),
        b'F' if starts("File \"") && has("line ") => Some(Inside::Python),
        // Go.
        b'g' if starts("goroutine ") && has(" [") => Some(Inside::Go),
        b'c' if starts("created by ") => Some(in_trace),
        b'[' if inside == Inside::Go && starts("[signal ") => Some(Inside::Go),
        b'e' if inside == Inside::Go && starts("exit status ") => Some(Inside::Go),
        // Ruby: `from app.rb:12:in 'run'`.
        b'f' if indented && starts("from ") && has(":in ") => Some(in_trace),
        // Rust.
        b'n' if starts("note: ") && has("RUST_BACKTRACE") => Some(in_trace),
        // PHP: `#0 /srv/a.php(12): f()`, `PHP   1. {main}() /srv/a.php:0`, `thrown in`.
        b'#' if is_numbered(text.get(1..)?, b" ") && (has("(") || has("{main}")) => Some(in_trace),
        b'P' if starts("PHP Stack trace:") => Some(in_trace),
        b'P' if starts("PHP  ") && is_numbered(text.get(3..)?.trim_ascii_start(), b". ") => {
            Some(in_trace)
        }
        b't' if starts("thrown in ") => Some(in_trace),
        b'[' if starts("[stacktrace]") || starts("[previous exception]") => Some(in_trace),
        _ if inside == Inside::Python && !indented && is_exception(text) => Some(Inside::Trace),
        // Java writes the exception's name below the line that tells what failed.
        _ if !indented && is_exception_of_java(text) => Some(in_trace),
        _ if inside == Inside::Go && !indented && is_call(text) => Some(Inside::Go),
        _ => None,
    }
}

/// A number and what stands behind it.
fn is_numbered(text: &[u8], behind: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=4).contains(&digits) && text.get(digits..).is_some_and(|rest| rest.starts_with(behind))
}

/// `requests.exceptions.Timeout: read timed out`, `KeyboardInterrupt`.
fn is_exception(text: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let length = text.iter().take_while(|byte| is_name(byte)).count();
    let (name, behind) = text.split_at(length);
    let last = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let is_class = last.first().is_some_and(u8::is_ascii_uppercase);
    is_class && (behind.is_empty() || behind.starts_with(b": ") || behind == b":")
}

/// `java.lang.IllegalStateException: no stock`.
fn is_exception_of_java(text: &[u8]) -> bool {
    let name = text.split(|byte| *byte == b':').next().unwrap_or_default();
    let ends = |end: &[u8]| name.ends_with(end);
    (ends(b"Exception") || ends(b"Error") || ends(b"Throwable"))
        && name.contains(&b'.')
        && is_exception(text)
}

/// `main.(*Shop).Buy(0xc000012345, {0x1, 0x2})`.
fn is_call(text: &[u8]) -> bool {
    let name = text.iter().position(|byte| matches!(byte, b' ' | b'('));
    name.is_some_and(|at| at > 0 && text.get(at) == Some(&b'(')) && text.ends_with(b")")
}

/// `2026-01-15`, `2026/01/15`, `10:19:59`, also in brackets.
fn begins_with_time(text: &[u8]) -> bool {
    let text = match text {
        [b'[' | b'(' | b'<', rest @ ..] => rest,
        _ => text,
    };
    let pattern = |pattern: &[u8]| {
        text.len() >= pattern.len()
            && pattern.iter().zip(text).all(|(wanted, byte)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'-' => matches!(byte, b'-' | b'/'),
                other => other == byte,
            })
    };
    text.first().is_some_and(u8::is_ascii_digit) && (pattern(b"0000-00-00") || pattern(b"00:00:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which lines continue another: `+` does, `.` does not.
    fn marks(text: &str) -> String {
        let mut context = Context::default();
        text.lines()
            .map(|line| {
                let step = step(line.as_bytes(), context, || names_level(b"\"}", line.as_bytes()));
                context = step.context();
                if matches!(step, Step::Continues(_)) { '+' } else { '.' }
            })
            .collect()
    }

    #[test]
    fn a_trace_of_java_continues_its_head() {
        let text = "ERROR order 4711 failed
java.lang.IllegalStateException: no stock
\tat com.acme.Shop.buy(Shop.java:17)
\tat com.acme.Error.main(Main.java:9) ~[app.jar:1.0]
\tSuppressed: java.io.IOException: ERROR closing
Caused by: java.sql.SQLException: error: no connection
\tat org.db.Pool.get(Pool.java:3)
\t... 12 more
    ... 3 common frames omitted
at com.acme.Trimmed.line(Trimmed.java:1)
INFO next";
        assert_eq!(marks(text), ".+++++++++.");
        assert_eq!(
            marks("Exception in thread \"main\" java.lang.Error: x\n\tat a.B.c(B.java:1)"),
            ".+"
        );
    }

    #[test]
    fn a_trace_of_python_continues_its_head_to_the_exceptions_name() {
        let text = "ERROR:root:failed
Traceback (most recent call last):
  File \"/app/a.py\", line 3, in f
    raise Error(\"debug: info\")
    ~~~~~^^^^
ValueError: bad value

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"/app/a.py\", line 9, in <module>
    f()
requests.exceptions.Timeout: error
INFO:root:next";
        assert_eq!(marks(text), ".++++++++++++.");
        assert_eq!(
            marks("Traceback (most recent call last):\n  File \"x\", line 1\nKeyboardInterrupt\nx"),
            "+++."
        );
    }

    #[test]
    fn a_trace_of_go_continues_its_panic() {
        let text = "panic: runtime error: index out of range [3]
[signal SIGSEGV: segmentation violation]

goroutine 1 [running]:
main.(*Shop).Buy(0xc000012345, {0x1, 0x2})
\t/app/main.go:17 +0x1d
created by main.main in goroutine 1
\t/app/main.go:9 +0x25
exit status 2
started";
        assert_eq!(marks(text), ".++++++++.");
    }

    #[test]
    fn traces_of_the_others_continue_their_heads() {
        for (text, expected) in [
            (
                "TypeError: x is no function\n    at buy (/app/shop.js:3:9)\n    at async /app/a.js:1:2\n\nNode.js v22",
                ".+++.",
            ),
            (
                "app.rb:3:in 'buy': no stock (RuntimeError)\n\tfrom app.rb:9:in '<main>'\ndone",
                ".+.",
            ),
            (
                "Unhandled exception. System.Error: x\n ---> System.IO.IOException: error\n   at A.B() in /a.cs:line 3\n   --- End of inner exception stack trace ---\n--- End of stack trace from previous location ---\nok",
                ".++++.",
            ),
            (
                "thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds: the len is 3\nstack backtrace:\n   0: std::panicking\n             at /rustc/1/a.rs:1:2\nnote: run with `RUST_BACKTRACE=full`\nINFO x",
                ".+++++.",
            ),
            (
                "PHP Fatal error:  Uncaught Exception: x in /a.php:3\nStack trace:\n#0 /a.php(9): f()\n#1 {main}\n  thrown in /a.php on line 3\nPHP Stack trace:\nPHP   1. {main}() /a.php:0\nok",
                ".++++++.",
            ),
        ] {
            assert_eq!(marks(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_indented_deeper_follows_unless_it_has_a_level_or_a_time() {
        for (text, expected) in [
            ("query failed:\n  select 1\n    from t\nnext", ".++."),
            ("a\n  WARN b\n   c", "..+"),
            ("a\n  2026-01-15 10:00:00 b\n  [10:19:59] c\n   d", "...+"),
            ("  a\n  b\n  c", "+++"),
            ("x\n\n  y", "..+"),
            ("at noon (local)x\ngoroutines: 3\n... \n#1 hit\na.b: 1\nx.Error", ".....+"),
        ] {
            assert_eq!(marks(text), expected, "{text}");
        }
        let before = begin(b"  a");
        let step = step(b"  b", before, || false);
        assert_eq!(step, Step::Begins(before), "of a list none follows another");
    }

    #[test]
    fn a_level_in_metadata_is_a_level_of_its_own() {
        assert!(names_level(br#"","meta":{"detected_level":"error"}}"#, b"x"));
        assert!(!names_level(br#"","meta":{"detected_level":"unknown"}}"#, b"x"));
        assert!(!names_level(br#"","meta":{"pid":"1"}}"#, b"x"));
        assert!(names_level(b"\"}", b"WARN x"));
    }
}
