//! A text decoded for the address scan: entities, percent signs, compatibility forms and
//! invisible characters are undone, and every unit knows the bytes it came from.

use unicode_normalization::char::decompose_compatible;

use crate::text::chars;

/// Units looked back at for the start of an HTML entity; the longest is `&ZeroWidthSpace;`.
const ENTITY_UNITS_MAX: usize = 15;

/// One character as a reader, browser or server would see it.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// The character; a run of white space is one blank, or one line break if it has any.
    pub c: char,
    /// Its first byte in the text.
    pub start: u32,
    /// The byte after it, invisible followers included.
    pub end: u32,
}

/// Decodes a text. Runs of white space become one unit.
pub fn decode(text: &str) -> Vec<Unit> {
    let mut decoder = Decoder { units: Vec::with_capacity(text.len()), entity: None };
    for (start, c) in text.char_indices() {
        let (start, end) = (start as u32, (start + c.len_utf8()) as u32);
        if c.is_ascii() {
            decoder.push(c, start, end);
        } else if !chars::is_invisible(c) {
            decoder.push(folded(c), start, end);
        } else if let Some(last) = decoder.units.last_mut() {
            last.end = end;
        }
    }
    decoder.units
}

/// The ASCII character behind a compatibility form or an ideographic full stop.
fn folded(c: char) -> char {
    if matches!(c, '。' | '｡') {
        return '.';
    }
    let mut parts = (0, c);
    decompose_compatible(c, |part| parts = (parts.0 + 1, part));
    match parts {
        (1, only) if only.is_ascii() => only,
        _ => c,
    }
}

/// The character that is all of a text.
fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

struct Decoder {
    units: Vec<Unit>,
    /// Where an `&` stands that may begin an entity.
    entity: Option<usize>,
}

impl Decoder {
    fn push(&mut self, c: char, start: u32, end: u32) {
        let mut unit = Unit { c, start, end };
        if matches!(c, '\n' | '\r') {
            unit.c = '\n';
        } else if chars::is_space(c) {
            unit.c = ' ';
        }
        if let Some(from) = self.entity
            && self.close_entity(from, unit)
        {
            return;
        }
        let space = matches!(unit.c, ' ' | '\n');
        if let Some(last) = self.units.last_mut().filter(|last| space && " \n".contains(last.c)) {
            last.end = end;
            // One line break makes the whole run one.
            last.c = last.c.min(unit.c);
            return;
        }
        if unit.c == '&' {
            self.entity = Some(self.units.len());
        }
        self.units.push(unit);
        self.decode_percent();
    }

    /// Replaces `%40` at the end by what it stands for. `%2540` falls in two steps.
    ///
    /// A loop and no recursion: a text can nest as many steps as it is long.
    fn decode_percent(&mut self) {
        while let &[.., percent, high, low] = self.units.as_slice() {
            if percent.c != '%' {
                return;
            }
            let (Some(high), Some(low_digit)) = (high.c.to_digit(16), low.c.to_digit(16)) else {
                return;
            };
            let byte = (high * 16 + low_digit) as u8;
            match byte {
                0x21..=0x7E => {
                    self.units.truncate(self.units.len() - 3);
                    self.units.push(Unit { c: byte as char, start: percent.start, end: low.end });
                    if byte == b'&' {
                        self.entity = Some(self.units.len() - 1);
                    }
                }
                0x80..=0xFF if self.decode_utf8() => {}
                _ => return,
            }
        }
    }

    /// Replaces `%C3%BC` at the end by the character of which that is the UTF-8; whether it did.
    fn decode_utf8(&mut self) -> bool {
        let byte = |triple: &[Unit]| match triple {
            [percent, high, low] if percent.c == '%' => {
                Some((high.c.to_digit(16)? * 16 + low.c.to_digit(16)?) as u8)
            }
            _ => None,
        };
        for count in 2..=4 {
            let Some(from) = self.units.len().checked_sub(3 * count) else { return false };
            let bytes: Option<Vec<u8>> = self.units[from..].chunks(3).map(byte).collect();
            let Some(bytes) = bytes else { return false };
            let Some(c) = std::str::from_utf8(&bytes).ok().and_then(only_char) else { continue };
            let (start, end) = (self.units[from].start, self.units[self.units.len() - 1].end);
            self.units.truncate(from);
            match self.units.last_mut().filter(|_| chars::is_invisible(c)) {
                Some(last) => last.end = end,
                None => self.units.push(Unit { c: folded(c), start, end }),
            }
            return true;
        }
        false
    }

