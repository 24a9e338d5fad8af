//! Secrets that are drawn, shown once, and stored as hashes: of sessions and invitations.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a token.
const DIGIT_COUNT: usize = 64;

/// 256 random bits in hexadecimal digits. It has neither `Debug` nor `Display`.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token of fresh random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(hexadecimal(&random))
    }

    /// The token that a client sent, if it has the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == DIGIT_COUNT
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| Self(text.to_owned()))
    }

    /// The digits, for the client it belongs to.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored. A plain hash suffices because tokens have 256 random bits.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// What shows that `message` comes from somebody who knows the token, in hexadecimal digits.
    /// `purpose` keeps the marks of different things apart.
    pub fn mark(&self, purpose: &str, message: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(message.as_bytes());
        hexadecimal(&mac.finalize().into_bytes())
    }

    /// Whether `mark` is the mark of `message`, compared in constant time.
    pub fn has_mark(&self, purpose: &str, message: &str, mark: &str) -> bool {
        let expected = self.mark(purpose, message);
        let difference = expected.bytes().zip(mark.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        expected.len() == mark.len() && difference == 0
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_and_nothing_else_does() {
        let token = Token::new([0xa5; 32]);
        assert_eq!(Token::parse(token.expose()).map(|token| token.hash()), Some(token.hash()));
        for bad in ["", "a5", &"A5".repeat(32), &"é".repeat(32), &"a".repeat(65)] {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn marks_belong_to_token_purpose_and_message() {
        let token = Token::new([1; 32]);
        let mark = token.mark("form", "");
        assert!(token.has_mark("form", "", &mark));
        assert!(!token.has_mark("flash", "", &mark));
        assert!(!token.has_mark("form", "x", &mark));
        assert!(!token.has_mark("form", "", &mark[1..]));
        assert!(!token.has_mark("form", "", ""));
        assert!(!Token::new([2; 32]).has_mark("form", "", &mark));
    }
}
