//! Who a push says it comes from, and whom it trusts: the flags that `logtap-collector`, `logtap collector` and
//! `logtap run --to` share.
//!
//! They are looked at only where something is pushed over HTTP, and whole: a variable of the environment that is set
//! for another program disturbs nobody who does not push. Refuses to go on without what was asked for: no push leaves
//! without the token that somebody gave.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use reqwest::header::HeaderValue;

use crate::error::CollectorError;
use crate::sinks::{Auth, ClientCertificate, LokiConfig};

/// Longest token or password in a file, in bytes.
const LONGEST_SECRET: u64 = 64 << 10;

/// How a push gets in where not everybody may push.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Access to the address of --to")]
struct Flags {
    /// Tenant, sent as X-Scope-OrgID
    #[arg(long, value_name = "ID", env = "LOGTAP_TENANT")]
    tenant: Option<String>,
    /// User for basic authentication, with a password in LOGTAP_PASSWORD or --password-file
    #[arg(long, value_name = "NAME", env = "LOGTAP_USER")]
    user: Option<String>,
    /// Password of --user; better given as LOGTAP_PASSWORD, because others can read a command line
    #[arg(long, value_name = "PASSWORD", env = "LOGTAP_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// File with the password of --user
    #[arg(long, value_name = "FILE", env = "LOGTAP_PASSWORD_FILE", value_parser = path())]
    password_file: Option<PathBuf>,
    /// File with a bearer token
    #[arg(long, value_name = "FILE", env = "LOGTAP_TOKEN_FILE", value_parser = path())]
    token_file: Option<PathBuf>,
    /// File with certificates in PEM form to trust beside the system's
    #[arg(long, value_name = "FILE", env = "LOGTAP_CA", value_parser = path())]
    ca: Option<PathBuf>,
    /// File with a certificate of our own in PEM form, for servers that ask for one; with --client-key
    #[arg(long, value_name = "FILE", env = "LOGTAP_CLIENT_CERT", value_parser = path())]
    client_cert: Option<PathBuf>,
    /// File with the private key of --client-cert, in PEM form
    #[arg(long, value_name = "FILE", env = "LOGTAP_CLIENT_KEY", value_parser = path())]
    client_key: Option<PathBuf>,
}

/// The flags, and which of them stand on the command line.
#[derive(Clone, Default)]
pub struct AccessArgs {
    flags: Flags,
    typed: Vec<String>,
}

/// A variable that is set to nothing is as good as none, so that nothing is a value here.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

impl std::fmt::Debug for AccessArgs {
    /// Shows no secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessArgs").field("typed", &self.typed).finish_non_exhaustive()
    }
}

impl FromArgMatches for AccessArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut typed = Vec::new();
        for argument in Flags::augment_args(Command::new("")).get_arguments() {
            let id = argument.get_id().as_str();
            let flag = format!("--{}", argument.get_long().unwrap_or(id));
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            if matches.get_raw(id).is_some_and(|mut values| values.any(OsStr::is_empty)) {
                let value = argument.get_value_names().and_then(|names| names.first());
                let shown = value.map_or(String::new(), |value| format!(" <{value}>"));
                let mut error = clap::Error::new(ErrorKind::InvalidValue);
                error.insert(ContextKind::InvalidArg, ContextValue::String(flag + &shown));
                error.insert(ContextKind::InvalidValue, ContextValue::String(String::new()));
                return Err(error);
            }
            typed.push(flag);
        }
        Ok(Self { flags: Flags::from_arg_matches(matches)?, typed })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for AccessArgs {
    fn augment_args(command: Command) -> Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args_for_update(command)
    }
}

impl AccessArgs {
    /// One of them that somebody typed: where nothing is pushed, that is a mistake.
    pub fn typed(&self) -> Option<&str> {
        self.typed.first().map(String::as_str)
    }

