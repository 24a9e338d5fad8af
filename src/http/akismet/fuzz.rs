//! The bodies of Akismet's clients, given any bytes.

use super::comment::{request_ids, submission};
use super::fields::Fields;
use crate::domain::{COMMENT_BYTES_MAX, RequiredFields, Site, SitePolicy, SiteSecret, Submission};

/// Any body becomes a submission whose text is within its limit; the same body has the same id.
pub fn akismet(data: &[u8]) {
    let fields = Fields::parse(data);
    let _ = (fields.flag("is_test"), fields.list("blog_lang").count());
    let site = Site {
        id: "fuzz".parse().expect("a DNS label"),
        display_name: String::new(),
        secret: SiteSecret::from_bytes([7; 32]),
        policy: SitePolicy::default(),
        revision: 1,
        create_time: time::OffsetDateTime::UNIX_EPOCH,
    };
    let ids = |fields: &Fields| request_ids(&site, fields, time::OffsetDateTime::UNIX_EPOCH);
    assert!(ids(&fields) == ids(&Fields::parse(data)));
    for escaped in [false, true] {
        let raw = submission(&fields, escaped);
        assert!(raw.text.len() <= COMMENT_BYTES_MAX && !raw.text.contains('\0'));
        let required = RequiredFields { author: false, email: false };
        if let Err(violations) = Submission::parse(raw, &required) {
            assert!(!violations.is_empty());
        }
    }
}
