//! What hosts are for: a link to a code host is not a link to a shop.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::text::Link;

/// The groups of `hosts.txt`, by host or registered domain.
static GROUPS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let mut group = "";
    let mut hosts = HashMap::new();
    for line in include_str!("hosts.txt").lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            group = name.trim_end_matches(']');
        } else {
            hosts.insert(line, group);
        }
    }
    hosts
});

/// Top-level domains that are kept for documentation and tests (RFC 2606, RFC 6761).
const RESERVED_TLDS: [&str; 4] = ["example", "test", "invalid", "localhost"];
/// Domains that are kept for documentation (RFC 2606).
const RESERVED_DOMAINS: [&str; 3] = ["example.com", "example.net", "example.org"];

/// What a host says of itself before the ending that is kept for documentation (`shop` of
/// `shop.example`); none for hosts that can exist. Such endings are in examples alone, so what the
/// seed corpus seems to say of them means nothing for comments.
pub(super) fn before_reserved(host: &str) -> Option<&str> {
    let ending = |ending: &&str| {
        host.strip_suffix(*ending).filter(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let rest = RESERVED_TLDS.iter().chain(&RESERVED_DOMAINS).find_map(ending)?;
    Some(rest.trim_end_matches('.'))
}

/// The group that the host of a link belongs to.
pub(super) fn group(link: &Link<'_>) -> Option<&'static str> {
    let host = link.host.as_str();
    let known = GROUPS
        .get(host.strip_prefix("www.").unwrap_or(host))
        .or_else(|| GROUPS.get(link.registered_domain()));
    match (known, link.tld()) {
        (Some(group), _) => Some(group),
        (None, "gov" | "edu") => Some("reading"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::find_links;

    #[test]
    fn endings_for_documentation_are_cut_off_and_real_ones_stay() {
        for (host, before) in [
            ("lucky-spins.example", Some("lucky-spins")),
            ("a.b.test", Some("a.b")),
            ("localhost", Some("")),
            ("www.example.com", Some("www")),
            ("example.org", Some("")),
            ("myexample.com", None),
            ("example.co.uk", None),
            ("test.com", None),
        ] {
            assert_eq!(before_reserved(host), before, "{host}");
        }
    }

    #[test]
    fn a_host_is_known_whole_or_by_its_domain() {
        let of = |text: &str| find_links(text).first().and_then(group);
        assert_eq!(of("http://www.github.com/x"), Some("code"));
        assert_eq!(of("http://jane.wordpress.com/2014/03/x"), Some("pages"));
        assert_eq!(of("http://sites.google.com/x"), Some("pages"));
        assert_eq!(of("https://math.example.edu"), Some("reading"));
        assert_eq!(of("http://shop.example.com"), None);
    }
}
