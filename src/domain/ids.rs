//! Names of things: sites, comments, requests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Site ids are DNS labels, so that they can stand in host names, paths and Redis keys.
    #[error("a site id has 1 to 63 lower-case letters, digits or inner hyphens")]
    Site,
    /// Comment ids are UUIDs that the service made.
    #[error("a comment name is `sites/{{site}}/comments/{{uuid}}`")]
    Comment,
    /// Decision ids are UUIDs that the service made.
    #[error("a decision name is `sites/{{site}}/decisions/{{uuid}}`")]
    Decision,
    /// Webhook ids are UUIDs that the service made.
    #[error("a webhook name is `sites/{{site}}/webhooks/{{uuid}}`")]
    Webhook,
    /// Delivery ids are UUIDs that the service made.
    #[error("a delivery name is `sites/{{site}}/webhooks/{{uuid}}/deliveries/{{uuid}}`")]
    Delivery,
    /// Request ids are UUIDs that the caller made (AIP-155).
    #[error("a request id is a UUID")]
    Request,
}

/// The id of a site: a DNS label (RFC 1035, digits allowed in front).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteId(String);

impl SiteId {
    /// The id as text, without the `sites/` in front.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The resource name, `sites/{site}`.
    pub fn name(&self) -> String {
        format!("sites/{}", self.0)
    }

    /// The id in a resource name `sites/{site}`; a bare id is taken too.
    ///
    /// # Errors
    /// [`IdError::Site`] if `name` has another form.
    pub fn from_name(name: &str) -> Result<Self, IdError> {
        name.strip_prefix("sites/").unwrap_or(name).parse()
    }
}

impl FromStr for SiteId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let label = !text.is_empty()
            && text.len() <= 63
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        label.then(|| Self(text.to_owned())).ok_or(IdError::Site)
    }
}

impl TryFrom<String> for SiteId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<SiteId> for String {
    fn from(id: SiteId) -> Self {
        id.0
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a comment: a UUIDv7 (RFC 9562), so that ids sort by time of check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommentId(Uuid);

impl CommentId {
    /// The comment with this UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID, for the store.
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// The resource name, `sites/{site}/comments/{comment}`.
    pub fn name(&self, site: &SiteId) -> String {
        format!("sites/{site}/comments/{}", self.0)
    }

    /// Site and comment of a resource name.
    ///
    /// # Errors
    /// [`IdError::Comment`] if `name` has another form.
    pub fn from_name(name: &str) -> Result<(SiteId, Self), IdError> {
        let rest = name.strip_prefix("sites/").ok_or(IdError::Comment)?;
        let (site, id) = rest.split_once("/comments/").ok_or(IdError::Comment)?;
        let site = site.parse().map_err(|_| IdError::Comment)?;
        let uuid = Uuid::parse_str(id).map_err(|_| IdError::Comment)?;
        Ok((site, Self(uuid)))
    }
}

impl fmt::Display for CommentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An id that the caller gives a request, so that a repeated one is answered once (AIP-155).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// The request id with this UUID, as the store gave it back.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID, for the store.
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::parse_str(text).map(Self).map_err(|_| IdError::Request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_ids_are_dns_labels() {
        for good in ["a", "my-blog", "4chan", &"x".repeat(63)] {
            assert!(good.parse::<SiteId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "ä", &"x".repeat(64)] {
            assert_eq!(bad.parse::<SiteId>(), Err(IdError::Site), "{bad}");
        }
    }

    #[test]
    fn comment_names_read_back() {
        let site: SiteId = "blog".parse().unwrap();
        let id = CommentId::from_uuid(Uuid::from_u128(7));
        assert_eq!(CommentId::from_name(&id.name(&site)), Ok((site, id)));
        for bad in ["", "sites/blog", "sites/blog/comments/7", "sites/B/comments/x"] {
            assert_eq!(CommentId::from_name(bad), Err(IdError::Comment), "{bad}");
        }
    }
}
