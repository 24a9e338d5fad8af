//! Passwords: what is taken, how they are hashed, how they are checked.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization;

use crate::domain::FieldViolation;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::accounts::{PasswordHash, name_key};
use crate::moderation::{ModerationError, blocking};

/// Characters of a password at least. A phrase of some words has that many.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Bytes of a password at most, so that normalising it costs nothing.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// KiB of memory for a hash: OWASP's first choice for argon2id (November 2026).
const MEMORY_KIB: u32 = 19 * 1_024;
/// Passes over that memory.
const PASS_COUNT: u32 = 2;
/// Lanes.
const LANE_COUNT: u32 = 1;
/// Hashes at once, so that sign-ins never take the cores away from comments.
const HASH_COUNT_MAX: usize = 2;
/// How long a sign-in waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Hashes and checks passwords, a few at once.
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(HASH_COUNT_MAX)) }
    }
}

impl Passwords {
    /// The hash of a password.
    ///
    /// # Errors
    /// `Unavailable` if too many wait.
    pub(super) async fn hash(
        &self,
        password: &str,
        salt: [u8; 32],
    ) -> Result<PasswordHash, ModerationError> {
        let (password, turn) = (normal(password), self.turn().await?);
        blocking("a password's hash", move || {
            let _turn = turn;
            hash(&password, &salt)
        })
        .await
    }

    /// Whether a password is the one with this hash. Without a hash the answer is no, after the
    /// same work.
    ///
    /// # Errors
    /// `Unavailable` if too many wait.
    pub(super) async fn check(
        &self,
        password: &str,
        known: Option<PasswordHash>,
    ) -> Result<bool, ModerationError> {
        let (password, turn) = (normal(password), self.turn().await?);
        blocking("a password's check", move || {
            let _turn = turn;
            match known {
                Some(known) => Ok(check(&password, &known)),
                None => hash(&password, &[0; 16]).map(|_| false),
            }
        })
        .await
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, ModerationError> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.clone().acquire_owned()).await;
        match turn {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(unavailable("too many passwords are being checked")),
        }
    }
}

/// All that is wrong with a new password.
pub(super) fn violation(password: &str, name: &str) -> Option<FieldViolation> {
    let refused = |reason, description: String| {
        Some(FieldViolation { field: "password", reason, description })
    };
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return refused(
            "too-short",
            format!("At least {PASSWORD_CHARS_MIN} characters are needed."),
        );
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return refused("too-long", format!("At most {PASSWORD_BYTES_MAX} bytes are taken."));
    }
    if name_key(password) == name_key(name) {
        return refused("is-name", "The password is the name; choose another one.".into());
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) {
        return refused("one-character", "One character over and over is easily guessed.".into());
    }
    None
}

/// The password as it is hashed: keyboards write the same letter in different ways.
fn normal(password: &str) -> String {
    let end = password.floor_char_boundary(PASSWORD_BYTES_MAX);
    password[..end].nfc().collect()
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASS_COUNT, LANE_COUNT, None)
        .expect("the parameters are within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str, salt: &[u8]) -> Result<PasswordHash, ModerationError> {
    let hashed: Result<phc::PasswordHash, _> =
        argon2().hash_password_with_salt(password.as_bytes(), salt);
    let hashed = hashed.map_err(|error| unavailable(&format!("argon2: {error}")))?;
    Ok(PasswordHash::from_phc(hashed.to_string()))
}

fn check(password: &str, known: &PasswordHash) -> bool {
    // The parameters are those of the stored hash, so that they can be raised later.
    phc::PasswordHash::new(known.as_phc())
        .is_ok_and(|known| argon2().verify_password(password.as_bytes(), &known).is_ok())
}

fn unavailable(what: &str) -> ModerationError {
    ModerationError::Unavailable(StoreError::Unavailable(what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_argon2id_and_check() {
        let hashed = hash("correct horse battery", &[7; 32]).unwrap();
        assert!(hashed.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(check("correct horse battery", &hashed));
        assert!(!check("correct horse battery!", &hashed));
        assert!(!check("", &PasswordHash::from_phc("$nonsense".into())));
        assert!(!format!("{hashed:?}").contains("argon2"));
    }

    #[test]
    fn letters_are_the_same_however_they_are_written() {
        assert_eq!(normal("cafe\u{301} au lait noir"), normal("caf\u{e9} au lait noir"));
    }

    #[test]
    fn weak_passwords_are_refused() {
        let reason = |password: &str| violation(password, "Administrator").map(|one| one.reason);
        assert_eq!(reason("short"), Some("too-short"));
        assert_eq!(reason("administrator"), Some("is-name"));
        assert_eq!(reason(&"a".repeat(20)), Some("one-character"));
        assert_eq!(reason(&"ab".repeat(600)), Some("too-long"));
        assert_eq!(reason("correct horse battery"), None);
    }
}