    /// Puts them into a sink's configuration. Reads the files with secrets.
    pub fn apply(&self, loki: &mut LokiConfig) -> Result<(), CollectorError> {
        let Flags {
            tenant,
            user,
            password,
            password_file,
            token_file,
            ca,
            client_cert,
            client_key,
        } = &self.flags;
        let [tenant, user, password] = [tenant, user, password].map(|text| given(text.as_ref()));
        let [password_file, token_file] =
            [password_file, token_file].map(|path| given(path.as_ref()));
        if let Some(tenant) = tenant {
            check_header(tenant, || format!("`{}` is no tenant", tenant.escape_debug()))?;
        }
        loki.tenant = tenant.cloned();
        loki.ca = given(ca.as_ref()).cloned();
        loki.certificate = match (given(client_cert.as_ref()), given(client_key.as_ref())) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some(ClientCertificate { certificate: certificate.clone(), key: key.clone() })
            }
            (Some(_), None) => return Err(pair("client-cert", "client-key")),
            (None, Some(_)) => return Err(pair("client-key", "client-cert")),
        };
        let password = match (password, password_file) {
            (Some(_), Some(_)) => return Err(both("password", "password-file")),
            (Some(password), None) => Some(("password", password.clone())),
            (None, Some(path)) => Some(("password-file", line_of(path, "password")?)),
            (None, None) => None,
        };
        match (user, password, token_file) {
            (Some(_), _, Some(_)) => return Err(both("user", "token-file")),
            (Some(user), Some((_, password)), None) => {
                loki.auth = Auth::Basic { user: user.clone(), password };
            }
            (Some(_), None, None) => {
                return Err(CollectorError::Access {
                    reason: format!("{} needs a password", named("user")),
                    remedy: "put it into LOGTAP_PASSWORD, or into a file with --password-file",
                });
            }
            (None, Some((flag, _)), _) => return Err(pair(flag, "user")),
            (None, None, Some(path)) => {
                let token = line_of(path, "token")?.trim().to_owned();
                check_header(&token, || format!("there is no token in `{}`", path.display()))?;
                loki.auth = Auth::Bearer(token);
            }
            (None, None, None) => {}
        }
        Ok(())
    }
}

/// What was given, unless it is nothing.
fn given<T: AsRef<OsStr>>(value: Option<&T>) -> Option<&T> {
    value.filter(|value| !value.as_ref().is_empty())
}

/// A flag with its variable: nobody need have typed it.
fn named(flag: &str) -> String {
    format!("`--{flag}` (or LOGTAP_{})", flag.to_uppercase().replace('-', "_"))
}

fn pair(one: &str, other: &str) -> CollectorError {
    let reason = format!("{} is nothing without {}", named(one), named(other));
    CollectorError::Access { reason, remedy: "give both or none of them" }
}

fn both(one: &str, other: &str) -> CollectorError {
    let reason = format!("{} cannot be used together with {}", named(one), named(other));
    CollectorError::Access { reason, remedy: "give one of them" }
}

/// What cannot stand in a header would make every push fail.
fn check_header(text: &str, wrong: impl Fn() -> String) -> Result<(), CollectorError> {
    if !text.is_empty() && HeaderValue::from_str(text).is_ok() {
        return Ok(());
    }
    let remedy = "it is one line of characters that can be seen";
    Err(CollectorError::Access { reason: wrong(), remedy })
}

