//! Prints of a text: one to find the same text again, one to find a text much like it.

use xxhash_rust::xxh3::xxh3_64;

use super::links::Link;
use super::normalize::{Normalized, Token};
use crate::domain::ContentPrint;

/// Shingles from which likeness means something. Seven words have thirteen; below that, thanks
/// and greetings of different people look alike.
const SHINGLE_COUNT_MIN: u32 = 13;

/// The prints of a text whose links are known.
///
/// The content hash (XXH3) ignores case, punctuation, white space and disguise. The SimHash
/// (Charikar 2002, 128 bits, so that unlike texts stay far apart) is taken over words and pairs of words, or over characters and pairs
/// of them in scripts without spaces; a link counts as its host, a number as its length, so that
/// campaigns that only vary these stay together.
pub(super) fn content_print(text: &Normalized, links: &[Link<'_>]) -> ContentPrint {
    let mut squeezed = String::with_capacity(text.text().len());
    let mut likeness = Likeness::default();
    let mut links = links.iter().peekable();
    let mut in_link = false;
    for word in text.words() {
        squeezed.push_str(word.text);
        while links.peek().is_some_and(|link| link.span.end <= word.span.start) {
            links.next();
            in_link = false;
        }
        match links.peek() {
            Some(link) if link.span.start < word.span.end => {
                if !in_link {
                    likeness.add(xxh3_64(link.host.as_bytes()));
                }
                in_link = true;
            }
            _ => likeness.add_word(&word),
        }
    }
    let comparable = likeness.count >= SHINGLE_COUNT_MIN;
    // A text without words, of emoji or signs, is compared as it is.
    let exact = if squeezed.is_empty() { text.text() } else { &squeezed };
    let content_hash = xxh3_64(exact.as_bytes());
    ContentPrint {
        content_hash,
        // Zero is stored as "too short for likeness".
        simhash: if comparable { likeness.digest() } else { 0 },
        comparable,
    }
}

/// Byte `b` spread over eight byte lanes, so that one addition counts eight bits.
const LANES: [u64; 256] = {
    let mut lanes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            lanes[byte] |= ((byte as u64 >> bit) & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    lanes
};

/// Counts for each of 128 bits in how many shingles it is set.
struct Likeness {
    /// Counts of the last shingles, at most 255, in byte lanes.
    lanes: [u64; 16],
    lane_count: u32,
    counts: [u32; 128],
    count: u32,
    last: Option<u64>,
}

impl Default for Likeness {
    fn default() -> Self {
        Self { lanes: [0; 16], lane_count: 0, counts: [0; 128], count: 0, last: None }
    }
}

impl Likeness {
    fn add_word(&mut self, word: &Token<'_>) {
        if word.unspaced {
            let mut utf8 = [0; 4];
            for c in word.text.chars() {
                self.add(xxh3_64(c.encode_utf8(&mut utf8).as_bytes()));
            }
        } else if word.text.starts_with(|c: char| c.is_ascii_digit())
            && word.text.bytes().all(|b| b.is_ascii_digit())
        {
            self.add(word.text.len() as u64);
        } else {
            self.add(word.hash);
        }
    }

    /// Adds a unit, and its pair with the one before.
    fn add(&mut self, hash: u64) {
        self.add_shingle(mix(hash));
        if let Some(last) = self.last.replace(hash) {
            self.add_shingle(mix(last.rotate_left(23) ^ hash));
        }
    }

    fn add_shingle(&mut self, hash: u64) {
        let wide = u128::from(hash) << 64 | u128::from(mix(hash));
        for (lane, byte) in self.lanes.iter_mut().zip(wide.to_le_bytes()) {
            *lane += LANES[byte as usize];
        }
        self.count += 1;
        self.lane_count += 1;
        if self.lane_count == 255 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for (counts, lane) in self.counts.chunks_exact_mut(8).zip(&mut self.lanes) {
            for (count, byte) in counts.iter_mut().zip(lane.to_le_bytes()) {
                *count += u32::from(byte);
            }
            *lane = 0;
        }
        self.lane_count = 0;
    }

    fn digest(&mut self) -> u128 {
        self.flush();
        let set = |count: &u32| 2 * count > self.count;
        (0..128).filter(|bit| set(&self.counts[*bit])).fold(0, |hash, bit| hash | 1 << bit)
    }
}

/// Spreads a hash over all bits (the finaliser of SplitMix64).
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{find_links, normalize};

    fn print(text: &str) -> ContentPrint {
        content_print(&normalize(text), &find_links(text))
    }

    fn distance(a: &str, b: &str) -> u32 {
        (print(a).simhash ^ print(b).simhash).count_ones()
    }

    const CAMPAIGN: &str = "Our team helps small shops to get thousands of visitors every month, \
        write to us today and the first week is free for you, see http://shop.example.com/a1";

    #[test]
    fn equality_ignores_dress() {
        let same =
            ["Buy now, it's cheap!", "  BUY   now: it's cheap", "𝐁𝐮𝐲 n\u{200B}ow it’s ch\u{AD}eap"];
        assert!(same.iter().all(|text| print(text).content_hash == print(same[0]).content_hash));
        assert_ne!(print("Buy now").content_hash, print("Buy not").content_hash);
        assert_ne!(print("👍").content_hash, print("👎").content_hash);
    }

    #[test]
    fn likeness_bears_small_changes() {
        let varied = CAMPAIGN.replace("/a1", "/b2?x=9").replace("small shops", "little shops");
        assert!(distance(CAMPAIGN, &varied) <= 24, "{}", distance(CAMPAIGN, &varied));
        let other = "I read the article twice and still think that the second table is wrong, \
            because the numbers for March don't add up to what the ministry published";
        assert!(distance(CAMPAIGN, other) >= 40, "{}", distance(CAMPAIGN, other));
        assert_eq!(distance("有需要的朋友请加微信详谈", "有需要的朋友，请加微信详谈！"), 0);
    }

    #[test]
    fn short_texts_are_not_compared() {
        assert!(!print("Thanks, that was very helpful").comparable);
        assert!(print(CAMPAIGN).comparable);
        assert!(print("有需要的朋友请加微信详谈").comparable);
    }

    #[test]
    fn more_than_255_shingles_are_counted() {
        let long: String = (0..2_000).map(|i| format!("word{i} ")).collect();
        let prefix = &long[..long.len() / 10 * 9];
        assert!(distance(&long, prefix) <= 24);
    }
}
