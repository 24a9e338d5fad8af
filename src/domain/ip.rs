//! IP addresses, as fingerprints of themselves and of their networks.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Fingerprint, SiteSecret};

/// What remains of an IP address: fingerprints of it and of the networks around it.
///
/// `::ffff:192.0.2.1` counts as `192.0.2.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpFingerprints {
    /// Of the whole address; of its /64 for IPv6, since one subscriber has at least that many.
    pub address: Fingerprint,
    /// Of its network: /24 for IPv4, /48 for IPv6.
    pub prefix: Fingerprint,
}

impl IpFingerprints {
    /// The fingerprints of `ip` under a site's secret.
    pub fn new(ip: IpAddr, secret: &SiteSecret) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => {
                let octets = v4.octets();
                Self {
                    address: secret.fingerprint("ip4/32", &octets),
                    prefix: secret.fingerprint("ip4/24", &octets[..3]),
                }
            }
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                Self {
                    address: secret.fingerprint("ip6/64", &octets[..8]),
                    prefix: secret.fingerprint("ip6/48", &octets[..6]),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_the_prefix_and_mapped_addresses_are_ipv4() {
        let secret = SiteSecret::from_bytes([3; 32]);
        let prints = |ip: &str| IpFingerprints::new(ip.parse().unwrap(), &secret);
        assert_eq!(prints("192.0.2.1").prefix, prints("192.0.2.9").prefix);
        assert_ne!(prints("192.0.2.1").address, prints("192.0.2.9").address);
        assert_eq!(prints("::ffff:192.0.2.1"), prints("192.0.2.1"));
        assert_eq!(prints("2001:db8::1").address, prints("2001:db8::2").address);
        assert_eq!(prints("2001:db8:0:1::1").prefix, prints("2001:db8:0:2::1").prefix);
        assert_ne!(prints("2001:db8:0:1::1").address, prints("2001:db8:0:2::1").address);
    }
}
