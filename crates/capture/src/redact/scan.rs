//! One pass over a line: where something could begin, and what it is.
//!
//! ```text
//! 64 bytes at a time:  first digits of numbers, '@', ':', '='   as bits of a mask
//! the whole line:      "eyJ", "AKIA", "://", ...                all literals in one search
//! ```
//! Both are vector instructions and most lines have few bits and no literal. What was found is asked in
//! the order of the line; a recogniser looks at a handful of bytes around the place before it says no.

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{AhoCorasick, Span};
use wide::u8x16;

use super::bytes::{Found, step};
use super::{Pattern, Patterns, addresses, key_block, numbers, secrets, signs, urls};

const BLOCK: usize = 64;

/// Finds all that the chosen patterns recognise.
#[derive(Debug)]
pub(super) struct Scanner {
    chosen: Patterns,
    literals: Option<Literals>,
    /// Whether any chosen pattern begins with a digit, or with a sign.
    digits: bool,
    signs: bool,
}

#[derive(Debug)]
enum Literals {
    Packed(Searcher),
    /// Where the processor has no vector instructions for it.
    Automaton(AhoCorasick),
}

impl Literals {
    fn find(&self, line: &[u8], from: usize) -> Option<(usize, usize)> {
        let span = Span { start: from, end: line.len() };
        step(line.len().saturating_sub(from).min(1));
        let found = match self {
            Self::Packed(searcher) => searcher.find_in(line, span),
            Self::Automaton(automaton) => automaton.find(aho_corasick::Input::new(line).span(span)),
        };
        found.map(|found| (found.start(), found.pattern().as_usize()))
    }
}

impl Scanner {
    pub(super) fn new(chosen: Patterns) -> Self {
        let has = |patterns: &[Pattern]| patterns.iter().any(|&pattern| chosen.has(pattern));
        use Pattern::{
            ApiKey, Bearer, CreditCard, Email, Iban, IpV4, IpV6, Jwt, Phone, PrivateKey, Secret,
            Ssn, UrlPassword,
        };
        let with_literals = has(&[Jwt, Bearer, ApiKey, UrlPassword, Email, Secret]);
        Self {
            chosen,
            literals: with_literals.then(literals),
            digits: has(&[CreditCard, IpV4, Ssn, Phone, Iban]),
            signs: has(&[Email, Secret, IpV6, PrivateKey, UrlPassword]),
        }
    }

    /// The chosen patterns.
    pub(super) fn chosen(&self) -> Patterns {
        self.chosen
    }

    /// Calls `emit` for everything that is found in a line, in order and without overlaps.
    pub(super) fn scan(&self, line: &[u8], mut emit: impl FnMut(Found)) {
        let mut state = State { line, chosen: self.chosen, floor: 0, pending: None, no_jwt: 0 };
        let mut literal = self.literals.as_ref().and_then(|literals| literals.find(line, 0));
        if self.digits || self.signs {
            let mut before = Before::default();
            let mut start = 0;
            while start < line.len() {
                let mut bits = self.candidates(line, start, &mut before);
                while bits != 0 {
                    let place = start + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    while let Some((at, number)) = literal.filter(|(at, _)| *at <= place) {
                        state.literal(at, number, &mut emit);
                        literal = self.next_literal(line, at, number);
                    }
                    state.candidate(place, &mut emit);
                }
                start += BLOCK;
            }
        }
        while let Some((at, number)) = literal {
            state.literal(at, number, &mut emit);
            literal = self.next_literal(line, at, number);
        }
        if let Some(found) = state.pending {
            emit(found);
        }
    }

    fn next_literal(&self, line: &[u8], at: usize, number: usize) -> Option<(usize, usize)> {
        let length = match signs::LITERALS.get(number) {
            None => 1,
            Some((text, _)) => text.len(),
        };
        self.literals.as_ref()?.find(line, at + length)
    }

    /// The places in a block at which something could be recognised.
    #[inline]
    fn candidates(&self, line: &[u8], start: usize, before: &mut Before) -> u64 {
        let mut last = [0; BLOCK];
        let rest = line.get(start..).unwrap_or_default();
        let block = match rest.first_chunk::<BLOCK>() {
            Some(block) => block,
            None => {
                if let Some(part) = last.get_mut(..rest.len()) {
                    part.copy_from_slice(rest);
                }
                &last
            }
        };
        let (mut digits, mut signs, mut hyphens) = (0, 0, 0);
        for (quarter, bytes) in block.chunks_exact(16).enumerate() {
            let bytes = u8x16::new(bytes.try_into().unwrap_or_default());
            let shift = quarter * 16;
            // A byte is a digit if it is no more than 9 above '0'.
            let value = bytes - u8x16::splat(b'0');
            let is_digit = value.min(u8x16::splat(9)).simd_eq(value);
            digits |= u64::from(is_digit.to_bitmask()) << shift;
            let is_sign = bytes.simd_eq(u8x16::splat(b'@'))
                | bytes.simd_eq(u8x16::splat(b':'))
                | bytes.simd_eq(u8x16::splat(b'>'))
                | bytes.simd_eq(u8x16::splat(b'='));
            signs |= u64::from(is_sign.to_bitmask()) << shift;
            hyphens |= u64::from(bytes.simd_eq(u8x16::splat(b'-')).to_bitmask()) << shift;
        }
        let firsts = digits & !(digits << 1 | before.digit);
        before.digit = digits >> (BLOCK - 1);
        // The second of two or more hyphens.
        let firsts_of_hyphens = hyphens & !(hyphens << 1 | before.hyphen);
        let seconds = hyphens & (firsts_of_hyphens << 1 | before.first_hyphen);
        before.hyphen = hyphens >> (BLOCK - 1);
        before.first_hyphen = firsts_of_hyphens >> (BLOCK - 1);
        (if self.digits { firsts } else { 0 }) | (if self.signs { signs | seconds } else { 0 })
    }
}

