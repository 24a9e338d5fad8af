//! Where decisions are sent: webhooks, by the Standard Webhooks specification.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};
use uuid::Uuid;

use super::{IdError, SiteId};

/// Bytes of a webhook's address.
pub const WEBHOOK_URI_BYTES_MAX: usize = 2_048;

/// The id of a webhook: a random UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WebhookId(Uuid);

impl WebhookId {
    /// The webhook with this UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID, for the store.
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// The resource name, `sites/{site}/webhooks/{webhook}`.
    pub fn name(&self, site: &SiteId) -> String {
        format!("sites/{site}/webhooks/{}", self.0)
    }

    /// Site and webhook of a resource name.
    ///
    /// # Errors
    /// [`IdError::Webhook`] if `name` has another form.
    pub fn from_name(name: &str) -> Result<(SiteId, Self), IdError> {
        let rest = name.strip_prefix("sites/").ok_or(IdError::Webhook)?;
        let (site, id) = rest.split_once("/webhooks/").ok_or(IdError::Webhook)?;
        let site = site.parse().map_err(|_| IdError::Webhook)?;
        let uuid = Uuid::parse_str(id).map_err(|_| IdError::Webhook)?;
        Ok((site, Self(uuid)))
    }
}

/// The id of a delivery: what a receiver knows a repeated message by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryId(Uuid);

impl DeliveryId {
    /// The delivery with this UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID, for the store.
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// The resource name, `sites/{site}/webhooks/{webhook}/deliveries/{delivery}`.
    pub fn name(&self, site: &SiteId, webhook: WebhookId) -> String {
        format!("{}/deliveries/{}", webhook.name(site), self.0)
    }

    /// Site, webhook and delivery of a resource name.
    ///
    /// # Errors
    /// [`IdError::Delivery`] if `name` has another form.
    pub fn from_name(name: &str) -> Result<(SiteId, WebhookId, Self), IdError> {
        let (webhook, id) = name.rsplit_once("/deliveries/").ok_or(IdError::Delivery)?;
        let (site, webhook) = WebhookId::from_name(webhook).map_err(|_| IdError::Delivery)?;
        let uuid = Uuid::parse_str(id).map_err(|_| IdError::Delivery)?;
        Ok((site, webhook, Self(uuid)))
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a text is not the address of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUriError {
    /// It is too long.
    #[error("at most 2,048 bytes are taken")]
    TooLong,
    /// It is no URL with a host.
    #[error("an address such as https://blog.example.org/hooks/comments is expected")]
    Invalid,
    /// A name and password in the address would end up in logs.
    #[error("an address without name and password is expected: messages are signed")]
    Credentials,
}

/// The address of a webhook: http or https, without credentials and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUri(Url);

impl WebhookUri {
    /// Whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host as it is resolved and as the certificate has it: a name or an address without
    /// brackets.
    pub fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        }
    }

    /// The port, given or usual.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// Host and port for the `Host` header.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// Path and query, for the request line.
    pub fn path_and_query(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// The address as it may be shown to whoever does not administer webhooks: of a query, which
    /// often holds a secret, only that there is one.
    pub fn without_query(&self) -> String {
        let rest = if self.0.query().is_some() { "?…" } else { "" };
        format!("{}{rest}", &self.0[..url::Position::AfterPath])
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for WebhookUri {
    type Err = WebhookUriError;

    fn from_str(text: &str) -> Result<Self, WebhookUriError> {
        if text.len() > WEBHOOK_URI_BYTES_MAX {
            return Err(WebhookUriError::TooLong);
        }
        let mut url = Url::parse(text.trim()).map_err(|_| WebhookUriError::Invalid)?;
        let known = matches!(url.scheme(), "http" | "https");
        if !known || url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
            return Err(WebhookUriError::Invalid);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUriError::Credentials);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

impl fmt::Display for WebhookUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What signs the messages of a webhook: 256 random bits. Neither `Debug` nor `Display` shows
/// them.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret([u8; 32]);

impl WebhookSecret {
    /// The secret of these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the store and for signing.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let site: SiteId = "blog".parse().unwrap();
        let webhook = WebhookId::from_uuid(Uuid::from_u128(1));
        let delivery = DeliveryId::from_uuid(Uuid::from_u128(2));
        assert_eq!(WebhookId::from_name(&webhook.name(&site)), Ok((site.clone(), webhook)));
        let name = delivery.name(&site, webhook);
        assert_eq!(DeliveryId::from_name(&name), Ok((site.clone(), webhook, delivery)));
        assert_eq!(DeliveryId::from_name(&webhook.name(&site)), Err(IdError::Delivery));
        assert_eq!(WebhookId::from_name(&name), Err(IdError::Webhook));
    }

    #[test]
    fn addresses_are_http_without_credentials() {
        let uri: WebhookUri = "https://Blog.example.org/a?b=c#d".parse().unwrap();
        assert_eq!(uri.as_str(), "https://blog.example.org/a?b=c");
        assert_eq!((uri.host().as_str(), uri.port()), ("blog.example.org", 443));
        assert_eq!((uri.authority(), uri.path_and_query()), ("blog.example.org", "/a?b=c"));
        let uri: WebhookUri = "http://[::1]:8080".parse().unwrap();
        assert_eq!((uri.host().as_str(), uri.port()), ("::1", 8_080));
        assert_eq!((uri.authority(), uri.path_and_query()), ("[::1]:8080", "/"));
        assert_eq!(uri.without_query(), "http://[::1]:8080/");
        let secret: WebhookUri = "https://a.example:8443/b?token=c?d".parse().unwrap();
        assert_eq!(secret.without_query(), "https://a.example:8443/b?…");
        let again: WebhookUri = secret.without_query().parse().unwrap();
        assert_eq!(again.without_query(), secret.without_query());
        // The many ways to write an address are one.
        let uri: WebhookUri = "http://0x7f.1/".parse().unwrap();
        assert_eq!(uri.host(), "127.0.0.1");
        for bad in ["", "blog.example.org", "ftp://a/", "https://", "http://a:0/", "mailto:a@b"] {
            assert_eq!(bad.parse::<WebhookUri>(), Err(WebhookUriError::Invalid), "{bad}");
        }
        let bad = "https://me:secret@example.org/".parse::<WebhookUri>();
        assert_eq!(bad, Err(WebhookUriError::Credentials));
        let long = format!("https://example.org/{}", "a".repeat(WEBHOOK_URI_BYTES_MAX));
        assert_eq!(long.parse::<WebhookUri>(), Err(WebhookUriError::TooLong));
    }
}
