//! E-mail addresses that cannot leak.

use email_address::{EmailAddress as Syntax, Options};
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;

use super::{Fingerprint, SiteSecret};

/// What stands for each hidden part of a masked address.
pub const MASK: &str = "•••";

/// Providers that ignore dots in the local part, with the domain their aliases fold to.
/// Google documents this for both of its domains (support.google.com/mail/answer/7436150).
const DOTLESS_PROVIDERS: [(&str, &str); 2] =
    [("gmail.com", "gmail.com"), ("googlemail.com", "gmail.com")];

/// Why a text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Not the syntax of RFC 5321 and RFC 6531 with a domain of at least two labels.
    #[error("not an e-mail address")]
    Syntax,
    /// The domain cannot be written in punycode (RFC 5891, UTS 46).
    #[error("the domain is not a valid internationalised name")]
    Domain,
}

/// A valid e-mail address. It has no `Debug`, `Display` or `Serialize`: the only ways out are
/// keyed fingerprints, the domain, the shape and the masked form.
///
/// ```compile_fail
/// let email = replyguard::domain::EmailAddress::parse("jane@example.org").unwrap();
/// println!("{email}");
/// ```
///
/// ```compile_fail
/// let email = replyguard::domain::EmailAddress::parse("jane@example.org").unwrap();
/// println!("{email:?}");
/// ```
pub struct EmailAddress {
    local: String,
    domain: String,
    /// As it was written, to find it again where the domain is not in punycode.
    written: String,
}

impl EmailAddress {
    /// Parses `text`: one bare address, domain with at least two labels, no display name, no
    /// address literal. The domain is brought to lower case and punycode, the local part kept.
    ///
    /// # Errors
    /// [`EmailError`] without the text, so that an error cannot leak it either.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Syntax)?;
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| EmailError::Domain)?;
        let options = Options::default()
            .with_minimum_sub_domains(2)
            .without_domain_literal()
            .without_display_text();
        Syntax::parse_with_options(&format!("{local}@{domain}"), options)
            .map_err(|_| EmailError::Syntax)?;
        Ok(Self { local: local.to_owned(), domain, written: text.to_owned() })
    }

    /// The fingerprint of the address: domain in lower case and punycode, local part as it is.
    pub fn fingerprint(&self, secret: &SiteSecret) -> Fingerprint {
        secret.fingerprint("email", format!("{}@{}", self.local, self.domain).as_bytes())
    }

    /// The fingerprint of the mailbox behind the address: lower case, without `+tag`, and without
    /// the dots that its provider ignores.
    pub fn folded_fingerprint(&self, secret: &SiteSecret) -> Fingerprint {
        let local = self.local.to_lowercase();
        let local = local.split('+').next().filter(|part| !part.is_empty()).unwrap_or(&local);
        let folded = match DOTLESS_PROVIDERS.iter().find(|(alias, _)| *alias == self.domain) {
            Some((_, provider)) => format!("{}@{provider}", local.replace('.', "")),
            None => format!("{local}@{}", self.domain),
        };
        secret.fingerprint("email-folded", folded.as_bytes())
    }

    /// The domain, in lower case and punycode.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// `j•••@e•••.org`: the first letter of the local part and of the domain, and its last label.
    pub fn masked(&self) -> String {
        let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
        let last_label = self.domain.rsplit('.').next().unwrap_or_default();
        format!("{}{MASK}@{}{MASK}.{last_label}", first(&self.local), first(&self.domain))
    }

    /// The text with this very address masked, whatever the case and also with `%40`, and how
    /// often it stood there; nothing if it does not.
    pub fn mask_in(&self, text: &str) -> Option<(String, u32)> {
        if !text.contains('@') && !text.contains("%40") {
            return None;
        }
        let (mut text, mut count) = (text.to_owned(), 0);
        let masked = self.masked();
        // Lower-casing ASCII moves no byte.
        let mut lower = text.to_ascii_lowercase();
        for (local, sign, domain) in self.forms() {
            let form = format!("{local}{sign}{domain}").to_ascii_lowercase();
            let (mut out, mut copied) = (String::new(), 0);
            let (mut authority, mut read) = (Authority::default(), 0);
            for (at, _) in lower.match_indices(&form) {
                let end = at + form.len();
                text[read..at].chars().for_each(|c| authority.push(c));
                read = at;
                if goes_on(&text[..at], &text[end..]) {
                    continue;
                }
                out.push_str(&text[copied..at]);
                // Where a link leads stays to be seen.
                let user = sign == "@" && authority.inside();
                out.push_str(if user { MASK } else { &masked });
                copied = if user { at + local.len() } else { end };
                count += 1;
            }
            if copied > 0 {
                out.push_str(&text[copied..]);
                text = out;
                lower = text.to_ascii_lowercase();
            }
        }
        (count > 0).then_some((text, count))
    }

    /// The local part, and the domain as it was written and in punycode, to look for in a text.
    pub(crate) fn parts(&self) -> (&str, [&str; 2]) {
        let written = self.written.rsplit_once('@').map_or("", |(_, domain)| domain);
        (&self.local, [written, &self.domain])
    }

    /// How the address may be written: local part, sign and domain, each also with percent signs.
    fn forms(&self) -> Vec<(String, &'static str, String)> {
        let (_, [written, _]) = self.parts();
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let mut locals = vec![self.local.clone(), encoded(&self.local)];
        let mut domains = vec![written.to_owned(), self.domain.clone(), encoded(written)];
        locals.dedup();
        domains.dedup();
        let mut forms = Vec::new();
        for local in &locals {
            for domain in &domains {
                forms.extend(["@", "%40"].map(|sign| (local.clone(), sign, domain.clone())));
            }
        }
        forms
    }

    /// Counts that describe the local part without giving it away.
    pub fn shape(&self, author: Option<&str>) -> EmailShape {
        let local = self.local.to_lowercase();
        let count = |test: fn(char) -> bool| local.chars().filter(|c| test(*c)).count() as u32;
        EmailShape {
            length: local.chars().count() as u32,
            digit_count: count(|c| c.is_ascii_digit()),
            dot_count: count(|c| c == '.'),
            tagged: local.contains('+'),
            matches_author: author.is_some_and(|name| shares_a_name(&local, name)),
        }
    }

    /// All that later stages may know of the address.
    ///
    /// `role` is asked with the local part in lower case and says whether that is a function
    /// (sales, webmaster) and not a person; `disposable` is asked with the domain.
    pub fn traits(
        &self,
        secret: &SiteSecret,
        author: Option<&str>,
        role: impl Fn(&str) -> bool,
        disposable: impl Fn(&str) -> bool,
    ) -> EmailTraits {
        EmailTraits {
            fingerprint: self.fingerprint(secret),
            folded_fingerprint: self.folded_fingerprint(secret),
            domain: self.domain.clone(),
            masked: self.masked(),
            shape: self.shape(author),
            role: role(&self.local.to_lowercase()),
            disposable: disposable(&self.domain),
        }
    }
}

