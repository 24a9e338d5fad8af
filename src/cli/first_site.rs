//! Where clients on the same machine find the service and a key.

use std::path::Path;

use super::{Failure, ServiceArgs, SiteArgs};
use crate::app::FirstSite;
use crate::grpc::client::Client;

/// A client, and the site that first-site.json names, if it is there.
pub(super) async fn connect(args: &ServiceArgs) -> Result<(Client, Option<String>), Failure> {
    let first = read(&args.data_dir.join("first-site.json"))?;
    let address = args
        .server
        .clone()
        .or_else(|| first.as_ref().map(|first| first.grpc.clone()))
        .unwrap_or_else(|| "127.0.0.1:50051".to_owned());
    // The file's key opens everything, and the connection may not be encrypted: it goes to the
    // service that wrote it and to nobody else.
    let own = first.as_ref().filter(|first| first.grpc == address);
    let key = args.key.clone().or_else(|| own.map(|first| first.key.clone()));
    if key.is_none() {
        return Err(Failure::usage(format!(
            "no key for {address}: give --key, or --data-dir with the folder of the service there \
             (looked at {})",
            args.data_dir.join("first-site.json").display()
        )));
    }
    let tls = args.tls.read()?;
    let client = Client::connect_with(&address, key.as_deref(), &tls).await;
    let client = client.map_err(Failure::unavailable)?;
    Ok((client, first.map(|first| first.site)))
}

/// A client, and the name of the site that is meant.
pub(super) async fn connect_to_site(args: &SiteArgs) -> Result<(Client, String), Failure> {
    let (client, first) = connect(&args.service).await?;
    let site = args.site.clone().or(first);
    let site = site.ok_or_else(|| Failure::usage("no site: give --site"))?;
    Ok((client, format!("sites/{}", site.strip_prefix("sites/").unwrap_or(&site))))
}

fn read(path: &Path) -> Result<Option<FirstSite>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::usage(format!("{}: {error}", path.display()))),
    };
    let first = serde_json::from_str(&text);
    first.map(Some).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// What a status means on the command line.
pub(super) fn refused(status: &crate::grpc::client::Status) -> Failure {
    use crate::grpc::client::{Code, field_violations};
    let lines = field_violations(status).into_iter().map(|line| format!("\n  {line}"));
    let message = status.message().to_owned() + &lines.collect::<String>();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
            Failure::unavailable(message)
        }
        Code::Internal | Code::Unknown => Failure::software(message),
        _ => Failure::data(message),
    }
}
