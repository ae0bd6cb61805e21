//! How an origin travels beside a push: two HTTP headers.
//!
//! ```text
//! X-Logtap-Source: 00112233445566778899aabbccddeeff      32 hexadecimal digits
//! X-Logtap-Lines: 1001-2000                              numbers of the first and last line
//! ```

use crate::batch::Origin;

/// The header with the source.
pub const SOURCE_HEADER: &str = "x-logtap-source";
/// The header with the numbers of the lines.
pub const LINES_HEADER: &str = "x-logtap-lines";

const SOURCE_LENGTH: usize = 32;

/// Headers that name no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// One of the two is missing.
    #[error("{SOURCE_HEADER} and {LINES_HEADER} go together")]
    Alone,
    /// The source is not 32 hexadecimal digits.
    #[error("{SOURCE_HEADER} is not 32 hexadecimal digits")]
    Source,
    /// The numbers are not two numbers from 1 in ascending order.
    #[error("{LINES_HEADER} is not of the form FIRST-LAST")]
    Lines,
}

impl Origin {
    /// The values of the two headers.
    pub fn headers(&self) -> (String, String) {
        (self.source.clone(), format!("{}-{}", self.first, self.last))
    }

    /// Reads the two headers; none of them is no origin.
    pub fn from_headers(
        source: Option<&str>,
        lines: Option<&str>,
    ) -> Result<Option<Self>, OriginError> {
        let (source, lines) = match (source, lines) {
            (None, None) => return Ok(None),
            (Some(source), Some(lines)) => (source, lines),
            _ => return Err(OriginError::Alone),
        };
        let hex = source.len() == SOURCE_LENGTH && source.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex {
            return Err(OriginError::Source);
        }
        let number = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?
        };
        let (first, last) = lines.split_once('-').ok_or(OriginError::Lines)?;
        match (number(first), number(last)) {
            (Some(first), Some(last)) if 0 < first && first <= last && last < u64::MAX => {
                let source = source.to_ascii_lowercase();
                Ok(Some(Self { source, first, last }))
            }
            _ => Err(OriginError::Lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_back() {
        let source = "00112233445566778899aabbccddeeff".to_owned();
        let origin = Origin { source, first: 7, last: 9 };
        let (source, lines) = origin.headers();
        assert_eq!(lines, "7-9");
        let upper = source.to_ascii_uppercase();
        for source in [source, upper] {
            let read = Origin::from_headers(Some(&source), Some(&lines));
            assert_eq!(read, Ok(Some(origin.clone())));
        }
        assert_eq!(Origin::from_headers(None, None), Ok(None));
    }

    #[test]
    fn wrong_headers_are_named() {
        let good = "00112233445566778899aabbccddeeff";
        assert_eq!(Origin::from_headers(Some(good), None), Err(OriginError::Alone));
        for source in ["", "0011", "zz112233445566778899aabbccddeeff"] {
            assert_eq!(Origin::from_headers(Some(source), Some("1-2")), Err(OriginError::Source));
        }
        for lines in ["", "1", "0-1", "2-1", "-1-2", "+1-2", "1-18446744073709551615", "1-2-3"] {
            assert_eq!(
                Origin::from_headers(Some(good), Some(lines)),
                Err(OriginError::Lines),
                "{lines}"
            );
        }
    }
}