/// Whether an address between two texts is the end or the beginning of a longer one, which is somebody
/// else's.
fn goes_on(before: &str, after: &str) -> bool {
    let local = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
    before.ends_with(local) || after.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// Knows of a text that is read from its front whether the authority of a URL is under way: after two
/// slashes that a scheme (`http://`) or the beginning of a value (`href="//`) comes before.
#[derive(Debug, Default)]
pub struct Authority {
    inside: bool,
    /// How much of the beginning was read: its first sign, that and a slash, all of it.
    begun: u8,
}

impl Authority {
    /// Reads one character on.
    pub fn push(&mut self, c: char) {
        self.begun = match (c, self.begun) {
            // Browsers take more slashes, and the other ones.
            ('/' | '\\', begun @ 1..) => (begun + 1).min(3),
            ('"' | '\'', _) => 1,
            (':' | '=' | '(', _) if !self.inside => 1,
            _ => 0,
        };
        self.inside = self.begun == 3 || (self.inside && !ends_authority(c));
    }

    /// Whether the next character is of an authority, if it does not end it.
    pub fn inside(&self) -> bool {
        self.inside
    }
}

/// Whether the character ends the authority of a URL (RFC 3986, 3.2; browsers: the backslash too).
pub fn ends_authority(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | '\\' | '<' | '>' | '"' | '\'') || c.is_whitespace()
}

/// Whether a word of the author's name, of three letters or more, stands in the local part.
fn shares_a_name(local: &str, author: &str) -> bool {
    author
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word.chars().count() >= 3 && local.contains(word))
}

