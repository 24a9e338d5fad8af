//! The key in the metadata of a call.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::connection::Peer;
use super::status;
use super::watch::Responses;
use crate::moderation::{Caller, Moderation, ModerationError};

/// The caller whose key stands in `authorization: Bearer {key}` or `x-api-key: {key}`.
///
/// # Errors
/// `KeyMissing`, `KeyInvalid`, `CallsTooFast`, `GuessesTooFast`, `Unavailable`.
pub(super) async fn caller<T>(
    moderation: &Moderation,
    request: &Request<T>,
) -> Result<Caller, ModerationError> {
    let unknown = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let client = request.extensions().get::<Peer>().map_or(unknown, |peer| peer.ip);
    moderation.authenticate(secret(request.metadata())?, client).await
}

/// The caller who began a stream with this metadata, if the key is still good.
///
/// # Errors
/// `KeyMissing`, `KeyInvalid`, `Unavailable`.
pub(super) async fn caller_again(
    moderation: &Moderation,
    metadata: &MetadataMap,
) -> Result<Caller, ModerationError> {
    moderation.authenticate_again(secret(metadata)?).await
}

/// Items of a stream between two looks at the key that began it.
const ITEMS_A_LOOK: usize = 100;

/// A stream that ends with an error once the key that began it is good no more.
pub(super) fn while_valid<T: Send + 'static>(
    moderation: Arc<Moderation>,
    metadata: MetadataMap,
    items: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Responses<T> {
    let places = items.enumerate();
    Box::pin(places.then(move |(place, item)| {
        let (moderation, metadata) = (moderation.clone(), metadata.clone());
        async move {
            if place % ITEMS_A_LOOK == 0 {
                caller_again(&moderation, &metadata).await.map_err(status::status)?;
            }
            item
        }
    }))
}

/// The caller of a request, if it may administer, and the message.
///
/// # Errors
/// As those of [`caller`], and `ScopeMissing`.
pub(super) async fn administrator<T>(
    moderation: &Moderation,
    request: Request<T>,
) -> Result<(Caller, T), ModerationError> {
    let caller = caller(moderation, &request).await?;
    caller.require_administrator()?;
    Ok((caller, request.into_inner()))
}

fn secret(metadata: &MetadataMap) -> Result<&str, ModerationError> {
    let text = |name| metadata.get(name).map(|value| value.to_str());
    match (text("authorization"), text("x-api-key")) {
        (Some(Ok(value)), _) => {
            let (scheme, key) = value.split_once(' ').ok_or(ModerationError::KeyInvalid)?;
            let bearer = scheme.eq_ignore_ascii_case("bearer");
            bearer.then_some(key.trim()).ok_or(ModerationError::KeyInvalid)
        }
        (None, Some(Ok(key))) => Ok(key.trim()),
        (None, None) => Err(ModerationError::KeyMissing),
        _ => Err(ModerationError::KeyInvalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_headers_are_taken_and_others_refused() {
        let with = |name: &'static str, value: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(name, value.parse().unwrap());
            secret(&metadata).map(str::to_owned).map_err(|error| error.reason())
        };
        assert_eq!(with("authorization", "Bearer rgk_1"), Ok("rgk_1".into()));
        assert_eq!(with("authorization", "bearer  rgk_1 "), Ok("rgk_1".into()));
        assert_eq!(with("x-api-key", "rgk_1"), Ok("rgk_1".into()));
        assert_eq!(with("authorization", "Basic rgk_1"), Err("api-key-invalid"));
        assert_eq!(with("authorization", "rgk_1"), Err("api-key-invalid"));
        assert_eq!(with("other", "rgk_1"), Err("api-key-missing"));
    }
}
