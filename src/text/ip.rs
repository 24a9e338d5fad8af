//! IP addresses that stand literally in a text, and their masking.
//!
//! A mask must not miss an address because of the punctuation around it, so a dot counts as part
//! of an address only between two digits, and every place where an address could begin is tried.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::MASK;

/// Characters of the longest IPv6 address as text (`INET6_ADDRSTRLEN` without its final zero).
const IPV6_CHARS_MAX: usize = 45;
/// Characters of the longest IPv4 address as text.
const IPV4_CHARS_MAX: usize = 15;

/// Characters that may belong to an address, with the byte where each begins; the last byte's end
/// stands behind them. `%3A` counts as the colon it stands for.
#[derive(Default)]
struct Run {
    chars: String,
    starts: Vec<usize>,
}

/// The text without the literal forms of `ip`: any spelling of an IPv6 address, also with
/// percent-encoded colons, and the dotted form of an IPv4 one.
pub(super) fn mask_ip(text: &str, ip: IpAddr) -> Option<String> {
    let wanted = ip.to_canonical();
    match wanted {
        IpAddr::V4(_) => mask(text, false, |found| found.to_canonical() == wanted),
        IpAddr::V6(_) => mask(text, true, |found| found.to_canonical() == wanted),
    }
}

/// The text without anything that reads as an IP address. For notes of moderators and the like;
/// comments may talk of addresses that are nobody's, such as a router's.
pub fn mask_every_ip(text: &str) -> String {
    let without_v6 = mask(text, true, |_| true).unwrap_or_else(|| text.to_owned());
    mask(&without_v6, false, |_| true).unwrap_or(without_v6)
}

fn mask(text: &str, v6: bool, wanted: impl Fn(IpAddr) -> bool) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if !v6 && !memchr::memchr_iter(b'.', bytes).any(|at| digit(at.wrapping_sub(1)) && digit(at + 1))
    {
        return None;
    }
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    let mut run = Run::default();
    while at < bytes.len() {
        run.chars.clear();
        run.starts.clear();
        while let Some((c, width)) = address_char(bytes, at, v6) {
            run.chars.push(c);
            run.starts.push(at);
            at += width;
        }
        if run.chars.is_empty() {
            at += 1;
            continue;
        }
        run.starts.push(at);
        for (from, to) in found(&run.chars, v6, &wanted) {
            out.push_str(&text[copied..run.starts[from]]);
            out.push_str(MASK);
            copied = run.starts[to];
        }
    }
    (copied > 0).then(|| out + &text[copied..])
}

/// The character of an address at `at`, and how many bytes write it.
fn address_char(bytes: &[u8], at: usize, v6: bool) -> Option<(char, usize)> {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    match &bytes[at..] {
        [b'.', ..] => (at > 0 && digit(at - 1) && digit(at + 1)).then_some(('.', 1)),
        [c @ b'0'..=b'9', ..] => Some((char::from(*c), 1)),
        [b'%', b'3', b'a' | b'A', ..] if v6 => Some((':', 3)),
        [c @ (b':' | b'a'..=b'f' | b'A'..=b'F'), ..] if v6 => Some((char::from(*c), 1)),
        _ => None,
    }
}

/// Where the wanted addresses stand in a run, from the left, not overlapping.
fn found(run: &str, v6: bool, wanted: &impl Fn(IpAddr) -> bool) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let mut free = 0;
    let (separator, width) = if v6 { (b':', IPV6_CHARS_MAX) } else { (b'.', IPV4_CHARS_MAX) };
    let begins =
        |at: usize| at == 0 || run.as_bytes()[at - 1] == separator || run[at..].starts_with("::");
    for start in 0..run.len() {
        if start < free || !begins(start) {
            continue;
        }
        let longest = run.len().min(start + width);
        let ends = |end: usize| end == run.len() || run.as_bytes()[end] == separator;
        // The longest first, so that no tail of an address is left behind.
        let end = (start + 2..=longest).rev().filter(|end| ends(*end)).find(|end| {
            let candidate = &run[start..*end];
            match v6 {
                true => candidate.parse::<Ipv6Addr>().is_ok_and(|ip| wanted(ip.into())),
                false => candidate.parse::<Ipv4Addr>().is_ok_and(|ip| wanted(ip.into())),
            }
        });
        if let Some(end) = end {
            spans.push((start, end));
            free = end;
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(text: &str, ip: &str) -> String {
        mask_ip(text, ip.parse().unwrap()).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn punctuation_saves_no_address() {
        for text in [
            "192.0.2.77...",
            "...192.0.2.77",
            "ip:192.0.2.77:80",
            "v1.192.0.2.77.",
            "192.0.2.77.9",
            "a192.0.2.77b",
        ] {
            assert!(!masked(text, "192.0.2.77").contains("192.0.2.77"), "{text}");
        }
        for text in [
            "2001:db8::1...",
            "source:2001:db8::1",
            "::2001:db8::1",
            "2001:DB8:0:0::1.abc",
            "2001%3Adb8%3A%3A1",
            "[2001:db8::1]:443",
            "ace:2001:db8::1:",
        ] {
            let out = masked(text, "2001:db8::1").to_lowercase();
            assert!(out.contains(MASK) && !out.contains("db8"), "{text}: {out}");
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in ["192.0.2.78", "1192.0.2.77", "192.0.2.770", "version 1.2.3", "12:30:45"] {
            assert_eq!(masked(text, "192.0.2.77"), text);
            assert_eq!(masked(text, "2001:db8::1"), text);
        }
        assert_eq!(
            mask_every_ip("from 203.0.113.10, ::1 and fe80::1; 12:30, v1.2.3"),
            format!("from {MASK}, {MASK} and {MASK}; 12:30, v1.2.3")
        );
    }

    proptest! {
        #[test]
        fn no_surrounding_saves_an_address(before in "[ .:,a-z\\[(]{0,6}", after in "[ .:,\\])!]{0,6}", v4: [u8; 4]) {
            let ip = IpAddr::from(v4).to_string();
            let out = masked(&format!("{before}{ip}{after}"), &ip);
            prop_assert!(!out.contains(&ip), "{}", out);
        }
    }
}