/// How the local part of an address looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailShape {
    /// Characters of the local part.
    pub length: u32,
    /// Digits in it.
    pub digit_count: u32,
    /// Dots in it.
    pub dot_count: u32,
    /// Whether it has a `+tag`.
    pub tagged: bool,
    /// Whether a word of the author's name stands in it.
    pub matches_author: bool,
}

/// What remains of an e-mail address after hiding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailTraits {
    /// See [`EmailAddress::fingerprint`].
    pub fingerprint: Fingerprint,
    /// See [`EmailAddress::folded_fingerprint`].
    pub folded_fingerprint: Fingerprint,
    /// The domain, in lower case and punycode.
    pub domain: String,
    /// See [`EmailAddress::masked`].
    pub masked: String,
    /// How the local part looks.
    pub shape: EmailShape,
    /// Whether the local part names a function and not a person.
    pub role: bool,
    /// Whether the domain gives out throw-away addresses.
    pub disposable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SiteSecret {
        SiteSecret::from_bytes([9; 32])
    }

    #[test]
    fn strict_syntax() {
        for good in
            ["a@b.org", "jane.doe+x@mail.example.org", "jöhn@exämple.org", "x@xn--exmple-cua.org"]
        {
            assert!(EmailAddress::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "Jane <a@b.org>",
            "a@[192.0.2.1]",
            "a b@c.org",
            "@b.org",
            "a@",
            "a@b..org",
            "a@-b.org",
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fingerprints_normalise_the_domain_alone() {
        let print = |text| EmailAddress::parse(text).ok().unwrap().fingerprint(&secret());
        assert_eq!(print("jane@EXÄMPLE.org"), print("jane@xn--exmple-cua.org"));
        assert_ne!(print("jane@example.org"), print("Jane@example.org"));
    }

    #[test]
    fn folding_finds_the_mailbox() {
        let print = |text| EmailAddress::parse(text).ok().unwrap().folded_fingerprint(&secret());
        assert_eq!(print("jane.doe@gmail.com"), print("JaneDoe+blog@googlemail.com"));
        assert_eq!(print("jane+a@example.org"), print("jane@example.org"));
        assert_ne!(print("jane.doe@example.org"), print("janedoe@example.org"));
    }

    #[test]
    fn the_own_address_is_masked_and_no_other() {
        let masked = |email: &str, text: &str| {
            let email = EmailAddress::parse(email).ok().unwrap();
            email.mask_in(text).map_or_else(|| text.to_owned(), |(masked, _)| masked)
        };
        for (email, text, expected) in [
            ("a@gmail.com", "A@gmail.com, maria@gmail.com", "a•••@g•••.com, maria@gmail.com"),
            ("a@gmail.com", "m.a@gmail.com a@gmail.community", "m.a@gmail.com a@gmail.community"),
            ("jane/r&d@x.org", "?m=jane%2Fr%26d%40x.org&", "?m=j•••@x•••.org&"),
            ("jane/r&d@x.org", "jane/r&d@x.org입니다", "j•••@x•••.org입니다"),
            (
                "ян@пример.рф",
                "?m=%D1%8F%D0%BD@%D0%BF%D1%80%D0%B8%D0%BC%D0%B5%D1%80.%D1%80%D1%84",
                "?m=я•••@x•••.xn--p1ai",
            ),
            ("x@evil.com", "http://x@evil.com/", "http://•••@evil.com/"),
            ("x@evil.com", "http://good.com/x@evil.com", "http://good.com/x•••@e•••.com"),
            (
                "x@evil.com",
                "'//x@evil.com' \"\\\\x@evil.com",
                "'//•••@evil.com' \"\\\\•••@evil.com",
            ),
            ("x@evil.com", "http:\\\\a:b,x@evil.com", "http:\\\\a:b,•••@evil.com"),
            ("x@evil.com", "a // x@evil.com, a/x@evil.com", "a // x•••@e•••.com, a/x•••@e•••.com"),
        ] {
            assert_eq!(masked(email, text), expected, "{text}");
        }
    }

    #[test]
    fn masked_shows_two_letters_and_the_last_label() {
        let email = EmailAddress::parse("jane@example.co.uk").ok().unwrap();
        assert_eq!(email.masked(), "j•••@e•••.uk");
    }
}
