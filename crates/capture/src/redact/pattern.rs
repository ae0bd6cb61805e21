//! The built-in patterns: their names, what stands in their place, and how a list of them is read.
//!
//! The first seven have the predecessor's names and replacements.

use std::fmt;

/// What a built-in pattern recognises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// Numbers of payment cards: an issuer's first digits, 13 to 19 digits, Luhn's check digit.
    CreditCard,
    /// E-mail addresses.
    Email,
    /// JSON web tokens.
    Jwt,
    /// Tokens after `Bearer`.
    Bearer,
    /// IPv4 addresses.
    IpV4,
    /// United States social security numbers and taxpayer numbers, with hyphens.
    Ssn,
    /// Telephone numbers.
    Phone,
    /// Keys and tokens of services that mark theirs with a prefix.
    ApiKey,
    /// Private keys in their text form, over as many lines as they take.
    PrivateKey,
    /// Passwords in URLs.
    UrlPassword,
    /// Values of keys such as `password`, `client_secret` or `api-key`.
    Secret,
    /// International bank account numbers with the right length and check digits.
    Iban,
    /// IPv6 addresses.
    IpV6,
}

impl Pattern {
    /// All of them, in the order in which they are listed everywhere.
    pub const ALL: [Self; 13] = [
        Self::CreditCard,
        Self::Email,
        Self::Jwt,
        Self::Bearer,
        Self::IpV4,
        Self::Ssn,
        Self::Phone,
        Self::ApiKey,
        Self::PrivateKey,
        Self::UrlPassword,
        Self::Secret,
        Self::Iban,
        Self::IpV6,
    ];

    /// The name by which it is chosen and counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreditCard => "credit_card",
            Self::Email => "email",
            Self::Jwt => "jwt",
            Self::Bearer => "bearer",
            Self::IpV4 => "ip_v4",
            Self::Ssn => "ssn",
            Self::Phone => "phone",
            Self::ApiKey => "api_key",
            Self::PrivateKey => "private_key",
            Self::UrlPassword => "url_password",
            Self::Secret => "secret",
            Self::Iban => "iban",
            Self::IpV6 => "ip_v6",
        }
    }

    /// What is written in the place of what it recognises.
    pub const fn replacement(self) -> &'static str {
        match self {
            Self::CreditCard => "[REDACTED:cc]",
            Self::Email => "[REDACTED:email]",
            Self::Jwt => "[REDACTED:jwt]",
            Self::Bearer => "[REDACTED:bearer]",
            Self::IpV4 => "[REDACTED:ip]",
            Self::Ssn => "[REDACTED:ssn]",
            Self::Phone => "[REDACTED:phone]",
            Self::ApiKey => "[REDACTED:api_key]",
            Self::PrivateKey => "[REDACTED:private_key]",
            Self::UrlPassword => "[REDACTED:password]",
            Self::Secret => "[REDACTED:secret]",
            Self::Iban => "[REDACTED:iban]",
            Self::IpV6 => "[REDACTED:ipv6]",
        }
    }

    /// Its place in [`Pattern::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A choice of built-in patterns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patterns(u16);

/// A name that is none of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no redaction pattern; there are: {}", known())]
pub struct UnknownPattern {
    /// The name.
    pub name: String,
}

fn known() -> String {
    Pattern::ALL.map(Pattern::name).join(", ")
}

impl Patterns {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self((1 << Pattern::ALL.len()) - 1);

    /// The same with one more.
    #[must_use]
    pub const fn with(self, pattern: Pattern) -> Self {
        Self(self.0 | 1 << pattern.index())
    }

    /// Whether a pattern is chosen.
    #[inline]
    pub const fn has(self, pattern: Pattern) -> bool {
        self.0 & (1 << pattern.index()) != 0
    }

    /// The place of a pattern among the chosen ones.
    pub(super) const fn place(self, pattern: Pattern) -> usize {
        (self.0 & ((1 << pattern.index()) - 1)).count_ones() as usize
    }

    /// Whether none is chosen.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The chosen ones in their order.
    pub fn iter(self) -> impl Iterator<Item = Pattern> {
        Pattern::ALL.into_iter().filter(move |pattern| self.has(*pattern))
    }

    /// Reads a list as `--redact` takes it: `true` or `all`, `false`, `off` or `none`, or names with
    /// commas between them.
    pub fn parse(list: &str) -> Result<Self, UnknownPattern> {
        match list.trim().to_ascii_lowercase().as_str() {
            "true" | "all" | "yes" | "on" | "1" => return Ok(Self::ALL),
            "false" | "none" | "no" | "off" | "0" | "" => return Ok(Self::NONE),
            _ => {}
        }
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).try_fold(
            Self::NONE,
            |chosen, name| {
                let pattern = Pattern::ALL.into_iter().find(|pattern| pattern.name() == name);
                let pattern = pattern.ok_or_else(|| UnknownPattern { name: name.to_owned() })?;
                Ok(chosen.with(pattern))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_every_spelling() {
        assert_eq!(Patterns::parse("true"), Ok(Patterns::ALL));
        assert_eq!(Patterns::parse(" All "), Ok(Patterns::ALL));
        assert_eq!(Patterns::parse("false"), Ok(Patterns::NONE));
        assert_eq!(
            Patterns::parse("email, credit_card,"),
            Ok(Patterns::NONE.with(Pattern::Email).with(Pattern::CreditCard))
        );
        let error = Patterns::parse("email,e-mail").unwrap_err().to_string();
        assert!(error.starts_with("`e-mail` is no redaction pattern; there are: credit_card, "));
        assert_eq!(Patterns::ALL.iter().count(), 13);
    }
}
