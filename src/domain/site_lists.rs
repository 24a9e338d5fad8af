//! The lists of a policy: what an entry may be, and its canonical form.

use std::collections::BTreeSet;

use super::SitePolicy;

/// Entries of one list of a policy.
pub const LIST_ENTRIES_MAX: usize = 1_000;
/// Bytes of one entry of a list.
pub const LIST_ENTRY_BYTES_MAX: usize = 200;

impl SitePolicy {
    /// The policy with its lists in the form that comments are compared with: hosts in lower case
    /// and punycode without `https://`, `www.` or `*.` in front, languages as primary subtags.
    /// Entries that are none stay as they are, for [`SitePolicy::violations`] to report.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        for list in [&mut self.host_blocklist, &mut self.host_allowlist] {
            *list = each(list, listed_host);
        }
        self.languages = each(&self.languages, listed_language);
        self
    }

    /// What is wrong with the lists: field, reason and description.
    pub(super) fn list_problems(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, String)> {
        let words =
            [("policy.hold_words", &self.words.hold), ("policy.reject_words", &self.words.reject)];
        let hosts = [
            ("policy.blocklist_hosts", &self.host_blocklist),
            ("policy.allowlist_hosts", &self.host_allowlist),
        ];
        let sets = hosts.into_iter().chain([("policy.languages", &self.languages)]);
        let sizes = words
            .map(|(field, list)| (field, list.len(), list.iter().map(String::len).max()))
            .into_iter()
            .chain(
                sets.map(|(field, list)| (field, list.len(), list.iter().map(String::len).max())),
            );
        let too_long = sizes
            .filter(|(_, count, longest)| {
                *count > LIST_ENTRIES_MAX || longest.unwrap_or(0) > LIST_ENTRY_BYTES_MAX
            })
            .map(|(field, ..)| {
                let text = format!(
                    "At most {LIST_ENTRIES_MAX} entries of {LIST_ENTRY_BYTES_MAX} bytes are taken."
                );
                (field, "too-long", text)
            });
        let blank = words
            .into_iter()
            .filter(|(_, list)| list.iter().any(|word| word.trim().is_empty()))
            .map(|(field, _)| (field, "blank", "A word must not be blank.".into()));
        let no_host = hosts
            .into_iter()
            .filter(|(_, list)| list.iter().any(|entry| listed_host(entry).is_none()))
            .map(|(field, _)| {
                let text = "Host names alone are expected, such as `example.com`: no paths, no \
                     ports, no addresses.";
                (field, "invalid-host", text.into())
            });
        let no_language = self.languages.iter().any(|entry| listed_language(entry).is_none());
        let no_language = no_language.then(|| {
            let text = "Language tags are expected, such as `en` or `pt-BR`.";
            ("policy.languages", "invalid-language", text.into())
        });
        too_long.chain(blank).chain(no_host).chain(no_language)
    }
}

fn each(list: &BTreeSet<String>, canonical: impl Fn(&str) -> Option<String>) -> BTreeSet<String> {
    list.iter().map(|entry| canonical(entry).unwrap_or_else(|| entry.clone())).collect()
}

/// A host of a list in lower case and punycode, from any of the ways that people write one. A top
/// level domain is one too.
fn listed_host(entry: &str) -> Option<String> {
    let entry = entry.trim();
    let entry = entry.split_once("://").map_or(entry, |(_, rest)| rest);
    let entry = entry.strip_suffix('/').unwrap_or(entry);
    let entry = entry.strip_prefix("*.").unwrap_or(entry).trim_matches('.');
    let host = idna::domain_to_ascii(entry).ok()?;
    let host = host.strip_prefix("www.").filter(|rest| rest.contains('.')).unwrap_or(&host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let number = host.rsplit('.').next()?.bytes().all(|b| b.is_ascii_digit());
    (host.len() <= 253 && !number && host.split('.').all(label)).then(|| host.to_owned())
}

/// The primary subtag of a language tag (RFC 5646) in lower case.
fn listed_language(entry: &str) -> Option<String> {
    let primary = entry.trim().split(['-', '_']).next()?.to_ascii_lowercase();
    let letters = primary.bytes().all(|b| b.is_ascii_lowercase());
    ((2..=3).contains(&primary.len()) && letters).then_some(primary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_as_people_write_them() {
        for (written, canonical) in [
            ("Example.COM", "example.com"),
            (" https://www.example.com/ ", "example.com"),
            ("*.example.com", "example.com"),
            (".example.com.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("ru", "ru"),
            ("www.de", "www.de"),
            ("my_shop.example", "my_shop.example"),
        ] {
            assert_eq!(listed_host(written).as_deref(), Some(canonical), "{written}");
        }
        for bad in ["", "*", "example.com/path", "example.com:80", "a b.com", "192.0.2.1", "a..b"] {
            assert_eq!(listed_host(bad), None, "{bad}");
        }
    }

    #[test]
    fn languages_are_primary_subtags() {
        assert_eq!(listed_language("pt-BR").as_deref(), Some("pt"));
        assert_eq!(listed_language(" EN_us").as_deref(), Some("en"));
        assert_eq!(listed_language("english"), None);
        assert_eq!(listed_language(""), None);
    }

    #[test]
    fn what_is_no_entry_stays_to_be_reported() {
        let set = |entries: &[&str]| entries.iter().map(|&entry| entry.to_owned()).collect();
        let policy = SitePolicy {
            host_blocklist: set(&["WWW.Spam.example", "spam.example", "a/b"]),
            languages: set(&["de-AT", "klingon"]),
            ..SitePolicy::default()
        };
        let policy = policy.canonical();
        assert_eq!(policy.host_blocklist, set(&["a/b", "spam.example"]));
        assert_eq!(policy.languages, set(&["de", "klingon"]));
        let reasons: Vec<_> = policy.violations().into_iter().map(|v| v.reason).collect();
        assert_eq!(reasons, ["invalid-host", "invalid-language"]);
    }
}
