//! Tries every sign that may stand for `@`: what is the local part, what the domain?

use std::cell::LazyCell;

use super::Found;
use super::tokens::{self, Strength, Token};
use super::units::Unit;
use crate::domain::{Authority, ends_authority};
use crate::text::chars;
use crate::text::links::{is_spoken_tld, is_tld};

/// Units of a local part; RFC 5321 allows 64 bytes, disguises take more.
const LOCAL_UNITS_MAX: usize = 160;
/// Units of what a URL may have before its path, looked at behind an address.
const AUTHORITY_UNITS_MAX: usize = 100;
/// Units of a domain; RFC 1035 allows 253.
const DOMAIN_UNITS_MAX: usize = 300;
/// Providers whose domains after a spoken `at` can only be an address.
const PROVIDERS: [&str; 14] = [
    "gmail",
    "googlemail",
    "yahoo",
    "ymail",
    "hotmail",
    "outlook",
    "icloud",
    "protonmail",
    "proton",
    "gmx",
    "yandex",
    "mail",
    "aol",
    "web",
];
/// Top level domains that people have addresses at and that names on social sites do not end in.
const COMMON_TLDS: [&str; 12] =
    ["com", "org", "net", "edu", "gov", "info", "de", "ru", "uk", "fr", "it", "br"];
/// Words before a spoken dot that are no domain: "at this dot", "at the dot".
const NO_DOMAINS: [&str; 24] = [
    "this", "that", "the", "a", "an", "my", "your", "our", "his", "her", "its", "their", "these",
    "those", "all", "any", "some", "one", "each", "every", "which", "what", "least", "most",
];

/// All addresses. Each sign costs at most [`LOCAL_UNITS_MAX`] and [`DOMAIN_UNITS_MAX`] steps.
pub fn scan(units: &[Unit]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut done = 0;
    let mut at = 0;
    let inside = LazyCell::new(|| authorities(units));
    let of_url = |at: usize| inside[at];
    while at < units.len() {
        let token = tokens::at_sign(units, at).filter(|token| token.start >= done);
        let Some((address, end)) = token.and_then(|token| address(units, done, token, &of_url))
        else {
            at += 1;
            continue;
        };
        found.push(address);
        done = end;
        at = end;
    }
    found
}

/// The address around a sign, and the unit after it.
fn address(
    units: &[Unit],
    floor: usize,
    sign: Token,
    of_url: &dyn Fn(usize) -> bool,
) -> Option<(Found, usize)> {
    let domain = domain(units, sign)?;
    let start = local(units, floor, sign)?;
    if of_url(start)
        && let Some(user) = user_of_url(units, start, domain.end)
    {
        return Some(user);
    }
    let mut end = domain.end;
    // `a@b.org@c.org`: what follows the first domain belongs to it.
    while let Some(next) = chained(units, end) {
        end = next;
    }
    let span = units[start].start as usize..units[end - 1].end as usize;
    Some((Found { span, first: units[start].c, domain: Some(domain.name) }, end))
}

/// Of each unit whether it is inside of a URL's authority.
fn authorities(units: &[Unit]) -> Vec<bool> {
    let mut authority = Authority::default();
    let inside = units.iter().map(|unit| {
        let inside = authority.inside();
        authority.push(unit.c);
        inside
    });
    inside.collect()
}

/// What a URL has before its host (`http://user@host/`, RFC 3986, 3.2.1) from the address on that begins
/// at `start`, with a host that ends at `domain_end`. The host is where the link leads, so it stays.
fn user_of_url(units: &[Unit], start: usize, domain_end: usize) -> Option<(Found, usize)> {
    let goes_on = units[domain_end..].iter().take(AUTHORITY_UNITS_MAX);
    let rest = goes_on.take_while(|unit| !ends_authority(unit.c)).count();
    let sign = start + units[start..domain_end + rest].iter().rposition(|unit| unit.c == '@')?;
    let span = units[start].start as usize..units[sign].start as usize;
    Some((Found { span, first: units[start].c, domain: None }, sign + 1))
}

