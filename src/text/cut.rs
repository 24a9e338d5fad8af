//! Texts that are longer than what is kept of them.

use super::address::find_addresses;

/// The beginning of a text, at most so many bytes, without an e-mail or IP address that its end would
/// cut in two: what is left of one reads as none any more, so nothing would mask it.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let end = text.floor_char_boundary(bytes_max);
    if end == text.len() {
        return text;
    }
    let addresses = find_addresses(text);
    let apart = addresses.iter().find(|address| address.start < end && end < address.end);
    let kept = &text[..apart.map_or(end, |address| address.start)];
    // Digits, dots and colons, percent-encoded too, on both sides of the end.
    let of_ip = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '%');
    let before = kept.trim_end_matches(of_ip);
    let is_apart =
        text[kept.len()..].starts_with(of_ip) && kept[before.len()..].contains(['.', ':', '%']);
    if is_apart { before } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_address_is_left_at_the_end() {
        let email = "Write to jane.roe@example.org or call";
        assert_eq!(cut(email, email.len()), email);
        for bytes in 10..29 {
            assert_eq!(cut(email, bytes), "Write to ", "{bytes}");
        }
        assert_eq!(cut(email, 29), "Write to jane.roe@example.org", "whole, so it is masked");
        let encoded = "http://blog.example/?mail=jane.roe%40example.org&x=1";
        for bytes in 27..47 {
            assert_eq!(cut(encoded, bytes), "http://blog.example/?mail=", "{bytes}");
        }
        for (text, bytes) in [("from 192.0.2.123", 14), ("from 2001:db8::17 on", 12)] {
            assert_eq!(cut(text, bytes), "from ", "{text}");
        }
    }

    #[test]
    fn other_texts_keep_what_fits() {
        for (text, bytes, expected) in [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "abc"),
            ("naïve", 3, "na"),
            ("It is 10.30 now", 13, "It is 10.30 n"),
            ("192.0.2.123 is mine", 11, "192.0.2.123"),
        ] {
            assert_eq!(cut(text, bytes), expected, "{text}");
        }
    }
}
