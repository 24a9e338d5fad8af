//! Slows down guessing, by account and by the network that guesses.
//!
//! In memory only: a network is known by a fingerprint under a key that ends with the process. An
//! attempt counts before its password is checked, so that many at once gain nothing.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use time::OffsetDateTime;

use crate::domain::{Fingerprint, IpFingerprints, SiteSecret};

/// Names and networks that are remembered, of each kind; the longest unused falls out.
const ENTRY_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");
/// After this time without an attempt, all is forgotten.
const MEMORY: Duration = Duration::from_secs(3_600);

/// How fast attempts get slower.
struct Slope {
    /// Attempts without any wait.
    free_count: u32,
    /// The longest wait.
    wait_max: Duration,
}

/// A moderator who is guessed at can still sign in within a minute, and at one guess a minute no
/// password falls.
const ACCOUNT: Slope = Slope { free_count: 5, wait_max: Duration::from_secs(60) };
/// An office or a school shares one network.
const NETWORK: Slope = Slope { free_count: 20, wait_max: Duration::from_secs(900) };

/// Keys of 256 bits are not guessed; who tries is told to be slower. Those of Akismet's clients have
/// 48 bits: at one a second, one of 10,000 is found after 400 years. A longer wait would keep out
/// the other sites behind the same address, until their keys are known.
const KEYS: Slope = Slope { free_count: 20, wait_max: Duration::from_secs(1) };

impl Slope {
    fn wait(&self, count: u32) -> Duration {
        let Some(over) = count.checked_sub(self.free_count) else { return Duration::ZERO };
        Duration::from_secs(1 << over.min(20)).min(self.wait_max)
    }
}

/// Attempts by one name or one network that did not succeed.
#[derive(Clone, Copy)]
struct Attempts {
    count: u32,
    last: OffsetDateTime,
}

type Entries = LruCache<Fingerprint, Attempts>;

struct Tables {
    accounts: Entries,
    networks: Entries,
}

/// Whether an attempt may be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may, and is the account's so-manieth without success.
    Open {
        /// Counted from 1.
        count: u32,
        /// Whether the next one will have to wait.
        closes: bool,
    },
    /// Not before this time has passed.
    Closed(Duration),
}

/// The attempts of this process.
pub(in crate::moderation) struct Throttle {
    secret: SiteSecret,
    tables: Mutex<Tables>,
}

impl Throttle {
    pub(in crate::moderation) fn new(random: [u8; 32]) -> Self {
        let tables = Tables {
            accounts: LruCache::new(ENTRY_COUNT_MAX),
            networks: LruCache::new(ENTRY_COUNT_MAX),
        };
        Self { secret: SiteSecret::from_bytes(random), tables: Mutex::new(tables) }
    }

    /// Counts an attempt, if it may be made.
    pub(super) fn admit(&self, name_key: &str, ip: IpAddr, now: OffsetDateTime) -> Admission {
        let (account, network) = self.prints(name_key, ip);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = left(&mut tables.accounts, account, &ACCOUNT, now).max(left(
            &mut tables.networks,
            network,
            &NETWORK,
            now,
        ));
        if !wait.is_zero() {
            return Admission::Closed(wait);
        }
        count(&mut tables.networks, network, now);
        let count = count(&mut tables.accounts, account, now);
        Admission::Open { count, closes: !ACCOUNT.wait(count).is_zero() }
    }

    /// How long a network has to wait that sends wrong keys.
    pub(in crate::moderation) fn key_wait(&self, ip: IpAddr, now: OffsetDateTime) -> Duration {
        let (_, network) = self.prints("", ip);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        left(&mut tables.networks, network, &KEYS, now)
    }

