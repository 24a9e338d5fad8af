//! Hiding: from a submission with addresses to one without.
//!
//! This is the only place that turns a [`Submission`] into a [`BlindSubmission`]. Whatever is
//! added to a submission has to pass through here before any check, store or log sees it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::LazyLock;

use super::address::mask_addresses;
use crate::domain::{
    BlindSubmission, EmailTraits, Fingerprint, IpFingerprints, MASK, SiteSecret, Submission,
};

/// Local parts that name a function (sales, webmaster) and not a person.
static ROLE_NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("role_names.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// Takes every e-mail address, and the author's IP address where it stands literally, out of
/// all fields. What remains of both are keyed fingerprints, the address's domain and its shape.
pub fn hide(submission: Submission, secret: &SiteSecret) -> BlindSubmission {
    let ip = submission.ip.map(|ip| ip.to_canonical());
    let blind = |value: Option<String>| value.map(|value| blind_text(value, ip).0);
    let (text, masked_address_count) = blind_text(submission.text, ip);
    let author = blind(submission.author);
    let email = submission.email.map(|email| {
        let role = |local: &str| ROLE_NAMES.contains(local);
        email.traits(secret, author.as_deref(), role, disposable)
    });
    BlindSubmission {
        text,
        avatar_seed: avatar_seed(secret, email.as_ref(), author.as_deref()),
        author,
        email,
        url: submission.url.map(|url| blind_text(url.into(), ip).0),
        ip: ip.map(|ip| IpFingerprints::new(ip, secret)),
        user_agent: blind(submission.user_agent),
        referrer: blind(submission.referrer),
        page_uri: blind(submission.page_uri),
        page_title: blind(submission.page_title),
        page_publish_time: submission.page_publish_time,
        page_closed: submission.page_closed,
        parent_comment: blind(submission.parent_comment),
        lang: submission.lang,
        honeypot: submission.honeypot,
        elapsed_ms: submission.elapsed_ms,
        masked_address_count,
    }
}

/// Whether a domain, or the registrable domain above it, gives out throw-away addresses.
fn disposable(domain: &str) -> bool {
    disposable_emails::is_disposable_domain(domain)
        || psl::domain_str(domain).is_some_and(disposable_emails::is_disposable_domain)
}

/// The same for the same author of a site, and neither a hash of the address nor equal to any
/// other fingerprint of it.
fn avatar_seed(
    secret: &SiteSecret,
    email: Option<&EmailTraits>,
    author: Option<&str>,
) -> Option<Fingerprint> {
    match (email, author) {
        (Some(email), _) => Some(secret.fingerprint("avatar", email.folded_fingerprint.as_bytes())),
        (None, Some(author)) => {
            Some(secret.fingerprint("avatar", author.to_lowercase().as_bytes()))
        }
        (None, None) => None,
    }
}

/// A field without addresses, and how many e-mail addresses it had.
fn blind_text(mut text: String, ip: Option<IpAddr>) -> (String, u32) {
    if let Some(ip) = ip
        && let Cow::Owned(masked) = mask_ip(&text, ip)
    {
        text = masked;
    }
    match mask_addresses(&text) {
        (Cow::Owned(masked), count) => (masked, count),
        (Cow::Borrowed(_), count) => (text, count),
    }
}

/// Bytes of the longest IPv6 address as text (`INET6_ADDRSTRLEN` without its final zero).
const IP_BYTES_MAX: usize = 45;

/// The text without the literal forms of `ip`: any spelling of an IPv6 address, also with
/// percent-encoded colons, and the dotted form of an IPv4 one.
fn mask_ip(text: &str, ip: IpAddr) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let mut run = String::new();
        while let Some((c, width)) = ip_char(&bytes[at..], ip) {
            if run.len() <= IP_BYTES_MAX {
                run.push(c);
            }
            at += width;
        }
        if at == start {
            at += 1;
        } else if let Some((from, to)) = matching(&run, ip)
            .map(|(skip, length)| (start + encoded(&bytes[start..], skip), length))
            .map(|(from, length)| (from, from + encoded(&bytes[from..], length)))
        {
            out.push_str(&text[copied..from]);
            out.push_str(MASK);
            copied = to;
            at = to;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The character of an IP address at the start of `bytes`, and how many bytes write it.
fn ip_char(bytes: &[u8], ip: IpAddr) -> Option<(char, usize)> {
    match (ip, bytes) {
        (_, [digit @ (b'0'..=b'9' | b'.'), ..]) => Some((*digit as char, 1)),
        (IpAddr::V6(_), [b'%', b'3', b'a' | b'A', ..]) => Some((':', 3)),
        (IpAddr::V6(_), [c @ (b':' | b'a'..=b'f' | b'A'..=b'F'), ..]) => Some((*c as char, 1)),
        _ => None,
    }
}

/// Where in a run of its characters the address stands: characters to skip, characters it takes.
fn matching(run: &str, ip: IpAddr) -> Option<(usize, usize)> {
    // A colon or full stop at either end may belong to the sentence.
    let loose = |edge: Option<char>| matches!(edge, Some('.' | ':'));
    let skips = 0..=usize::from(loose(run.chars().next()));
    let cuts = usize::from(loose(run.chars().next_back()));
    skips.flat_map(|skip| (0..=cuts).map(move |cut| (skip, cut))).find_map(|(skip, cut)| {
        let candidate = run.get(skip..run.len().checked_sub(cut)?)?;
        let same = candidate.parse::<IpAddr>().is_ok_and(|found| found.to_canonical() == ip);
        same.then_some((skip, candidate.len()))
    })
}

/// The bytes that write the first `count` characters of an address.
fn encoded(bytes: &[u8], count: usize) -> usize {
    (0..count).fold(0, |at, _| at + if bytes.get(at) == Some(&b'%') { 3 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RawSubmission, RequiredFields};

    fn secret() -> SiteSecret {
        SiteSecret::from_bytes([5; 32])
    }

    fn hidden(raw: RawSubmission) -> BlindSubmission {
        let required = RequiredFields { author: false, email: false };
        match Submission::parse(raw, &required) {
            Ok(submission) => hide(submission, &secret()),
            Err(violations) => panic!("{violations:?}"),
        }
    }

    #[test]
    fn no_field_keeps_an_address() {
        let address = "jane.roe@example.org";
        let raw = RawSubmission {
            text: format!("I am {address}, from 192.0.2.77."),
            author: format!("Jane {address}"),
            email: address.into(),
            url: format!("https://example.org/?me={}&ip=192.0.2.77", address.replace('@', "%40")),
            ip: "192.0.2.77".into(),
            user_agent: format!("Robot ({address})"),
            referrer: format!("https://example.org/{address}"),
            page_uri: "https://example.org/?m=jane.roe%2540example.org".into(),
            page_title: address.into(),
            parent_comment: address.into(),
            ..RawSubmission::default()
        };
        let blind = hidden(raw);
        let written = format!("{blind:?}{}", serde_json::to_string(&blind).unwrap());
        assert!(!written.contains("jane.roe"), "{written}");
        assert!(!written.contains("192.0.2.77"), "{written}");
        assert_eq!(blind.text, "I am j•••@e•••.org, from •••.");
        assert_eq!(blind.masked_address_count, 1);
        assert_eq!(blind.email.unwrap().masked, "j•••@e•••.org");
    }

    #[test]
    fn own_ip_is_found_in_every_spelling() {
        let masked = |text: &str, ip: &str| mask_ip(text, ip.parse().unwrap()).into_owned();
        for text in [
            "2001:db8::1",
            "[2001:DB8:0:0:0:0:0:1]:80",
            "ip:2001:0db8::0001.",
            "x=2001%3Adb8%3a%3A1&y",
        ] {
            let masked = masked(text, "2001:db8::1");
            assert!(masked.contains(MASK) && !masked.contains("db8"), "{text} -> {masked}");
        }
        assert_eq!(masked("192.0.2.1:80, ::ffff:192.0.2.1.", "192.0.2.1"), "•••:80, ::ffff:•••.");
        for text in ["192.0.2.10", "1192.0.2.1", "2001:db8::11", "1.2.3", "10:30:20", "é"] {
            assert_eq!(masked(text, "192.0.2.1"), text);
            assert_eq!(masked(text, "2001:db8::1"), text);
        }
    }

    #[test]
    fn traits_say_role_and_disposable() {
        let email = |address: &str| {
            let raw = RawSubmission {
                text: "x".into(),
                email: address.into(),
                ..RawSubmission::default()
            };
            hidden(raw).email.unwrap()
        };
        assert!(email("webmaster@example.org").role);
        assert!(!email("jane@example.org").role);
        assert!(email("jane@mailinator.com").disposable);
        assert!(email("jane@x.mailinator.com").disposable);
        assert!(!email("jane@example.org").disposable);
    }

    #[test]
    fn avatar_seeds_follow_the_mailbox_and_are_no_other_fingerprint() {
        let seed = |email: &str, author: &str| {
            let raw = RawSubmission {
                text: "x".into(),
                email: email.into(),
                author: author.into(),
                ..RawSubmission::default()
            };
            hidden(raw).avatar_seed
        };
        assert_eq!(seed("jane@example.org", "A"), seed("Jane+x@example.org", "B"));
        assert_ne!(seed("jane@example.org", "A"), seed("", "A"));
        assert_eq!(seed("", "A"), seed("", "a"));
        assert_eq!(seed("", ""), None);
    }
}
