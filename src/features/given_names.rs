//! Names that programs make: a common given name with letters added that mean nothing.

use std::sync::LazyLock;

/// Endings with which a given name is another name or a surname.
const ENDINGS: [&str; 14] = [
    "son", "sen", "ston", "man", "ny", "ie", "ta", "na", "line", "lyn", "lynn", "ette", "ella",
    "ina",
];

/// In small letters, in alphabetical order.
static GIVEN_NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lines = include_str!("given_names.txt").lines();
    lines.filter(|line| !line.starts_with('#')).collect()
});

/// Whether a name is one word that begins with the longest given name it can and goes on for two
/// to seven small letters, such as `Henrytub`. Few people are called so, and much of what
/// programs post is signed so.
pub(super) fn is_extended(name: &str) -> bool {
    let name = name.trim();
    let letters = name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !letters || !name.starts_with(|c: char| c.is_ascii_uppercase()) || name.len() > 24 {
        return false;
    }
    let is_small = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase());
    // Longest first: `Johnny` is no `John` with letters added.
    let lower = name.to_ascii_lowercase();
    let given = (2..=name.len()).rev().find(|end| is_given(&lower[..*end]));
    given.is_some_and(|end| {
        let added = &name[end..];
        (2..=7).contains(&added.len()) && is_small(&name[1..]) && !ENDINGS.contains(&added)
    })
}

fn is_given(name: &str) -> bool {
    GIVEN_NAMES.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_letters_added_are_told_from_names() {
        assert!(GIVEN_NAMES.is_sorted() && GIVEN_NAMES.len() > 200);
        for made in ["Henrytub", "Michaelgox", "Williamtef", " Andrewbum "] {
            assert!(is_extended(made), "{made}");
        }
        for name in [
            "Henry",
            "Johnny",
            "Robertson",
            "Davidsen",
            "Williams",
            "Christina",
            "Anna",
            "Annaline",
            "henrytub",
            "HenryTub",
            "Henry Tub",
            "Henrytub7",
            "Xavierle",
            "",
            "Ann",
        ] {
            assert!(!is_extended(name), "{name}");
        }
    }
}
