//! Certificates of the ports: whether they can be used, and for how long.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use time::{Duration, OffsetDateTime};

use super::Finding;
use crate::tls;

/// How long a certificate has to be good still: whoever renews by hand needs some days, and what
/// renews by itself does so weeks before.
const LIFE_LEFT_MIN: Duration = Duration::days(7);

/// The certificates of a port and the file of their key. That both fit together is found by
/// whoever loads them.
pub(super) fn examine(certificates: &Path, key: &Path, now: OffsetDateTime) -> Vec<Finding> {
    vec![life(certificates, now), key_file(key)]
}

/// The first certificate of a file of authorities that something else's is checked against.
pub(super) fn authority(setting: &str, path: &Path, now: OffsetDateTime) -> Finding {
    match life(path, now) {
        Finding::Good(what) => Finding::Good(format!("{setting}: {what}")),
        Finding::Note(what) => Finding::Note(format!("{setting}: {what}")),
        Finding::Bad { what, advice } => {
            Finding::Bad { what: format!("{setting}: {what}"), advice }
        }
    }
}

/// How long the first certificate of a file is good; a port's own comes first.
fn life(path: &Path, now: OffsetDateTime) -> Finding {
    let name = path.display();
    let bad = |what: String, advice: &str| Finding::Bad { what, advice: advice.into() };
    let (begin, end) = match tls::validity_in(path) {
        Ok(validity) => validity,
        Err(error) => return bad(error, "give a file with certificates, PEM"),
    };
    let day = |time: OffsetDateTime| time.date();
    if now < begin {
        let what = format!("the certificate in {name} is not good before {}", day(begin));
        return bad(what, "see whether the clock is right");
    }
    if now >= end {
        let what = format!("the certificate in {name} ended on {}", day(end));
        return bad(what, "renew it: clients refuse to connect");
    }
    if end - now < LIFE_LEFT_MIN {
        let what = format!("the certificate in {name} ends on {}", day(end));
        return bad(what, "renew it: after that day clients refuse to connect");
    }
    Finding::Good(format!("the certificate in {name} is good until {}", day(end)))
}

/// Whoever reads the key can pass for this service.
fn key_file(path: &Path) -> Finding {
    let name = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 == 0 => {
            Finding::Good(format!("{name} is readable by its owner alone"))
        }
        Ok(_) => Finding::Bad {
            what: format!("{name} can be read by others"),
            advice: format!(
                "chmod 600 {name}; if others may have read it, get another certificate"
            ),
        },
        Err(error) => Finding::Bad {
            what: format!("{name}: {error}"),
            advice: "give a file that the service can read".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_good_for_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("certificate.pem");
        let begin = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        parameters.not_before = begin;
        parameters.not_after = begin + Duration::days(90);
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&file, parameters.self_signed(&key).unwrap().pem()).unwrap();
        let after = |days| matches!(life(&file, begin + Duration::days(days)), Finding::Good(_));
        assert!(after(0) && after(83));
        assert!(!after(-1), "not yet");
        assert!(!after(84) && !after(89), "soon no more");
        assert!(!after(90) && !after(1_000), "no more");
        std::fs::write(&file, "nothing").unwrap();
        assert!(!after(1));
    }

    #[test]
    fn keys_are_their_owners_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let with = |mode| {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            matches!(key_file(file.path()), Finding::Good(_))
        };
        assert!(with(0o600) && with(0o400));
        assert!(!with(0o640) && !with(0o604));
    }
}
