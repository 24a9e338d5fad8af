//! Hiding: from a submission with addresses to one without.
//!
//! This is the only place that turns a [`Submission`] into a [`BlindSubmission`]. Whatever is
//! added to a submission has to pass through here before any check, store or log sees it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

use super::address::{mask_addresses, mask_own};
use super::ip::mask_ip;
use crate::domain::{
    BlindSubmission, EmailAddress, EmailTraits, Fingerprint, IpFingerprints, SiteSecret, Submission,
};

/// Local parts that name a function (sales, webmaster) and not a person.
static ROLE_NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("role_names.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// Takes every e-mail address, and the author's IP address where it stands literally, out of
/// all fields. What remains of both are keyed fingerprints, the address's domain and its shape.
pub fn hide(submission: Submission, secret: &SiteSecret) -> BlindSubmission {
    let ip = submission.ip.map(|ip| ip.to_canonical());
    let own = submission.email.as_ref();
    let blind = |value: Option<String>| value.map(|value| blind_text(value, ip, own).0);
    let (text, masked_address_count) = blind_text(submission.text, ip, own);
    let author = blind(submission.author);
    let email = own.map(|email| {
        let role = |local: &str| ROLE_NAMES.contains(local);
        email.traits(secret, author.as_deref(), role, disposable)
    });
    BlindSubmission {
        text,
        avatar_seed: avatar_seed(secret, email.as_ref(), author.as_deref()),
        author,
        email,
        url: submission.url.map(|url| blind_text(url.into(), ip, own).0),
        url_unreadable: submission.url_unreadable,
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

/// Domains whose answer each thread remembers.
const KNOWN_COUNT: usize = 256;

/// A domain and whether it is disposable.
type KnownDomain = Option<(Box<str>, bool)>;

thread_local! {
    /// Domains and whether they are disposable, each where its hash says. Most authors have one of
    /// a few domains, and two searches of a list of 72,000 miss the processor's caches: 2 µs.
    static KNOWN: RefCell<[KnownDomain; KNOWN_COUNT]> =
        const { RefCell::new([const { None }; KNOWN_COUNT]) };
}

/// Whether a domain, or the registrable domain above it, gives out throw-away addresses.
fn disposable(domain: &str) -> bool {
    KNOWN.with_borrow_mut(|known| {
        let place = &mut known[xxh3_64(domain.as_bytes()) as usize % KNOWN_COUNT];
        match place {
            Some((known, answer)) if **known == *domain => *answer,
            _ => place.insert((domain.into(), is_listed(domain))).1,
        }
    })
}

fn is_listed(domain: &str) -> bool {
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
///
/// The author's own address is known, so it is taken out letter by letter before addresses are
/// looked for: the form accepts local parts that in a text are no address to any reader. What is left
/// after that is looked through for spellings of it that of somebody unknown would be prose.
fn blind_text(mut text: String, ip: Option<IpAddr>, own: Option<&EmailAddress>) -> (String, u32) {
    if let Some(masked) = ip.and_then(|ip| mask_ip(&text, ip)) {
        text = masked;
    }
    let mut own_count = 0;
    if let Some((masked, count)) = own.and_then(|own| own.mask_in(&text)) {
        (text, own_count) = (masked, count);
    }
    let (found, mut count) = mask_addresses(&text);
    if let Cow::Owned(masked) = found {
        text = masked;
    }
    if let Some((masked, spelt)) = own.and_then(|own| mask_own(&text, own)) {
        (text, count) = (masked, count + spelt);
    }
    (text, own_count + count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MASK, RawSubmission, RequiredFields};

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
        let masked = |text: &str, ip: &str| {
            mask_ip(text, ip.parse().unwrap()).unwrap_or_else(|| text.to_owned())
        };
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
        // More than are remembered, so that some take the place of others.
        for _ in 0..2 {
            for n in 0..2 * KNOWN_COUNT {
                assert!(!email(&format!("jane@example{n}.org")).disposable, "{n}");
                assert!(n % 9 > 0 || email("jane@mailinator.com").disposable, "{n}");
            }
        }
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