    /// Counts an attempt of a network that did not succeed.
    pub(in crate::moderation) fn count_network(&self, ip: IpAddr, now: OffsetDateTime) {
        let (_, network) = self.prints("", ip);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut tables.networks, network, now);
    }

    /// Forgets the attempts of an account, since the last one succeeded.
    pub(super) fn succeed(&self, name_key: &str, ip: IpAddr) {
        let (account, network) = self.prints(name_key, ip);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.accounts.pop(&account);
        // Only this one: whoever has an account must not thereby get to guess at others.
        if let Some(attempts) = tables.networks.get_mut(&network) {
            attempts.count = attempts.count.saturating_sub(1);
        }
    }

    fn prints(&self, name_key: &str, ip: IpAddr) -> (Fingerprint, Fingerprint) {
        let account = self.secret.fingerprint("name", name_key.as_bytes());
        (account, IpFingerprints::new(ip, &self.secret).address)
    }
}

/// What is left of the wait.
fn left(entries: &mut Entries, print: Fingerprint, slope: &Slope, now: OffsetDateTime) -> Duration {
    let Some(attempts) = entries.get(&print) else { return Duration::ZERO };
    let end = attempts.last + slope.wait(attempts.count);
    Duration::try_from(end - now).unwrap_or(Duration::ZERO)
}

fn count(entries: &mut Entries, print: Fingerprint, now: OffsetDateTime) -> u32 {
    let known = entries.get(&print).filter(|attempts| now - attempts.last < MEMORY);
    let count = known.map_or(0, |attempts| attempts.count).saturating_add(1);
    entries.put(print, Attempts { count, last: now });
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn an_account_is_slowed_down_from_any_network() {
        let throttle = Throttle::new([1; 32]);
        for count in 1..=5 {
            let admission = throttle.admit("ada", ip(count as u8), NOW);
            assert_eq!(admission, Admission::Open { count, closes: count == 5 });
        }
        let closed = throttle.admit("ada", ip(9), NOW);
        assert_eq!(closed, Admission::Closed(Duration::from_secs(1)));
        let later = NOW + Duration::from_secs(1);
        assert!(matches!(throttle.admit("ada", ip(9), later), Admission::Open { count: 6, .. }));
        let closed = throttle.admit("ada", ip(9), later);
        assert_eq!(closed, Admission::Closed(Duration::from_secs(2)));
        assert!(matches!(throttle.admit("bob", ip(9), later), Admission::Open { count: 1, .. }));
        throttle.succeed("ada", ip(9));
        assert!(matches!(throttle.admit("ada", ip(9), later), Admission::Open { count: 1, .. }));
    }

    #[test]
    fn a_network_is_slowed_down_whatever_it_guesses_at() {
        let throttle = Throttle::new([1; 32]);
        for number in 0..20 {
            let admission = throttle.admit(&format!("name {number}"), ip(1), NOW);
            assert!(matches!(admission, Admission::Open { .. }));
        }
        assert!(matches!(throttle.admit("ada", ip(1), NOW), Admission::Closed(_)));
        assert!(matches!(throttle.admit("ada", ip(2), NOW), Admission::Open { .. }));
    }

    #[test]
    fn wrong_keys_never_wait_longer_than_a_second() {
        let throttle = Throttle::new([1; 32]);
        for count in 1..=100 {
            throttle.count_network(ip(1), NOW);
            let wait = Duration::from_secs(u64::from(count >= 20));
            assert_eq!(throttle.key_wait(ip(1), NOW), wait, "after {count}");
        }
        assert_eq!(throttle.key_wait(ip(1), NOW + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(throttle.key_wait(ip(2), NOW), Duration::ZERO);
    }

    #[test]
    fn waits_grow_to_a_limit_and_are_forgotten() {
        assert_eq!(ACCOUNT.wait(4), Duration::ZERO);
        assert_eq!(ACCOUNT.wait(8), Duration::from_secs(8));
        assert_eq!(ACCOUNT.wait(u32::MAX), Duration::from_secs(60));
        let throttle = Throttle::new([1; 32]);
        for _ in 0..5 {
            throttle.admit("ada", ip(1), NOW);
        }
        let tomorrow = NOW + Duration::from_secs(86_400);
        let admission = throttle.admit("ada", ip(1), tomorrow);
        assert_eq!(admission, Admission::Open { count: 1, closes: false });
    }
}
