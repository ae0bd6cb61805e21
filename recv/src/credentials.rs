//! Who may push. Refuses to tell by its timing how much of a guess was right.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

/// One way to be known.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// By a token: `Authorization: Bearer TOKEN`.
    Bearer(String),
    /// By name and password: `Authorization: Basic ...`.
    Basic {
        /// The name, without a colon.
        user: String,
        /// The password.
        password: String,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(...)",
            Self::Basic { .. } => "Basic(...)",
        })
    }
}

/// A text that is no credential. The text is not repeated: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It is of no known kind.
    #[error("neither `bearer:TOKEN` nor `basic:USER:PASSWORD`")]
    Kind,
    /// Its token, name or password is empty.
    #[error("a token, user or password is empty")]
    Empty,
    /// It has characters that no header can have.
    #[error("a token, user or password has control characters")]
    Control,
}

impl std::str::FromStr for Credential {
    type Err = CredentialError;

    /// Reads `bearer:TOKEN` or `basic:USER:PASSWORD`.
    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let (kind, rest) = text.trim().split_once(':').ok_or(CredentialError::Kind)?;
        if rest.chars().any(char::is_control) {
            return Err(CredentialError::Control);
        }
        match kind {
            "bearer" if rest.is_empty() => Err(CredentialError::Empty),
            "bearer" => Ok(Self::Bearer(rest.to_owned())),
            "basic" => match rest.split_once(':') {
                Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                    Ok(Self::Basic { user: user.to_owned(), password: password.to_owned() })
                }
                _ => Err(CredentialError::Empty),
            },
            _ => Err(CredentialError::Kind),
        }
    }
}

impl Credential {
    fn fits(&self, scheme: &str, value: &[u8]) -> bool {
        match self {
            Self::Bearer(token) => {
                scheme.eq_ignore_ascii_case("bearer") && bool::from(token.as_bytes().ct_eq(value))
            }
            Self::Basic { user, password } => {
                let expected = format!("{user}:{password}");
                let given = STANDARD.decode(value).unwrap_or_default();
                scheme.eq_ignore_ascii_case("basic")
                    && bool::from(expected.as_bytes().ct_eq(given.as_slice()))
            }
        }
    }
}

/// Whether a request may be taken: nobody asks, or it has one of these.
pub(crate) fn is_known(credentials: &[Credential], headers: &HeaderMap) -> bool {
    if credentials.is_empty() {
        return true;
    }
    let Some(value) = headers.get(AUTHORIZATION) else { return false };
    let text = value.as_bytes();
    let space = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    let (scheme, value) = text.split_at(space);
    let scheme = String::from_utf8_lossy(scheme);
    let value = value.trim_ascii();
    // All are tried, so that the time does not tell which one it was.
    credentials.iter().fold(false, |known, credential| known | credential.fits(&scheme, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(credentials: &[&str], header: Option<&str>) -> bool {
        let credentials: Vec<Credential> =
            credentials.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        is_known(&credentials, &headers)
    }

    #[test]
    fn only_who_is_known_may_push() {
        assert!(known(&[], None));
        let both = ["bearer:secret", "basic:me:pass:word"];
        for header in ["Bearer secret", "bearer secret", "Basic bWU6cGFzczp3b3Jk"] {
            assert!(known(&both, Some(header)), "{header}");
        }
        for header in ["", "Bearer", "Bearer secre", "Bearer secrets", "Basic secret", "secret"] {
            assert!(!known(&both, Some(header)), "{header}");
        }
        assert!(!known(&both, None));
    }

    #[test]
    fn credentials_are_read_and_never_shown() {
        let parse = |text: &str| text.parse::<Credential>();
        assert_eq!(parse("secret"), Err(CredentialError::Kind));
        assert_eq!(parse("digest:x:y"), Err(CredentialError::Kind));
        for text in ["bearer:", "basic:me", "basic::x", "basic:me:"] {
            assert_eq!(parse(text), Err(CredentialError::Empty), "{text}");
        }
        assert_eq!(parse("bearer:a\u{1}b"), Err(CredentialError::Control));
        let debug = format!("{:?}", parse("bearer:secret\n").unwrap());
        assert_eq!(debug, "Bearer(...)");
    }
}