/// The end of a further domain that a sign right after `end` leads to.
fn chained(units: &[Unit], end: usize) -> Option<usize> {
    let skipped = units[end..].iter().take_while(|unit| is_local_mark(unit.c)).count();
    let from = end + skipped;
    let sign = tokens::at_sign(units, from.min(units.len().checked_sub(1)?))?;
    (from < units.len() && sign.start <= from).then(|| domain(units, sign))?.map(|d| d.end)
}

struct Domain {
    name: String,
    end: usize,
}

/// The domain after a sign, if it is credible for that sign.
fn domain(units: &[Unit], sign: Token) -> Option<Domain> {
    if sign.strength == Strength::Tight && units.get(sign.end)?.c == '[' {
        return literal(units, sign.end);
    }
    let stop = units.len().min(sign.end + DOMAIN_UNITS_MAX);
    let units = &units[..stop];
    let mut name = String::new();
    let mut at = label(units, sign.end, &mut name)?;
    let first_label = name.to_lowercase();
    let last_sign = units[sign.end - 1].c;
    let mention = sign.end - sign.start == 2 && units[sign.start].c == ' ' && last_sign == '@';
    let mut best = None;
    let mut tight = sign.strength == Strength::Tight;
    let mut spoken = false;
    let mut label_count = 1;
    while let Some(dot) = tokens::dot(units, at) {
        let before = name.len();
        name.push('.');
        let Some(end) = label(units, dot.end, &mut name) else {
            name.truncate(before);
            break;
        };
        let end = cut_to_tld(&mut name, before + 1, dot.end, end);
        let last = &name[before + 1..];
        let sentence = dot.strength != Strength::Tight || last.starts_with(char::is_uppercase);
        if sentence && label_count >= 2 && best.is_some() && !disguised_dot(units, at, dot) {
            // `jane@example.org. Then` and `jane@example.org.Then`.
            name.truncate(before);
            break;
        }
        tight &= dot.strength == Strength::Tight;
        spoken |= dot.strength == Strength::Spoken || disguised_dot(units, at, dot);
        label_count += 1;
        let blank = dot.strength != Strength::Tight && !spoken;
        // `joe @name.shop` is a mention, `host. Lol` a new sentence.
        let one_sided = (blank && units[at].c != ' ') || mention;
        let doubtful = blank || (spoken && sign.strength == Strength::Spoken);
        let real = if one_sided && !provider(&first_label) {
            COMMON_TLDS.contains(&last.to_lowercase().as_str()) && (!blank || is_spoken_tld(last))
        } else if doubtful {
            is_spoken_tld(last)
        } else {
            is_tld(last)
        };
        let alphabetic = last.len() >= 2 && last.bytes().all(|b| b.is_ascii_alphabetic());
        let enough = sign.strength != Strength::Spoken || spoken || provider(&first_label);
        if enough && (real || (tight && alphabetic)) {
            best = Some((name.len(), end));
        }
        at = end;
    }
    let (length, end) = best?;
    name.truncate(length);
    let no_domain = sign.strength == Strength::Spoken && NO_DOMAINS.contains(&first_label.as_str());
    (!no_domain).then_some(Domain { name: name.to_lowercase(), end })
}

/// The end of the last label, which begins at `from` of the name and at the unit `start`: at the end of
/// a top level domain in its front, where letters of another alphabet follow without a blank.
fn cut_to_tld(name: &mut String, from: usize, start: usize, end: usize) -> usize {
    let label = &name[from..];
    let front = chars::ascii_front(label).filter(|front| is_tld(front) && !is_tld(label));
    // Letters with blanks between them are more units.
    let Some(length) = front.map(str::len).filter(|_| label.chars().count() == end - start) else {
        return end;
    };
    name.truncate(from + length);
    start + length
}

fn provider(first_label: &str) -> bool {
    PROVIDERS.contains(&first_label)
}

/// Whether a dot is written as a word or in brackets.
fn disguised_dot(units: &[Unit], at: usize, dot: Token) -> bool {
    units[at..dot.end].iter().any(|unit| !matches!(unit.c, '.' | ' '))
}

