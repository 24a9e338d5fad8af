//! What keeps a service's records, for tests that each backend has to pass.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;

use replyguard::moderation::ports::Store;
use replyguard::storage::{PostgresStore, SqliteOptions, SqliteStore};
use tempfile::TempDir;

use super::postgres::{self, Database};
use super::records::site;
use super::service::Service;

/// A kind of store.
#[derive(Debug, Clone, Copy)]
pub enum Backend {
    /// A file in the data folder.
    Sqlite,
    /// A database of its own in the shared server.
    Postgres,
}

impl Backend {
    /// The flags of a service that begins with nothing.
    pub fn flags(self) -> Vec<String> {
        match self {
            Self::Sqlite => Vec::new(),
            Self::Postgres => {
                vec!["--database-url".into(), postgres::shared().database().url()]
            }
        }
    }

    /// Starts a service that begins with nothing.
    pub async fn start(self, flags: &[&str]) -> Grounded {
        match self {
            Self::Sqlite => Grounded { service: Service::start_with(flags).await, database: None },
            Self::Postgres => {
                let database = postgres::shared().database();
                let url = database.url();
                let flags = [flags, &["--database-url", &url]].concat();
                let service = Service::start_with(&flags).await;
                Grounded { service, database: Some(database) }
            }
        }
    }
}

/// A service and where its records are.
pub struct Grounded {
    service: Service,
    database: Option<Database<'static>>,
}

impl Grounded {
    /// All that is stored: the files of the data folder, and the tables of the database.
    pub fn stored_bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut stored = self.service.stored_bytes();
        stored.extend(self.database.iter().flat_map(Database::tables));
        stored
    }

    /// Opens the records of the service, which has stopped.
    pub async fn store(&self) -> Arc<dyn Store> {
        match &self.database {
            Some(database) => Arc::new(database.open().await),
            None => {
                let path = self.service.data().join("replyguard.sqlite3");
                Arc::new(SqliteStore::open(&path, SqliteOptions::default()).await.unwrap())
            }
        }
    }
}

impl Deref for Grounded {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl DerefMut for Grounded {
    fn deref_mut(&mut self) -> &mut Service {
        &mut self.service
    }
}

/// Makes a test of each function for each backend.
macro_rules! on_each_backend {
    ($($test:ident,)*) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::support::backend::Backend::Sqlite).await;
                }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::support::backend::Backend::Postgres).await;
                }
            )*
        }
    };
}

/// A store of each kind with the sites `blog` and `news`, and what keeps its place.
pub async fn sqlite() -> (Arc<SqliteStore>, TempDir) {
    let place = TempDir::new().unwrap();
    let path = place.path().join("records.sqlite3");
    let store = SqliteStore::open(&path, SqliteOptions::default()).await.unwrap();
    (with_sites(store).await, place)
}

/// See [`sqlite`].
pub async fn postgres() -> (Arc<PostgresStore>, Database<'static>) {
    let place = postgres::shared().database();
    let store = place.open().await;
    (with_sites(store).await, place)
}

async fn with_sites<S: Store>(store: S) -> Arc<S> {
    for id in ["blog", "news"] {
        store.create_site(site(id), "test").await.unwrap();
    }
    Arc::new(store)
}

/// Makes a test of each function for each kind of store, which it is given.
macro_rules! on_each_store {
    ($($test:ident,)*) => {
        $crate::support::backend::on_each_store!(sqlite: $($test,)*);
        $crate::support::backend::on_each_store!(postgres: $($test,)*);
    };
    ($backend:ident: $($test:ident,)*) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let (store, _place) = $crate::support::backend::$backend().await;
                    super::$test(&*store).await;
                }
            )*
        }
    };
}
pub(crate) use {on_each_backend, on_each_store};