/// What the last byte of the block before was, as the lowest bit.
#[derive(Default)]
struct Before {
    digit: u64,
    hyphen: u64,
    first_hyphen: u64,
}

fn literals() -> Literals {
    let texts = signs::LITERALS.map(|(text, _)| text);
    let packed = Config::new()
        .match_kind(MatchKind::LeftmostLongest)
        .heuristic_pattern_limits(false)
        .builder()
        .extend(texts)
        .build();
    match packed {
        Some(searcher) => Literals::Packed(searcher),
        None => Literals::Automaton(
            AhoCorasick::builder()
                .match_kind(aho_corasick::MatchKind::LeftmostLongest)
                .build(texts)
                .expect("a few short literals are an automaton"),
        ),
    }
}

/// How far a line is.
struct State<'a> {
    line: &'a [u8],
    chosen: Patterns,
    /// The end of what was emitted.
    floor: usize,
    /// What was found last. It may turn out to be a part of an e-mail address.
    pending: Option<Found>,
    /// Up to here no JSON web token begins.
    no_jwt: usize,
}

impl State<'_> {
    #[inline]
    fn candidate(&mut self, place: usize, emit: &mut impl FnMut(Found)) {
        if self.pending.is_some_and(|found| place < found.end) {
            return;
        }
        let (line, chosen, floor) = (self.line, self.chosen, self.floor_for_numbers());
        let found = match super::bytes::at(line, place) {
            b'@' if chosen.has(Pattern::Email) => {
                addresses::email(line, place, 1, self.floor_for_addresses())
            }
            b'@' => None,
            sign @ (b':' | b'=') => {
                let secret = if chosen.has(Pattern::Secret) {
                    secrets::value(line, place, floor, chosen)
                } else {
                    None
                };
                match secret {
                    None if sign == b':' => self.behind_colon(place, floor),
                    secret => secret,
                }
            }
            b'-' => self.behind_hyphens(place),
            b'>' if chosen.has(Pattern::Secret) => secrets::element(line, place + 1, floor),
            b'>' => None,
            _ => numbers::recognise(line, place, floor, chosen),
        };
        if let Some(found) = found {
            self.take(found, emit);
        }
    }

    /// What a colon may be the sign of but a secret.
    #[inline]
    fn behind_colon(&self, colon: usize, floor: usize) -> Option<Found> {
        let (line, chosen) = (self.line, self.chosen);
        let begins = |text: &[u8]| {
            colon.checked_sub(text.len()).filter(|&start| super::bytes::is_at(line, start, text))
        };
        match super::bytes::before(line, colon) {
            b'n' if chosen.has(Pattern::UrlPassword) && begins(b":thin").is_some() => {
                urls::oracle(line, colon + 1)
            }
            b's' if chosen.has(Pattern::PrivateKey) && begins(b"Private-Lines").is_some() => {
                self.private_key(begins(b"Private-Lines")?)
            }
            _ if chosen.has(Pattern::IpV6) => addresses::ip_v6(line, colon, floor),
            _ => None,
        }
    }

    /// What begins with hyphens, of which the second is at a place: a flag, or a private key.
    fn behind_hyphens(&self, second: usize) -> Option<Found> {
        let (line, chosen) = (self.line, self.chosen);
        if super::bytes::at(line, second + 1) == b'-' {
            return if chosen.has(Pattern::PrivateKey) {
                self.private_key(second - 1)
            } else {
                None
            };
        }
        let is_start = matches!(super::bytes::before(line, second - 1), b' ' | b'"' | b'\'' | 0);
        let is_flag = is_start && chosen.has(Pattern::Secret);
        if is_flag { secrets::flag(line, second + 1, chosen) } else { None }
    }

    fn private_key(&self, start: usize) -> Option<Found> {
        let end = key_block::end_of_block(self.line, start)?;
        Some(Found { start, end, pattern: Pattern::PrivateKey })
    }

    fn literal(&mut self, place: usize, number: usize, emit: &mut impl FnMut(Found)) {
        if self.pending.is_some_and(|found| place < found.end) {
            return;
        }
        let floor = match signs::LITERALS.get(number) {
            Some((_, signs::Sign::Address)) => self.floor_for_addresses(),
            _ => self.floor_for_numbers(),
        };
        if let Some(found) =
            signs::recognise(self.line, place, number, floor, self.chosen, &mut self.no_jwt)
        {
            self.take(found, emit);
        }
    }

    fn floor_for_numbers(&self) -> usize {
        self.pending.map_or(self.floor, |found| found.end)
    }

    /// Numbers may be parts of an address; what was found for another reason is none.
    fn floor_for_addresses(&self) -> usize {
        use Pattern::{CreditCard, IpV4, Phone, Ssn};
        match self.pending {
            Some(found) if !matches!(found.pattern, CreditCard | IpV4 | Phone | Ssn) => found.end,
            _ => self.floor,
        }
    }

    fn take(&mut self, found: Found, emit: &mut impl FnMut(Found)) {
        if let Some(pending) = self.pending {
            if found.start >= pending.end {
                emit(pending);
                self.floor = pending.end;
            } else if found.start > pending.start || found.end < pending.end {
                return;
            }
        }
        if found.start >= self.floor && found.end > found.start {
            self.pending = Some(found);
        }
    }
}
