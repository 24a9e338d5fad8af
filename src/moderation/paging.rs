//! Page tokens: opaque to callers, and good only for the list that they came from.

use xxhash_rust::xxh3::xxh3_64;

use super::ModerationError;
use super::ports::review::Cursor;

/// Most rows of a page (AIP-158).
pub const PAGE_SIZE_MAX: usize = 1_000;
/// Rows of a page if the caller does not say.
pub const PAGE_SIZE_DEFAULT: usize = 50;

/// The rows of a page for what a caller asked.
///
/// # Errors
/// `Invalid` for a size below 0.
pub fn page_size(asked: i32) -> Result<usize, ModerationError> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(ModerationError::field("page_size", "out-of-range", "At least 0 is taken.")),
    }
}

/// The token of a place in `list`, which names all that the list depends on.
pub fn token(list: &str, cursor: &Cursor) -> String {
    let mut bytes = xxh3_64(list.as_bytes()).to_be_bytes().to_vec();
    bytes.extend(cursor.key.to_bits().to_be_bytes());
    bytes.extend(&cursor.tie);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The place that a token of `list` stands for; nothing for the empty token.
///
/// # Errors
/// `Invalid` if it is none, or of another list.
pub fn cursor(list: &str, token: &str) -> Result<Option<Cursor>, ModerationError> {
    if token.is_empty() {
        return Ok(None);
    }
    let text = "This page token is none, or of a list with another filter or order.";
    let bad = || ModerationError::field("page_token", "invalid-token", text);
    let bytes = decode(token).filter(|bytes| (17..=48).contains(&bytes.len())).ok_or_else(bad)?;
    let eight = |from: usize| -> [u8; 8] { bytes[from..from + 8].try_into().unwrap_or_default() };
    let key = f64::from_bits(u64::from_be_bytes(eight(8)));
    if eight(0) != xxh3_64(list.as_bytes()).to_be_bytes() || !key.is_finite() {
        return Err(bad());
    }
    Ok(Some(Cursor { key, tie: bytes[16..].to_vec() }))
}

fn decode(token: &str) -> Option<Vec<u8>> {
    if !token.is_ascii() || !token.len().is_multiple_of(2) {
        return None;
    }
    let pair = |at: usize| u8::from_str_radix(token.get(at..at + 2)?, 16).ok();
    (0..token.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_for_their_own_list_only() {
        let place = Cursor { key: 0.25, tie: vec![1; 16] };
        let text = token("queue:blog:newest", &place);
        assert_eq!(cursor("queue:blog:newest", &text).unwrap(), Some(place));
        assert_eq!(cursor("queue:blog:newest", "").unwrap(), None);
        let (first, _) = text.split_at(20);
        for bad in [first, "zz", "a", "é", &"00".repeat(60), &text.replace('1', "x")] {
            assert!(cursor("queue:blog:newest", bad).is_err(), "{bad}");
        }
        assert!(cursor("queue:blog:oldest", &text).is_err());
    }
}