/// `[192.0.2.1]` or `[IPv6:…]` at `open`.
fn literal(units: &[Unit], open: usize) -> Option<Domain> {
    let inside = &units[open + 1..units.len().min(open + 50)];
    let length = inside.iter().position(|unit| unit.c == ']')?;
    let inside = &inside[..length];
    let ip = inside.iter().all(|unit| unit.c.is_ascii_alphanumeric() || ":.".contains(unit.c));
    (ip && length >= 3).then(|| Domain { name: "ip".into(), end: open + length + 2 })
}

/// Reads one label of a domain at `at` into `name`; the unit after it. Letters with single
/// blanks between them (`c o m`) are one label.
fn label(units: &[Unit], at: usize, name: &mut String) -> Option<usize> {
    let from = name.len();
    let single = |at: usize| {
        units.get(at).is_some_and(|unit| is_label(unit.c))
            && units.get(at + 1).is_none_or(|unit| !is_label(unit.c))
    };
    if single(at) && units.get(at + 1).is_some_and(|unit| unit.c == ' ') && single(at + 2) {
        let mut end = at;
        name.push(units[end].c);
        while units.get(end + 1).is_some_and(|unit| unit.c == ' ') && single(end + 2) {
            end += 2;
            name.push(units[end].c);
        }
        return Some(end + 1);
    }
    let first = units.get(at).filter(|unit| is_label(unit.c))?.c;
    let mut end = at;
    while let Some(unit) = units.get(end).filter(|unit| is_label(unit.c)) {
        let foreign = first.is_ascii() && chars::unspaced(unit.c).is_some();
        // `exampleDOTcom`
        let word = end > at
            && tokens::dot(units, end).is_some_and(|dot| dot.start == end && unit.c == 'D');
        if foreign || word || ("-_".contains(unit.c) && tokens::dot(units, end).is_some()) {
            break;
        }
        name.push(unit.c);
        end += 1;
    }
    // `_jane@example.org_` is Markdown.
    let closing: &[char] = if tokens::dot(units, end).is_none() { &['-', '_'] } else { &['-'] };
    while name.len() > from && name.ends_with(closing) {
        name.pop();
        end -= 1;
    }
    (name.len() > from).then_some(end)
}

/// The first unit of the local part before a sign.
fn local(units: &[Unit], floor: usize, sign: Token) -> Option<usize> {
    let floor = floor.max(sign.start.saturating_sub(LOCAL_UNITS_MAX));
    let odd = units[floor..sign.start].iter().rev().take_while(|unit| is_odd_mark(unit.c)).count();
    let mut start = local_run(units, floor, sign.start - odd)?;
    while let Some(dot) = tokens::dot_before(units, start).filter(|dot| *dot > floor) {
        match local_run(units, floor, dot) {
            Some(further) => start = further,
            None => break,
        }
    }
    Some(start)
}

/// The start of the local part, or of a piece of it, that ends before `end`.
fn local_run(units: &[Unit], floor: usize, end: usize) -> Option<usize> {
    let last = end.checked_sub(1).filter(|last| *last >= floor)?;
    let single = |at: usize| is_letter(units[at].c) && (at == floor || !is_local(units[at - 1].c));
    // `j o h n`
    if last >= floor + 2 && single(last) && units[last - 1].c == ' ' && single(last - 2) {
        let mut start = last;
        while start >= floor + 2 && units[start - 1].c == ' ' && single(start - 2) {
            start -= 2;
        }
        return Some(start);
    }
    // `"john doe"@` and `john(home)@`
    let open = match units[last].c {
        '"' => Some('"'),
        ')' => Some('('),
        _ => None,
    };
    if let Some(open) = open {
        let start = (floor..last).rev().find(|at| units[*at].c == open)?;
        let inside = |unit: &Unit| is_local(unit.c) || " @\\\"(".contains(unit.c);
        if last - start < 2 || !units[start + 1..last].iter().all(inside) {
            return None;
        }
        return if open == '"' { Some(start) } else { local_run(units, floor, start) };
    }
    let ascii = units[last].c.is_ascii();
    let length = units[floor..end]
        .iter()
        .rev()
        .take_while(|unit| is_local(unit.c) && !(ascii && chars::unspaced(unit.c).is_some()))
        .count();
    (end - length..end).find(|at| is_letter(units[*at].c))
}

