//! Long work in the service, watched from the command line. Ctrl-C cancels it.

use std::time::Duration;

use super::first_site::refused;
use super::{Failure, progress};
use crate::grpc::client::{Client, Message, WireDuration};
use crate::grpc::longrunning::operation::Result as Ended;
use crate::grpc::{longrunning, proto};

/// How long one question about the work waits; the bar moves in between.
const WAIT: Duration = Duration::from_millis(200);

/// Waits until the work has ended and gives its response. The first Ctrl-C asks the service to end
/// it, the second leaves without waiting.
///
/// # Errors
/// What the service said.
pub(super) async fn watch<R: Message + Default>(
    client: &mut Client,
    mut operation: longrunning::Operation,
    what: &'static str,
) -> Result<R, Failure> {
    let bar = progress::bar(0, what, "{msg:>12} {pos} examples {elapsed}");
    let mut cancelling = false;
    while !operation.done {
        let timeout = WireDuration::try_from(WAIT).ok();
        let request = longrunning::WaitOperationRequest { name: operation.name.clone(), timeout };
        let mut waiting = client.operations.clone();
        tokio::select! {
            waited = waiting.wait_operation(request) => {
                operation = waited.map_err(|status| refused(&status))?.into_inner();
            }
            _ = tokio::signal::ctrl_c() => {
                if cancelling {
                    return Err(Failure::data("left before it had ended; it is cancelled"));
                }
                cancelling = true;
                let request = longrunning::CancelOperationRequest { name: operation.name.clone() };
                let asked = client.operations.cancel_operation(request).await;
                asked.map_err(|status| refused(&status))?;
            }
        }
        let bytes = operation.metadata.as_ref().map(|any| any.value.as_slice());
        let decoded = bytes.and_then(|bytes| proto::WorkMetadata::decode(bytes).ok());
        let metadata = decoded.unwrap_or_default();
        bar.set_message(if cancelling { "cancelling".to_owned() } else { metadata.stage });
        bar.set_position(metadata.example_count.max(0) as u64);
    }
    bar.finish_and_clear();
    match operation.result {
        Some(Ended::Response(any)) => {
            R::decode(any.value.as_slice()).map_err(|error| Failure::software(error.to_string()))
        }
        Some(Ended::Error(status)) => Err(Failure::data(status.message)),
        None => Err(Failure::software("the work ended without a result")),
    }
}
