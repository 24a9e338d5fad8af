//! The author's own address in a text: both of its parts are known, so any sign for `@` between them is
//! enough, whatever its dots became.

use super::tokens;
use super::units::{self, Unit};
use crate::domain::EmailAddress;
use crate::text::confusables;

/// Units between a part and the sign that are no letters.
const GAP_UNITS_MAX: usize = 6;

/// The text with the author's own address masked where it is disguised, and how often it stood there;
/// nothing if it does not.
pub fn mask_own(text: &str, own: &EmailAddress) -> Option<(String, u32)> {
    let (local, domains) = own.parts();
    if !possible(text, local) {
        return None;
    }
    let units = units::decode(text);
    let (mut out, mut copied, mut count) = (String::new(), 0, 0);
    let mut at = 0;
    while at < units.len() {
        let bounded = at == 0 || !units[at - 1].c.is_alphanumeric();
        let end = if bounded { ends(&units, at, local, &domains) } else { None };
        let Some(end) = end else {
            at += 1;
            continue;
        };
        out.push_str(&text[copied..units[at].start as usize]);
        out.push_str(&own.masked());
        copied = units[end - 1].end as usize;
        count += 1;
        at = end;
    }
    out.push_str(&text[copied..]);
    (count > 0).then_some((out, count))
}

/// Whether the local part can be in the text: in letters, or in some that have to be decoded.
fn possible(text: &str, local: &str) -> bool {
    let first: String = local.chars().take_while(char::is_ascii_alphanumeric).collect();
    let has = || text.to_ascii_lowercase().contains(&first.to_ascii_lowercase());
    !text.is_ascii() || text.contains(['%', '&']) || has()
}

/// The unit after the address that begins at `at`.
fn ends(units: &[Unit], at: usize, local: &str, domains: &[&str; 2]) -> Option<usize> {
    let sign = part(units, at, local)?;
    let domain = after_sign(units, sign)?;
    domains.iter().find_map(|name| part(units, domain, name)).filter(|end| {
        // `firma.de` is not `firma.dev`.
        units.get(*end).is_none_or(|next| !next.c.is_ascii_alphanumeric())
    })
}

/// The unit after a local part or domain, whose dots may be disguised.
fn part(units: &[Unit], mut at: usize, name: &str) -> Option<usize> {
    for c in name.chars() {
        let unit = units.get(at)?;
        let same = unit.c == c || confusables::lowered(unit.c) == confusables::lowered(c);
        at = match c {
            '.' if unit.c == '.' => {
                at + 1 + usize::from(units.get(at + 1).is_some_and(|next| next.c == ' '))
            }
            '.' => match tokens::dot(units, at) {
                Some(dot) => dot.end,
                None if "_- \n·,".contains(unit.c) => at + 1,
                None => return None,
            },
            _ if same => at + 1,
            _ => return None,
        };
    }
    Some(at)
}

/// Where the domain begins after a sign for `@` at `at`.
fn after_sign(units: &[Unit], at: usize) -> Option<usize> {
    if let Some(sign) = tokens::at_sign(units, at).filter(|sign| sign.start == at) {
        return Some(sign.end);
    }
    let word = gap_end(units, at);
    if units.get(at..word)?.iter().any(|unit| unit.c == '@') {
        return Some(word);
    }
    let end = word + tokens::at_word(units, word).filter(|_| word > at)?;
    Some(gap_end(units, end)).filter(|domain| *domain > end)
}

/// The unit after what is no letter or digit from `at` on.
fn gap_end(units: &[Unit], at: usize) -> usize {
    let gap = units.iter().skip(at).take(GAP_UNITS_MAX);
    at + gap.take_while(|unit| !unit.c.is_alphanumeric()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(email: &str, text: &str) -> String {
        let email = EmailAddress::parse(email).ok().unwrap();
        mask_own(text, &email).map_or_else(|| text.to_owned(), |(masked, _)| masked)
    }

    #[test]
    fn the_own_address_is_found_in_any_disguise() {
        for text in [
            "jane.roe at firma.de",
            "Jane.Roe AT Firma.de",
            "jane.roe@firma. de",
            "jane.roe@firma .de",
            "jane_roe_at_firma_dot_de",
            "jane roe (at) firma de",
            "jane.roe, at firma.de",
            "jane.roe \"@\" firma·de",
            "jane.roe@firma,de",
            "jane.roe&amp;#64;firma.de",
            "jane.roe%252540firma%25252Ede",
            "jane.roe\n@\nfirma.de",
        ] {
            assert_eq!(masked("jane.roe@firma.de", text), "j•••@f•••.de", "{text}");
            let within = format!("see <{text}>, thanks");
            assert_eq!(masked("jane.roe@firma.de", &within), "see <j•••@f•••.de>, thanks");
        }
        assert_eq!(masked("ян@пример.рф", "ЯН собака пример.рф"), "я•••@x•••.xn--p1ai");
    }

    proptest! {
        #[test]
        fn any_text_is_taken(
            before in "\\PC{0,8}",
            gap in prop::sample::select(vec!["", "@", " at ", "&#64;", "%40", " ", "_at_", "(at"]),
            cut in 0_usize..20,
        ) {
            let text = format!("{before} jane.roe{gap}firma.de");
            let cut = text.char_indices().rev().nth(cut).map_or(0, |(at, _)| at);
            for text in [&text[..], &text[..cut], &text[cut..]] {
                let once = masked("jane.roe@firma.de", text);
                prop_assert_eq!(masked("jane.roe@firma.de", &once), once);
            }
        }
    }

    #[test]
    fn what_is_not_the_own_address_stays() {
        for text in [
            "jane.roe at firma.dev",
            "mary-jane.roe2 at firma.de",
            "xjane.roe at firma.de",
            "jane.roe firma.de",
            "jane.roe likes firma.de",
            "jane.roe at firma in detail",
            "100% of it & more",
            "",
        ] {
            assert_eq!(masked("jane.roe@firma.de", text), text);
        }
    }
}