fn is_label(c: char) -> bool {
    is_letter(c) || c == '-' || c == '_' || chars::is_mark(c)
}

fn is_local(c: char) -> bool {
    is_letter(c) || is_local_mark(c) || chars::is_mark(c)
}

/// Punctuation in local parts that does not also separate parts of a URI or of a list.
fn is_local_mark(c: char) -> bool {
    matches!(c, '.' | '_' | '%' | '+' | '-' | '!' | '$' | '*' | '^' | '~' | '\'')
}

/// Punctuation that a local part may have (RFC 5322 `atext`) but hardly ever has: it only counts
/// at the end, where nothing else would make an address of it. The rest of `atext` (`/?=&`) also
/// separates parts of a URI.
fn is_odd_mark(c: char) -> bool {
    matches!(c, '#' | '{' | '|' | '}' | '`')
}

fn is_letter(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() }
}

#[cfg(test)]
mod tests {
    use crate::text::address::{find_addresses, mask_addresses};
    use proptest::prelude::*;

    #[test]
    fn addresses_are_masked_however_they_are_written() {
        for (text, masked) in [
            ("jane@example.org", "j•••@e•••.org"),
            ("(Jane.Doe+x@mail.Example.co.uk).", "(J•••@m•••.uk)."),
            ("mailto:jane@example.org?subject=x", "mailto:j•••@e•••.org?subject=x"),
            ("jane@example.org. Then", "j•••@e•••.org. Then"),
            ("jane@example.org.Then", "j•••@e•••.org.Then"),
            ("jöhn@exämple.org", "j•••@x•••.org"),
            ("пример@почта.рф", "п•••@x•••.xn--p1ai"),
            ("联系我john@qq.com谢谢", "联系我j•••@q•••.com谢谢"),
            ("jane＠example．org", "j•••@e•••.org"),
            ("jane [at] example [dot] com", "j•••@e•••.com"),
            ("jane(at)example.com", "j•••@e•••.com"),
            ("jane (at) example.com", "j•••@e•••.com"),
            ("jane{AT}example{DOT}com", "j•••@e•••.com"),
            ("jane [@] example [.] com", "j•••@e•••.com"),
            ("jane at example dot com", "j•••@e•••.com"),
            ("jane dot doe at example dot co dot uk!", "j•••@e•••.uk!"),
            ("janeATexampleDOTcom", "j•••@e•••.com"),
            ("jane-at-example-dot-com", "j•••@e•••.com"),
            ("reach jane at gmail.com", "reach j•••@g•••.com"),
            ("jane arroba ejemplo punto com", "j•••@e•••.com"),
            ("иван собака пример точка рф", "и•••@x•••.xn--p1ai"),
            ("jane (ät) beispiel (punkt) de", "j•••@b•••.de"),
            ("j a n e @ e x a m p l e . c o m", "j•••@e•••.com"),
            ("jane @ example . com", "j•••@e•••.com"),
            ("jane @example.com", "j•••@e•••.com"),
            ("jane @gmail . com", "j•••@g•••.com"),
            ("jane@example. com", "j•••@e•••.com"),
            ("ja\u{200B}ne\u{200B}@exam\u{200D}ple.com", "j•••@e•••.com"),
            ("jane&#64;example&#46;com", "j•••@e•••.com"),
            ("&#106;&#97;ne&commat;example.com", "j•••@e•••.com"),
            ("?mail=jane%40example.com&x", "?mail=j•••@e•••.com&x"),
            ("jane%2540example%252Ecom", "j•••@e•••.com"),
            ("\"jane doe\"@example.com", "\"•••@e•••.com"),
            ("jane@[192.0.2.1]", "j•••@i•••.ip"),
            ("jane@example.org,joe@example.net", "j•••@e•••.org,j•••@e•••.net"),
            ("𝐣𝐚𝐧𝐞@𝐞𝐱𝐚𝐦𝐩𝐥𝐞.𝐜𝐨𝐦", "j•••@e•••.com"),
            ("root@server.local", "r•••@s•••.local"),
            ("jane#@example.org", "j•••@e•••.org"),
            ("write `jane.doe{}@example.org`", "write `j•••@e•••.org`"),
            ("hong@naver.com입니다", "h•••@n•••.com입니다"),
            ("hong@naver.com\u{200B}으로 연락", "h•••@n•••.com으로 연락"),
            ("jane@example.comна почту", "j•••@e•••.comна почту"),
            ("jane@example.co.ukو", "j•••@e•••.ukو"),
            ("_jane@example.com_ or __joe@example.net__", "_j•••@e•••.com_ or __j•••@e•••.net__"),
            ("jane%40m%C3%BCller.de", "j•••@x•••.de"),
            ("?me=j%C3%B6hn@ex%c3%a4mple.org&x", "?me=j•••@x•••.org&x"),
            ("j%25C3%25B6hn%2540example.org", "j•••@e•••.org"),
            ("%D1%8F%D0%BD@%D0%BF%D0%BE%D1%87%D1%82%D0%B0.%D1%80%D1%84", "я•••@x•••.xn--p1ai"),
            ("jane%EF%BC%A0example.org", "j•••@e•••.org"),
            ("info（at）example.com", "i•••@e•••.com"),
            ("info［AT］example.com", "i•••@e•••.com"),
            ("info＜ at ＞example.com", "i•••@e•••.com"),
            ("JANE (ÄT) BEISPIEL.DE", "J•••@b•••.de"),
            ("jane {ät} beispiel.de", "j•••@b•••.de"),
            ("jane ( ät ) beispiel.de", "j•••@b•••.de"),
            ("jane (aet) beispiel.de", "j•••@b•••.de"),
            ("jane {a} example.com", "j•••@e•••.com"),
            ("jane < at > example.com", "j•••@e•••.com"),
            ("jane (\u{A0}at\u{A0}) example.com", "j•••@e•••.com"),
            ("jane (\t at) example.com", "j•••@e•••.com"),
            ("ИВАН СОБАКА ПРИМЕР.РФ", "И•••@x•••.xn--p1ai"),
            ("jan MAŁPA przyklad.pl", "j•••@p•••.pl"),
            ("jane at example{.}com", "j•••@e•••.com"),
            ("jane_roe_at_gmail_dot_com", "j•••@g•••.com"),
            ("jane&amp;#64;example.com", "j•••@e•••.com"),
            ("jane&amp;commat;example.com", "j•••@e•••.com"),
            ("?m=jane%252540example.com", "?m=j•••@e•••.com"),
            ("?m=jane%28at%29example.com", "?m=j•••@e•••.com"),
            ("?m=jane%5Bat%5Dexample.com", "?m=j•••@e•••.com"),
            ("jane&shy;@exam&ZeroWidthSpace;ple.com", "j•••@e•••.com"),
            ("http://jane@example.org/x", "http://•••@example.org/x"),
            ("http://jane@example.org@example.net", "http://•••@example.net"),
            ("href='http&#58;//jane&#64;example.org'", "href='http&#58;//•••&#64;example.org'"),
            ("http://example.org/jane@example.net", "http://example.org/j•••@e•••.net"),
            ("href=\"//jane@example.org/", "href=\"//•••@example.org/"),
            ("http:\\\\jane@example.org/", "http:\\\\•••@example.org/"),
            ("see // jane@example.org", "see // j•••@e•••.org"),
            ("http://example.org?jane@example.net", "http://example.org?j•••@e•••.net"),
        ] {
            assert_eq!(mask_addresses(text).0, masked, "{text}");
        }
    }

