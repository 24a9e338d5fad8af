//! Scripts that no reader of the site can read.

use unicode_script::Script;

use super::{CheckInput, Findings};
use crate::domain::signals::UNEXPECTED_LANGUAGE;

/// Letters below which a text says too little about its language.
const LETTER_COUNT_MIN: u32 = 20;

/// Finds `unexpected-language`, only where the script leaves no doubt: most letters are of a
/// script that none of the site's languages is written in. Telling languages of one script
/// apart is the model's work.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let languages = &input.policy().languages;
    let counts = &input.analysis.counts;
    let Some(script) = counts.main_script else { return };
    if languages.is_empty() || counts.letter_count < LETTER_COUNT_MIN {
        return;
    }
    let expected =
        |language: &String| scripts(language).is_none_or(|scripts| scripts.contains(&script));
    if !languages.iter().any(expected) {
        findings.add(&UNEXPECTED_LANGUAGE, format!("written in {}", script.full_name()));
    }
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