/// The one line of a file with a secret.
fn line_of(path: &Path, what: &str) -> Result<String, CollectorError> {
    let failed = |source| CollectorError::File { path: path.to_owned(), source };
    let mut text = OsString::new().into_encoded_bytes();
    let file = File::open(path).map_err(failed)?;
    file.take(LONGEST_SECRET + 1).read_to_end(&mut text).map_err(failed)?;
    let no_secret = || CollectorError::Access {
        reason: format!("there is no {what} in `{}`", path.display()),
        remedy: "the file has one line of text",
    };
    if text.len() as u64 > LONGEST_SECRET {
        return Err(no_secret());
    }
    let text = String::from_utf8(text).map_err(|_| no_secret())?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains(['\n', '\0']) {
        return Err(no_secret());
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        access: AccessArgs,
    }

    fn applied(words: &[&str]) -> Result<LokiConfig, String> {
        let program = Program::try_parse_from(["x"].iter().chain(words))
            .map_err(|error| error.to_string())?;
        let mut loki = LokiConfig::new("https://h");
        let told = |error: CollectorError| {
            assert_eq!(error.exit_code(), 2, "{error}");
            format!("{error}\nhint: {}", error.remedy().unwrap_or_default())
        };
        program.access.apply(&mut loki).map_err(told)?;
        Ok(loki)
    }

    #[test]
    fn flags_become_a_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let (token, password) = (directory.path().join("token"), directory.path().join("password"));
        std::fs::write(&token, "  abc.def\n").unwrap();
        std::fs::write(&password, " with blanks \r\n").unwrap();
        let (token, password) = (token.to_str().unwrap(), password.to_str().unwrap());
        let loki = applied(&["--tenant", "t", "--token-file", token, "--ca", "ca.pem"]).unwrap();
        assert_eq!((loki.tenant.as_deref(), loki.ca), (Some("t"), Some("ca.pem".into())));
        assert!(loki.auth == Auth::Bearer("abc.def".to_owned()));
        let loki = applied(&["--user", "me", "--password-file", password]).unwrap();
        let (user, password) = ("me".to_owned(), " with blanks ".to_owned());
        assert!(loki.auth == Auth::Basic { user, password });
        let loki = applied(&["--client-cert", "c", "--client-key", "k"]).unwrap();
        assert_eq!(loki.certificate.unwrap().key, Path::new("k"));
        assert!(applied(&[]).unwrap().auth == Auth::None);
    }

    #[test]
    fn what_makes_no_sense_is_told_with_the_flag_its_variable_and_a_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (good, empty) = (file("good", b"secret"), file("empty", b"\n"));
        let (lines, binary) = (file("lines", b"a\nb\n"), file("binary", b"\xff\xfe"));
        for (words, part) in [
            (
                &["--user", "me"][..],
                "`--user` (or LOGTAP_USER) needs a password\nhint: put it into",
            ),
            (&["--password", "x"], "`--password` (or LOGTAP_PASSWORD) is nothing without `--user`"),
            (
                &["--user", "me", "--token-file", &good],
                "cannot be used together with `--token-file`",
            ),
            (
                &["--user", "me", "--password", "x", "--password-file", &good],
                "`--password-file` (or LOGTAP_PASSWORD_FILE)\nhint: give one",
            ),
            (&["--client-cert", "x"], "nothing without `--client-key` (or LOGTAP_CLIENT_KEY)"),
            (&["--client-key", "x"], "nothing without `--client-cert`"),
            (&["--token-file", &empty], "there is no token in `"),
            (&["--token-file", &lines], "there is no token in `"),
            (&["--token-file", &binary], "there is no token in `"),
            (&["--token-file", "/dev/zero"], "there is no token in `/dev/zero`"),
            (&["--user", "me", "--password-file", &empty], "there is no password in `"),
            (&["--tenant", "a\nb"], "`a\\nb` is no tenant"),
        ] {
            let told = applied(words).map(|_| ()).unwrap_err();
            assert!(told.contains(part), "{words:?}: {told}");
            assert!(!told.contains("secret"), "{told}");
        }
        let nothing = Program::try_parse_from(["x", "--token-file", ""]);
        assert_eq!(nothing.map(|_| ()).unwrap_err().kind(), ErrorKind::InvalidValue);
    }

    #[test]
    fn what_was_typed_is_known() {
        let program = Program::try_parse_from(["x", "--ca", "c"]).unwrap();
        assert_eq!(program.access.typed(), Some("--ca"));
        assert_eq!(Program::try_parse_from(["x"]).unwrap().access.typed(), None);
    }
}
