//! The way to a database, and whether the database can hold what is recorded.

use tokio_postgres::Row;
use uuid::Uuid;

use crate::moderation::ports::StoreError;

use super::connect::{self, Connector};
use super::db::{Db, Source};
use super::error::PostgresError;
use super::options::{PostgresAddress, PostgresOptions};
use super::rows::get;

/// The encodings of databases that hold every text: the second one keeps bytes as they come, and
/// ours are always UTF-8.
const ENCODINGS: [&str; 2] = ["UTF8", "SQL_ASCII"];

/// A pool for the database, which has to hold every text, and the name of this process, drawn by
/// the server.
pub(super) async fn connect(
    address: &PostgresAddress,
    connector: Connector,
    options: &PostgresOptions,
) -> Result<Source, PostgresError> {
    let pool = connect::pool(address, connector, options)?;
    let mut source = Source { pool, replica: Uuid::nil() };
    let unreachable = |error: StoreError| PostgresError::Unreachable {
        place: address.to_string(),
        cause: match error {
            StoreError::Unavailable(cause) => cause,
            other => other.to_string(),
        },
    };
    let db = Db::open(&source, options.call_timeout).await.map_err(unreachable)?;
    let sql = "SELECT gen_random_uuid(), current_setting('server_encoding')";
    let read = |row: &Row| Ok((get::<Uuid>(row, 0)?, get::<String>(row, 1)?));
    let found = db.first(sql, &[], read).await;
    drop(db);
    let (replica, encoding) = found.map_err(unreachable)?.unwrap_or_default();
    if !ENCODINGS.contains(&encoding.as_str()) {
        return Err(PostgresError::Encoding { place: address.to_string(), found: encoding });
    }
    source.replica = replica;
    Ok(source)
}