    #[test]
    fn prose_code_and_handles_stay() {
        for text in [
            "look at this dot",
            "Look at the dot com bubble, at that point it was over",
            "user@host and root@localhost",
            "@decorator and @app.route(\"/\") and @name",
            "meet me at example.com or at 10.30",
            "npm i react@18.2.0 numpy@1.26.4 foo@latest",
            "https://social.example/@jane and t.me/@jane",
            "5 @ 3.50 each, 100% @ home",
            "j•••@e•••.org",
            "stay-at-home.com is a site",
            "转发@某人。谢谢",
            "see you with @lovely.shop",
            "first line\n@assembly.Name",
            "a @USER . You know",
            "x=\", y: \"@Url.Action",
            "a @ b. It is",
            "at at at at dot dot dot",
            "http://•••@example.org/x",
            "AT&T; R&D &amp; co",
        ] {
            assert_eq!(mask_addresses(text), (text.into(), 0), "{text}");
        }
    }

    fn local() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z][a-z0-9]{1,10}",
            "[a-zA-Z][a-z0-9]{1,6}[._+-][a-z0-9]{1,6}",
            "[а-я]{2,8}",
            "[a-zäöüé]{2,8}",
        ]
    }

    fn domain() -> impl Strategy<Value = String> {
        let tld = prop::sample::select(vec!["com", "org", "net", "co.uk", "ru", "info", "com.br"]);
        prop_oneof!["[a-z][a-z0-9]{2,10}", "[a-z]{2,5}-[a-z]{2,5}", "[a-zäöü]{3,8}", "[а-я]{3,8}"]
            .prop_map(|label| label.trim_matches('-').to_owned())
            .prop_filter("no words", |label| !super::NO_DOMAINS.contains(&label.as_str()))
            .prop_flat_map(move |label| tld.clone().prop_map(move |tld| format!("{label}.{tld}")))
    }

    /// The address as typed, and the same in a disguise.
    fn disguised() -> impl Strategy<Value = (String, String)> {
        let at = prop::sample::select(vec![
            "@",
            "＠",
            "﹫",
            " @ ",
            "(at)",
            " (at) ",
            "[at]",
            " [ at ] ",
            "{at}",
            "<at>",
            "%40",
            "&#64;",
            "&#x40;",
            "&commat;",
            "[@]",
            " at ",
            "\u{200B}@\u{200B}",
            "(a)",
            " arroba ",
        ]);
        let dot = prop::sample::select(vec![
            ".",
            "．",
            "[.]",
            "(dot)",
            " [dot] ",
            " dot ",
            "&#46;",
            "\u{200B}.",
            " DOT ",
        ]);
        (local(), at, domain(), dot).prop_map(|(local, at, domain, dot)| {
            // A spoken sign with plain dots is prose by intent.
            let dot = if at == " at " && !dot.contains(['d', 'D']) { " dot " } else { dot };
            let text = format!("{local}{at}{}", domain.replace('.', dot));
            (format!("{local}{at}{domain}"), text)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn no_disguise_survives(
            (_, text) in disguised(),
            before in "(\\PC{0,12}[ (,:\n]|)",
            after in "([ ),;!\n]\\PC{0,12}|)",
        ) {
            let whole = format!("{before}{text}{after}");
            let (masked, count) = mask_addresses(&whole);
            prop_assert!(count >= 1, "{}", whole);
            prop_assert!(!masked.contains(&text), "{} -> {}", whole, masked);
        }

        #[test]
        fn masking_twice_changes_nothing(parts in prop::collection::vec(prop_oneof![
            disguised().prop_map(|(_, text)| text),
            "[ .@a-z()&#;%0-9\\[\\]-]{0,6}",
            Just(" at ".to_owned()), Just(" dot com".to_owned()), Just("•••".to_owned()),
            "\\PC{0,4}",
        ], 0..6)) {
            let text = parts.concat();
            let (once, _) = mask_addresses(&text);
            let (twice, count) = mask_addresses(&once);
            prop_assert_eq!(count, 0, "{} -> {}", text, once);
            prop_assert_eq!(&once, &twice);
        }

        #[test]
        fn spans_are_ordered_slices(text in any::<String>(), (_, address) in disguised()) {
            let text = format!("{text}{address}{text}");
            let mut end = 0;
            for span in find_addresses(&text) {
                prop_assert!(span.start >= end && text.get(span.clone()).is_some());
                end = span.end;
            }
        }
    }
}
