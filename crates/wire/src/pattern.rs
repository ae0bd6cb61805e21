//! Which files to tap: a `:` list of paths and globs, matched against absolute paths.
//!
//! `*` and `?` stay within one path component, `**` crosses them, `[abc]`, `[a-z]` and `[!a]` match one
//! byte, `\` takes the next byte literally (so `\:` is a colon). The same rules hold in the
//! library and in the collector's follower, since both use this file.

/// The patterns of a `:` list.
pub fn split(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    core::iter::from_fn(move || {
        let list = rest?;
        let mut at = 0;
        while at < list.len() {
            match list[at] {
                b'\\' => at += 2,
                b':' => break,
                _ => at += 1,
            }
        }
        let at = at.min(list.len());
        rest = list.get(at + 1..);
        Some(&list[..at])
    })
    .filter(|pattern| !pattern.is_empty())
}

/// Whether a pattern can match any path at all: paths are absolute.
pub fn can_match(pattern: &[u8]) -> bool {
    let stars = pattern.iter().take_while(|&&byte| byte == b'*').count();
    let rest = &pattern[stars..];
    // A set may hold the slash.
    stars >= 2 || matches!(rest.first(), Some(b'/' | b'[')) || rest.starts_with(b"\\/")
}

/// Whether any pattern of a `:` list matches the path.
pub fn any_matches(list: &[u8], path: &[u8]) -> bool {
    split(list).any(|pattern| matches(pattern, path))
}

/// Whether one pattern matches the whole path.
///
/// Takes at most `pattern.len() * path.len()` steps and no stack that grows with its input.
pub fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where to go on when the present try fails: after the last star, one byte further in the path.
    let mut retry: Option<(usize, usize, bool)> = None;
    let mut outer: Option<(usize, usize)> = None;
    loop {
        let step = if at == pattern.len() {
            if from == path.len() { return true } else { None }
        } else if pattern[at] == b'*' {
            let deep = pattern.get(at + 1) == Some(&b'*');
            at += if deep { 2 } else { 1 };
            retry = Some((at, from, deep));
            if deep {
                outer = Some((at, from));
            }
            continue;
        } else {
            path.get(from).and_then(|&byte| one(&pattern[at..], byte))
        };
        if let Some(taken) = step {
            at += taken;
            from += 1;
            continue;
        }
        match retry {
            Some((after, start, deep)) if start < path.len() && (deep || path[start] != b'/') => {
                (at, from) = (after, start + 1);
                retry = Some((after, start + 1, deep));
                if deep {
                    outer = Some((after, start + 1));
                }
            }
            // A single star cannot cross a slash: let the `**` before it take one byte more.
            Some((_, _, false)) if outer.is_some_and(|(_, start)| start < path.len()) => {
                let Some((after, start)) = outer else { return false };
                (at, from) = (after, start + 1);
                outer = Some((after, start + 1));
                retry = Some((after, start + 1, true));
            }
            _ => return false,
        }
    }
}

/// Whether a pattern has a wildcard.
pub fn is_glob(pattern: &[u8]) -> bool {
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            b'\\' => at += 2,
            b'*' | b'?' | b'[' => return true,
            _ => at += 1,
        }
    }
    false
}

/// Matches one element of a pattern against a byte; how many bytes of the pattern that took.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern[0] {
        b'?' => (byte != b'/').then_some(1),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        b'[' => match set(pattern, byte) {
            Some((true, taken)) => Some(taken),
            Some((false, _)) => None,
            // An unclosed bracket is itself.
            None => (byte == b'[').then_some(1),
        },
        literal => (literal == byte).then_some(1),
    }
}

/// A `[...]` set: whether it holds the byte and how long it is.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let mut at = first;
    let mut found = false;
    loop {
        let low = *pattern.get(at)?;
        if low == b']' && at > first {
            return Some((byte != b'/' && found != negated, at + 1));
        }
        let (high, taken) = match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => (high, 3),
            _ => (low, 1),
        };
        found |= (low..=high).contains(&byte);
        at += taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        split(text.as_bytes()).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }

    #[test]
    fn a_list_splits_at_colons_that_are_not_escaped() {
        assert_eq!(list("/a:/b"), ["/a", "/b"]);
        assert_eq!(list(r"/a\:b::/c:"), [r"/a\:b", "/c"]);
        assert_eq!(list(r"/a\"), [r"/a\"]);
        assert!(list("").is_empty());
    }

    #[test]
    fn globs_match_as_a_shell_would() {
        for (pattern, path, expected) in [
            ("/var/log/app.log", "/var/log/app.log", true),
            ("/var/log/app.log", "/var/log/app.log.1", false),
            ("/var/log/*.log", "/var/log/app.log", true),
            ("/var/log/*.log", "/var/log/x/app.log", false),
            ("/var/**/*.log", "/var/log/x/app.log", true),
            ("/var/**.log", "/var/log/x/app.log", true),
            ("/**/a/*/b", "/x/a/y/z/a/q/b", true),
            ("/l?g/[ab]-[0-9][!x]", "/log/b-7y", true),
            ("/l?g/[ab]-[0-9][!x]", "/log/b-7x", false),
            ("/a?b", "/a/b", false),
            ("/a[!x]b", "/a/b", false),
            ("/a[b", "/a[b", true),
            ("/[]]", "/]", true),
            (r"/a\:b\*", "/a:b*", true),
            ("*", "a", true),
            ("", "", true),
            ("/a*", "/a", true),
            ("/a*b*c", "/axxbyybzzc", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_path_matches_itself_escaped(path in "[a-z/*?:\\[\\]\\\\]{0,20}") {
            let escaped: String = path.chars().flat_map(|c| ['\\', c]).collect();
            proptest::prop_assert!(matches(escaped.as_bytes(), path.as_bytes()));
        }

        #[test]
        fn any_pattern_ends(pattern in "[ab*/?\\[\\]!-]{0,12}", path in "[ab/]{0,12}") {
            let _ = matches(pattern.as_bytes(), path.as_bytes());
            proptest::prop_assert_eq!(matches(b"**", path.as_bytes()), true);
        }
    }
}
