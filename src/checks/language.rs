//! Scripts that no reader of the site can read.

use std::ops::Range;

use unicode_script::{Script, UnicodeScript};

use super::{CheckInput, Findings};
use crate::domain::signals::UNEXPECTED_LANGUAGE;
use crate::text::ScriptTally;

/// Letters below which a text says too little about its language.
const LETTER_COUNT_MIN: u32 = 20;

/// Finds `unexpected-language`, only where the script leaves no doubt: most letters are of a
/// script that none of the site's languages is written in. Telling languages of one script
/// apart is the model's work.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let languages = &input.policy().languages;
    if languages.is_empty() {
        return;
    }
    let analysis = input.analysis;
    let links = analysis.links.iter().map(|link| link.span.clone());
    let scripts_found = scripts_outside(&analysis.submission.text, links);
    if scripts_found.letter_count() < LETTER_COUNT_MIN {
        return;
    }
    let Some(script) = scripts_found.main() else { return };
    let expected =
        |language: &String| scripts(language).is_none_or(|scripts| scripts.contains(&script));
    if !languages.iter().any(expected) {
        findings.add(&UNEXPECTED_LANGUAGE, format!("written in {}", script.full_name()));
    }
}

/// The scripts of the letters outside of links, whose letters are of no language.
fn scripts_outside(text: &str, links: impl Iterator<Item = Range<usize>>) -> ScriptTally {
    let mut scripts = ScriptTally::default();
    let mut start = 0;
    for link in links.chain(std::iter::once(text.len()..text.len())) {
        let outside = &text[start..link.start.max(start)];
        outside.chars().filter(|c| c.is_alphabetic()).for_each(|c| scripts.add(c.script()));
        start = link.end.max(start);
    }
    scripts
}

/// The scripts a language is written in (CLDR's likely scripts); nothing for a language that is
/// not in the table, which then may be written in any.
fn scripts(language: &str) -> Option<&'static [Script]> {
    let primary = language.split(['-', '_']).next().unwrap_or_default();
    Some(match primary {
        "en" | "de" | "fr" | "es" | "it" | "pt" | "nl" | "sv" | "da" | "nb" | "nn" | "no"
        | "fi" | "is" | "pl" | "cs" | "sk" | "sl" | "hr" | "hu" | "ro" | "et" | "lv" | "lt"
        | "tr" | "vi" | "id" | "ms" | "tl" | "fil" | "sw" | "ca" | "eu" | "gl" | "ga" | "cy"
        | "sq" | "af" | "eo" | "la" => &[Script::Latin],
        "ru" | "uk" | "be" | "bg" | "mk" | "ky" | "tg" => &[Script::Cyrillic],
        "sr" | "bs" | "uz" | "az" | "kk" | "tt" => {
            &[Script::Cyrillic, Script::Latin, Script::Arabic]
        }
        "el" => &[Script::Greek],
        "ar" | "fa" | "ur" | "ps" | "ug" => &[Script::Arabic],
        "he" | "yi" => &[Script::Hebrew],
        "zh" | "yue" => &[Script::Han, Script::Bopomofo],
        "ja" => &[Script::Han, Script::Hiragana, Script::Katakana],
        "ko" => &[Script::Hangul, Script::Han],
        "hi" | "mr" | "ne" => &[Script::Devanagari],
        "bn" | "as" => &[Script::Bengali],
        "ta" => &[Script::Tamil],
        "te" => &[Script::Telugu],
        "th" => &[Script::Thai],
        "ka" => &[Script::Georgian],
        "hy" => &[Script::Armenian],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::find_links;

    #[test]
    fn addresses_have_no_language() {
        let main = |text: &str| {
            let links = find_links(text);
            let found = scripts_outside(text, links.iter().map(|link| link.span.clone()));
            (found.main(), found.letter_count())
        };
        let text = "这篇文章说得很好，我在这里也看到过 https://www.example.com/some/very/long/path";
        assert_eq!(main(text), (Some(Script::Han), 16));
        assert_eq!(main("see https://example.com/a and b"), (Some(Script::Latin), 7));
        assert_eq!(main("https://example.com/a"), (None, 0));
        assert_eq!(main("1 2 3"), (None, 0));
    }
}
