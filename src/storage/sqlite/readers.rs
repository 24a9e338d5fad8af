//! Reading connections, each used by one blocking thread at a time.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::moderation::ports::StoreError;

use super::error::closed;
use super::open::open_reader;

/// A pool of reading connections.
pub(super) struct Readers {
    idle: Arc<Mutex<Idle>>,
    permits: Arc<Semaphore>,
    count: u32,
}

struct Idle {
    connections: Vec<Connection>,
    /// Held so that no other process owns the file while this one still reads it.
    lock: Option<Arc<File>>,
}

impl Readers {
    pub fn open(path: &Path, count: usize, lock: Arc<File>) -> rusqlite::Result<Self> {
        let count = count.max(1);
        let connections = (0..count).map(|_| open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            idle: Arc::new(Mutex::new(Idle { connections, lock: Some(lock) })),
            permits: Arc::new(Semaphore::new(count)),
            count: count as u32,
        })
    }

    /// Runs `work` with a connection on a blocking thread.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let mut lease = Lease::new(Arc::clone(&self.idle));
        let task = tokio::task::spawn_blocking(move || {
            let result = match &lease.connection {
                Some(connection) => work(connection),
                None => Err(closed()),
            };
            lease.give_back();
            drop(permit);
            result
        });
        match task.await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    /// Waits for the reads under way and closes all connections.
    pub async fn close(&self) {
        // Fails only if they were closed before.
        if self.permits.acquire_many(self.count).await.is_ok() {
            self.permits.close();
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.connections.clear();
            idle.lock = None;
        }
    }
}

/// A connection that returns to the pool also when the work panics.
struct Lease {
    idle: Arc<Mutex<Idle>>,
    connection: Option<Connection>,
}

impl Lease {
    fn new(idle: Arc<Mutex<Idle>>) -> Self {
        let connection = idle.lock().unwrap_or_else(PoisonError::into_inner).connections.pop();
        Self { idle, connection }
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.connections.push(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}
