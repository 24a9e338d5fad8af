//! Prints of a text: one to find the same text again, one to find a text much like it.

use xxhash_rust::xxh3::xxh3_64;

use super::chars::{self, Unspaced};
use super::links::Link;
use super::normalize::{Normalized, Token};
use crate::domain::ContentPrint;

/// Twelfths of a word from which likeness means something: seven words. Below that, thanks and
/// greetings of different people look alike.
const SUBSTANCE_MIN: u32 = 7 * WORD;
/// A word, in twelfths.
const WORD: u32 = 12;

/// How much of a word a character is in a script without spaces, in twelfths. Estimates: so much that
/// common thanks in these scripts stay below what is compared, as they do in others (see the tests).
const fn substance(script: Unspaced) -> u32 {
    match script {
        Unspaced::Han => 7,
        Unspaced::Hiragana | Unspaced::Katakana => 4,
        Unspaced::SouthEastAsian => 3,
    }
}

/// The prints of a text whose links are known.
///
/// The content hash (XXH3) ignores case, punctuation, white space and disguise, but not in the host
/// of a link: `my-shop.example` is another site than `myshop.example`. The SimHash
/// (Charikar 2002, 128 bits, so that unlike texts stay far apart) is taken over words and pairs of words, or over characters and pairs
/// of them in scripts without spaces; a link counts as its host, a number as its length, so that
/// campaigns that only vary these stay together.
pub(super) fn content_print(text: &Normalized, links: &[Link<'_>]) -> ContentPrint {
    let mut squeezed = String::with_capacity(text.text().len());
    let mut likeness = Likeness::default();
    let mut links = links.iter().peekable();
    let mut in_link = false;
    for word in text.words() {
        while links.peek().is_some_and(|link| link.span.end <= word.span.start) {
            links.next();
            in_link = false;
        }
        match links.peek() {
            Some(link) if link.span.start < word.span.end => {
                if !in_link {
                    likeness.substance += WORD;
                    likeness.add(xxh3_64(link.host.as_bytes()));
                    // No word has a NUL.
                    squeezed.extend(["\0", link.host.as_str(), "\0"]);
                }
                in_link = true;
            }
            _ => likeness.add_word(&word),
        }
        squeezed.push_str(word.text);
    }
    let comparable = likeness.substance >= SUBSTANCE_MIN;
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
    /// What the text says, in twelfths of a word.
    substance: u32,
}

impl Default for Likeness {
    fn default() -> Self {
        Self { lanes: [0; 16], lane_count: 0, counts: [0; 128], count: 0, last: None, substance: 0 }
    }
}

impl Likeness {
    fn add_word(&mut self, word: &Token<'_>) {
        if word.unspaced {
            let mut utf8 = [0; 4];
            for c in word.text.chars() {
                self.substance += chars::unspaced(c).map_or(0, substance);
                self.add(xxh3_64(c.encode_utf8(&mut utf8).as_bytes()));
            }
            return;
        }
        self.substance += WORD;
        if word.text.starts_with(|c: char| c.is_ascii_digit())
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
        let hosts = ["myshop.com", "my-shop.com", "my.shop.com"];
        let hashes =
            hosts.map(|host| print(&format!("See https://{host}/x for more")).content_hash);
        assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
        let dress = print("see: https://MyShop.com/X for MORE").content_hash;
        assert_eq!(hashes[0], dress, "case of a path as before");
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
        for thanks in [
            "ありがとうございます！",
            "感谢楼主的分享",
            "非常感谢您的分享",
            "ขอบคุณมากครับ",
            "ขอบคุณสำหรับข้อมูลค่ะ",
            "참 좋은 글 감사합니다",
        ] {
            assert!(!print(thanks).comparable, "{thanks}");
        }
        assert!(print("在庫あります、今すぐ公式サイトからお申し込みください").comparable);
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
