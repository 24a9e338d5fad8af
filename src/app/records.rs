//! Where a configuration keeps its records: each port of the one store behind them.

use std::sync::Arc;

use super::BindError;
use crate::config::Config;
use crate::moderation::ports::Store;
use crate::moderation::ports::accounts::AccountStore;
use crate::moderation::ports::models::ModelStore;
use crate::moderation::ports::operations::OperationStore;
use crate::moderation::ports::privacy::PrivacyStore;
use crate::moderation::ports::replicas::Replicas;
use crate::moderation::ports::review::ReviewStore;
use crate::moderation::ports::webhooks::WebhookStore;
use crate::storage::{
    PostgresAddress, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, private_folder,
};

/// One store, as each port that it implements.
#[derive(Clone)]
pub(super) struct Records {
    pub store: Arc<dyn Store>,
    pub models: Arc<dyn ModelStore>,
    pub reviews: Arc<dyn ReviewStore>,
    pub privacy: Arc<dyn PrivacyStore>,
    pub webhooks: Arc<dyn WebhookStore>,
    pub accounts: Arc<dyn AccountStore>,
    pub operations: Arc<dyn OperationStore>,
    pub replicas: Arc<dyn Replicas>,
}

impl Records {
    fn of<S>(store: S) -> Self
    where
        S: Store
            + ModelStore
            + ReviewStore
            + PrivacyStore
            + WebhookStore
            + AccountStore
            + OperationStore
            + Replicas,
    {
        let store = Arc::new(store);
        Self {
            models: store.clone(),
            reviews: store.clone(),
            privacy: store.clone(),
            webhooks: store.clone(),
            accounts: store.clone(),
            operations: store.clone(),
            replicas: store.clone(),
            store,
        }
    }

    /// Opens the store that the configuration names, and makes the data folder.
    pub async fn open(config: &Config) -> Result<Self, BindError> {
        let data_dir = &config.storage.data_dir;
        private_folder(data_dir)
            .map_err(|error| BindError::Storage(format!("{}: {error}", data_dir.display())))?;
        // What is wrong names file or host, and never a password.
        if let Some(address) = postgres_address(config)? {
            let opened = PostgresStore::open(&address, PostgresOptions::default()).await;
            return opened.map(Self::of).map_err(|error| BindError::Storage(error.to_string()));
        }
        let path = config.storage.database();
        let opened = SqliteStore::open(&path, SqliteOptions::default()).await;
        opened.map(Self::of).map_err(|error| BindError::Storage(error.to_string()))
    }
}

/// The address of PostgreSQL, if the configuration has one.
pub(super) fn postgres_address(config: &Config) -> Result<Option<PostgresAddress>, BindError> {
    let Some(url) = &config.storage.database_url else { return Ok(None) };
    let address = url.parse();
    address.map(Some).map_err(|error| BindError::Config(format!("storage.database_url: {error}")))
}
