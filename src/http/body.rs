//! Bodies of requests, each with a size and a time. Nothing else reads one.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};

/// How long a client may take for all of a body. Without it, a byte a minute would keep a
/// connection for ever, and the port has only so many. The longest form comes in time at 2 Mbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It has too many bytes, or broke off.
    TooLarge,
    /// It did not come in time. The answer is 408 and closes the connection.
    TooSlow,
}

/// Reads a body.
///
/// # Errors
/// [`BodyError`].
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads bodies")]
pub(super) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, bytes_max)).await {
        Ok(read) => read.map_err(|_| BodyError::TooLarge),
        Err(_) => Err(BodyError::TooSlow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[tokio::test(start_paused = true)]
    async fn bodies_have_a_size_and_a_time() {
        assert_eq!(read(Body::from("four"), 4).await.as_deref(), Ok(&b"four"[..]));
        assert_eq!(read(Body::from("fours"), 4).await, Err(BodyError::TooLarge));
        // A byte a second: the time is for all of it.
        let trickle = tokio_stream::StreamExt::throttle(
            tokio_stream::iter(std::iter::repeat_n(Ok::<_, Infallible>("a"), 60)),
            Duration::from_secs(1),
        );
        assert_eq!(read(Body::from_stream(trickle), 100).await, Err(BodyError::TooSlow));
    }
}
