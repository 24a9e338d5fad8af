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
    fn a_host_is_known_whole_or_by_its_domain() {
        let of = |text: &str| find_links(text).first().and_then(group);
        assert_eq!(of("http://www.github.com/x"), Some("code"));
        assert_eq!(of("http://jane.wordpress.com/2014/03/x"), Some("pages"));
        assert_eq!(of("http://sites.google.com/x"), Some("pages"));
        assert_eq!(of("https://math.example.edu"), Some("reading"));
        assert_eq!(of("http://shop.example.com"), None);
    }
}
