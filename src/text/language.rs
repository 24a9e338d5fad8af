//! Which language a text is written in, as far as can be told. Takes tens of microseconds, so it is
//! for reports and not for checks.

/// Letters below which nothing can be told.
const LETTER_COUNT_MIN: usize = 20;
/// Characters looked at.
const CHARACTER_COUNT_MAX: usize = 600;
/// Confidence from which a guess is taken, 0–1. whatlang itself calls 0.9 reliable, which leaves
/// half of all short comments unclear.
const CONFIDENCE_MIN: f64 = 0.5;

/// The language's English name; `unclear` if it cannot be told.
pub fn language(text: &str) -> &'static str {
    let cut = text.char_indices().nth(CHARACTER_COUNT_MAX).map_or(text.len(), |(at, _)| at);
    let text = &text[..cut];
    // Scripts without spaces say in few letters what others say in many.
    let weight = |c: char| if c.is_alphabetic() { c.len_utf8().min(3) } else { 0 };
    if text.chars().map(weight).sum::<usize>() < LETTER_COUNT_MIN {
        return "unclear";
    }
    let told = whatlang::detect(text).filter(|info| info.confidence() >= CONFIDENCE_MIN);
    told.map_or("unclear", |info| info.lang().eng_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_where_they_can_be() {
        for (text, expected) in [
            ("I baked this bread twice last week and the crust was better each time", "English"),
            ("Ich habe das Brot letzte Woche zweimal gebacken und es war sehr gut", "German"),
            ("Я вчера испекла этот хлеб, и он получился очень вкусным", "Russian"),
            ("这个面包我上周做了两次，味道很好", "Mandarin"),
            ("ok", "unclear"),
            ("", "unclear"),
        ] {
            assert_eq!(language(text), expected, "{text}");
        }
    }
}
