//! Keyed fingerprints: the only form in which an address or an IP outlives the request.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The key of a site's fingerprints: 32 random bytes, drawn when the site is created.
///
/// Dropping it makes every fingerprint of the site meaningless. It has no `Debug`, `Display` or
/// `Serialize`; only the store takes its bytes.
#[derive(Clone)]
pub struct SiteSecret {
    bytes: [u8; 32],
    /// The MAC with the key already in it: half the work of a short fingerprint.
    mac: Hmac<Sha256>,
}

impl SiteSecret {
    /// A secret from 32 bytes of a cryptographic random source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let mac = Hmac::new_from_slice(&bytes).expect("HMAC takes a key of any length");
        Self { bytes, mac }
    }

    /// The bytes, for the store alone.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// HMAC-SHA-256 (RFC 2104) of `kind`, a zero byte and `value`, cut to 128 bits.
    ///
    /// `kind` keeps fingerprints of different things apart: an author name that looks like an IP
    /// never equals the IP's fingerprint.
    pub fn fingerprint(&self, kind: &str, value: &[u8]) -> Fingerprint {
        let mut mac = self.mac.clone();
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(value);
        let digest = mac.finalize().into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Fingerprint(bytes)
    }
}

/// 128 bits that stand for a value within one site and say nothing about it elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint with these bytes, as the store gave them back.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The fingerprint written as 32 hexadecimal digits, or nothing if `text` is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let number = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok())??;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("a fingerprint has 32 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_depend_on_secret_kind_and_value() {
        let one = SiteSecret::from_bytes([1; 32]);
        let two = SiteSecret::from_bytes([2; 32]);
        let print = one.fingerprint("ip", b"192.0.2.1");
        assert_eq!(print, one.fingerprint("ip", b"192.0.2.1"));
        assert_ne!(print, two.fingerprint("ip", b"192.0.2.1"));
        assert_ne!(print, one.fingerprint("author", b"192.0.2.1"));
        assert_ne!(print, one.fingerprint("ip", b"192.0.2.2"));
    }

    #[test]
    fn text_form_reads_back() {
        let print = SiteSecret::from_bytes([7; 32]).fingerprint("ip", b"::1");
        assert_eq!(Fingerprint::parse(&print.to_string()), Some(print));
        assert_eq!(Fingerprint::parse("12"), None);
        assert_eq!(Fingerprint::parse(&"é".repeat(16)), None);
    }
}