    /// Decodes the entity that began at `from`, if `next` ends one; whether `next` was its
    /// semicolon. Browsers need none after a number (HTML standard, 13.2.5.80).
    fn close_entity(&mut self, from: usize, next: Unit) -> bool {
        let name = &self.units[(from + 1).min(self.units.len())..];
        if name.len() > ENTITY_UNITS_MAX {
            self.entity = None;
            return false;
        }
        let hex = matches!(name, [hash, x, ..] if hash.c == '#' && matches!(x.c, 'x' | 'X'));
        let number = name.first().is_some_and(|unit| unit.c == '#');
        let continues = match (number, hex) {
            (true, true) => next.c.is_ascii_hexdigit(),
            (true, false) => next.c.is_ascii_digit() || (name.len() == 1 && "xX".contains(next.c)),
            (false, _) => next.c.is_ascii_alphabetic() || (name.is_empty() && next.c == '#'),
        };
        if continues {
            return false;
        }
        let text: String = name.iter().map(|unit| unit.c).collect();
        let code = match (number, hex) {
            (true, true) => u32::from_str_radix(&text[2..], 16).ok(),
            (true, false) => text[1..].parse().ok(),
            (false, _) if next.c == ';' => named(&text),
            (false, _) => None,
        };
        self.entity = None;
        let Some(c) = code.and_then(char::from_u32).filter(|c| !c.is_control()) else {
            return false;
        };
        let start = self.units[from].start;
        let last = self.units.last().map_or(next.start, |unit| unit.end);
        let end = if next.c == ';' { next.end } else { last };
        self.units.truncate(from);
        if chars::is_invisible(c) {
            if let Some(last) = self.units.last_mut() {
                last.end = end;
            }
        } else {
            self.units.push(Unit { c: folded(c), start, end });
        }
        if c == '&' {
            self.entity = Some(from);
        }
        next.c == ';'
    }
}

/// The named entities that addresses are disguised with.
fn named(name: &str) -> Option<u32> {
    let c = match name {
        "commat" => '@',
        "period" => '.',
        "amp" => '&',
        "nbsp" => ' ',
        "lowbar" => '_',
        "percnt" => '%',
        "num" => '#',
        "plus" => '+',
        "shy" => '\u{AD}',
        "ZeroWidthSpace" => '\u{200B}',
        "zwnj" => '\u{200C}',
        "zwj" => '\u{200D}',
        _ => return None,
    };
    Some(c as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> String {
        decode(text).into_iter().map(|unit| unit.c).collect()
    }

    #[test]
    fn everything_that_hides_a_sign_is_undone() {
        for (text, expected) in [
            ("a%40b %2540 100% %zz", "a@b @ 100% %zz"),
            ("%C3%BC %c3%bc%E2%82%AC %F0%9F%91%8D%25C3%25BC", "ü ü€ 👍ü"),
            ("%C3 %BC%C3%28 %EF%BC%A0 a%E2%80%8B", "%C3 %BC%C3( @ a"),
            ("&#64; &#x40;&commat;&period;", "@ @@."),
            ("&#64x &#064;", "@x @"),
            ("&amp;#64; &bogus; R&D; a&b", "@ &bogus; R&D; a&b"),
            ("a\u{200B}\u{200B}b", "ab"),
            ("ｊ＠ｅ．ｏ 𝐚", "j@e.o a"),
            ("  \t x", " x"),
            (" \n\t x", "\nx"),
            ("&", "&"),
            ("&#;", "&#;"),
        ] {
            assert_eq!(decoded(text), expected, "{text}");
        }
    }

    #[test]
    fn units_know_their_bytes() {
        let text = "é%40&#64;x\u{200B}";
        let slices: Vec<_> =
            decode(text).iter().map(|u| &text[u.start as usize..u.end as usize]).collect();
        assert_eq!(slices, ["é", "%40", "&#64;", "x\u{200B}"]);
    }
}
