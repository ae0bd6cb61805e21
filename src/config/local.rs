//! What a configuration file of the current directory may say.
//!
//! It is of whoever made the directory, not of the user: what it changes is told at the start, and what the
//! user's own file, a variable or a flag asks for in redaction, address and webhooks it cannot weaken.
//! Credentials of the user go to no address that such a file names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use logtap_recv::redact::Patterns;

use super::Values;

/// Where something is asked for, beside the file of the directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// The values of the user's own file.
    pub(super) home: BTreeMap<&'static str, Values>,
    /// The keys whose flags or variables are given.
    pub(super) given: Vec<&'static str>,
    /// Whether webhooks get credentials.
    pub(super) has_webhook_auth: bool,
}

/// What is left of the values of the directory's file, and what to tell about it.
pub(super) fn follow(
    local: BTreeMap<&'static str, Values>,
    asked: &Asked,
) -> (BTreeMap<&'static str, Values>, Vec<String>) {
    let mut notes = Vec::new();
    let mut followed = BTreeMap::new();
    for (key, values) in local {
        // What is nearer to the command wins anyway.
        if asked.given.contains(&key) || asked.home.get(key) == Some(&values) {
            continue;
        }
        let shown = shown(key, &values);
        match why_not(key, &values, asked) {
            None => {
                notes.push(format!("./.logtap.yaml sets `{key}` to `{shown}`"));
                followed.insert(key, values);
            }
            Some(reason) => notes.push(format!(
                "warning: ./.logtap.yaml sets `{key}` to `{shown}`, which is not followed: {reason}"
            )),
        }
    }
    (followed, notes)
}

/// Why a value is not followed, if it is not.
fn why_not(key: &str, values: &Values, asked: &Asked) -> Option<&'static str> {
    let has = |key: &str| asked.home.contains_key(key) || asked.given.contains(&key);
    match key {
        "recv.redact" => {
            let home = asked.home.get(key)?;
            let parse = |values: &Values| Patterns::parse(&values.join(","));
            // What cannot be read is named where the flag is looked at.
            let (Ok(home), Ok(local)) = (parse(home), parse(values)) else { return None };
            let is_less = home.iter().any(|pattern| !local.has(pattern));
            is_less.then_some("~/.logtap/config.yaml has more taken out")
        }
        "recv.redact_patterns" => has(key).then_some("~/.logtap/config.yaml names the patterns"),
        "recv.addr" => {
            let opens = values.iter().any(|address| !is_of_this_machine(address));
            (has(key) && opens).then_some("~/.logtap/config.yaml says who can send")
        }
        "recv.webhooks" if has(key) => Some("~/.logtap/config.yaml says who is told"),
        "recv.webhooks" if asked.has_webhook_auth => {
            Some("its addresses would get what --webhook-auth says; name them by --webhook")
        }
        "recv.webhook_events" if has(key) || has("recv.webhooks") => {
            Some("it would keep notices from those who are to be told")
        }
        _ => None,
    }
}

/// Whether an address is one where only this machine can send.
fn is_of_this_machine(address: &str) -> bool {
    let Some((host, _)) = address.rsplit_once(':') else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A value as it may be told: of a webhook its host, for there may be a secret in the rest.
fn shown(key: &str, values: &Values) -> String {
    let host = |url: &String| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}/...")
    };
    let text = match key {
        "recv.webhooks" => values.iter().map(host).collect::<Vec<_>>().join(", "),
        _ => values.join(", "),
    };
    // It is somebody else's text on this terminal.
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&'static str, &str)]) -> BTreeMap<&'static str, Values> {
        pairs.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect()
    }

    /// Whether a value is followed where the user's own file has others.
    fn is_followed(key: &'static str, value: &str, home: &[(&'static str, &str)]) -> bool {
        let asked = Asked { home: values(home), ..Asked::default() };
        let (followed, notes) = follow(values(&[(key, value)]), &asked);
        assert_eq!(notes.len(), 1, "it is told in any case");
        assert_eq!(notes[0].contains("not followed"), followed.is_empty(), "{notes:?}");
        !followed.is_empty()
    }

    #[test]
    fn nothing_that_the_user_asks_for_is_weakened() {
        for (key, value, home) in [
            ("recv.redact", "false", [("recv.redact", "true")]),
            ("recv.redact", "email", [("recv.redact", "email,ssn")]),
            ("recv.redact_patterns", "mine.yaml", [("recv.redact_patterns", "ours.yaml")]),
            ("recv.addr", ":9000", [("recv.addr", "127.0.0.1:9000")]),
            ("recv.addr", "0.0.0.0:9000", [("recv.addr", "10.0.0.1:9000")]),
            ("recv.webhooks", "http://elsewhere/", [("recv.webhooks", "http://ours/")]),
            ("recv.webhook_events", "stop", [("recv.webhooks", "http://ours/")]),
            ("recv.webhook_events", "stop", [("recv.webhook_events", "stop,start")]),
        ] {
            assert!(!is_followed(key, value, &home), "{key}: {value}");
            assert!(is_followed(key, value, &[]), "nothing is asked for: {key}: {value}");
        }
        for (key, value, home) in [
            ("recv.redact", "true", [("recv.redact", "email")]),
            ("recv.redact", "ssn,email,iban", [("recv.redact", "email,ssn")]),
            ("recv.addr", "127.0.0.1:9000", [("recv.addr", "0.0.0.0:3100")]),
            ("recv.addr", "[::1]:9000", [("recv.addr", "127.0.0.1:3100")]),
            ("recv.addr", "localhost:9000", [("recv.addr", "127.0.0.1:3100")]),
            ("recv.dir", "there", [("recv.dir", "here")]),
        ] {
            assert!(is_followed(key, value, &home), "{key}: {value}");
        }
    }

    #[test]
    fn flags_win_and_their_credentials_stay_here() {
        let asked =
            Asked { given: vec!["recv.redact"], has_webhook_auth: true, ..Asked::default() };
        let url = "http://me:secret@elsewhere:80/token?x";
        let local = values(&[("recv.redact", "false"), ("recv.webhooks", url)]);
        let (followed, notes) = follow(local, &asked);
        assert!(followed.is_empty() && notes.len() == 1, "{notes:?}");
        assert!(
            notes[0].contains("--webhook-auth") && notes[0].contains("http://elsewhere:80/...")
        );
        assert!(!notes[0].contains("secret") && !notes[0].contains("token"), "{notes:?}");
        let given = vec!["recv.webhooks"];
        let (followed, _) = follow(
            values(&[("recv.webhook_events", "stop")]),
            &Asked { given, ..Asked::default() },
        );
        assert!(followed.is_empty(), "who is told by a flag is told of everything");
    }
}
