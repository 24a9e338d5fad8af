//! The port, on top of writer, readers and caches.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use rusqlite::Connection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{CheckedComment, CommentId, Fingerprint, RequestId, Site, SiteId, SitePolicy};
use crate::moderation::ports::{
    AppliedLabel, AuditEntry, AuthorRecord, KeyRecord, LabelEntry, RecentComment, RecordedCheck,
    RequestMark, SampledComment, Store, StoreError, Window,
};

use super::cache::{Caches, author_key};
use super::commands::{self, SiteChange};
use super::erase;
use super::error::closed;
use super::feedback;
use super::open::{self, OpenError, SqliteOptions};
use super::operations;
use super::queries;
use super::readers::Readers;
use super::rows::{CommentRow, StoredSite};
use super::writer::{Batch, Undo, Writer};

/// The embedded store; see the module.
pub struct SqliteStore {
    caches: Arc<Caches>,
    readers: Readers,
    writer: Writer,
    closed: AtomicBool,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens the database at `path`, or creates it and the folders above, and brings its schema
    /// up to date.
    ///
    /// # Errors
    /// [`OpenError`]; another process that has it open is [`OpenError::InUse`].
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self, OpenError> {
        let path = path.to_owned();
        let io_path = path.clone();
        let task = tokio::task::spawn_blocking(move || Self::open_blocking(&path, &options));
        task.await.unwrap_or_else(|error| {
            Err(OpenError::Io { path: io_path, source: std::io::Error::other(error) })
        })
    }

    fn open_blocking(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let lock = Arc::new(open::lock(path)?);
        let connection = open::open_writer(path, options)?;
        operations::interrupt_all(&connection)
            .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
        let readers = Readers::open(path, options.reader_count, Arc::clone(&lock))
            .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
        let caches = Arc::new(Caches::new(options.author_cache_count));
        let floor = erase::comment_floor(&connection).map_err(|error| OpenError::Io {
            path: path.to_owned(),
            source: std::io::Error::other(error),
        })?;
        caches.raise_comment_floor(floor);
        let writer = Writer::start(path, connection, Arc::clone(&caches), options, lock)
            .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Ok(Self { caches, readers, writer, closed: AtomicBool::new(false), path: path.to_owned() })
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    pub(super) async fn stored_site(&self, id: &SiteId) -> Result<Option<StoredSite>, StoreError> {
        self.check_open()?;
        let miss = match self.caches.sites.get(id) {
            Ok(site) => return Ok(Some(site)),
            Err(miss) => miss,
        };
        let wanted = id.clone();
        let found = self.readers.read(move |db| queries::site(db, &wanted)).await?;
        if let Some(site) = &found {
            self.caches.sites.fill(id.clone(), site.clone(), &miss);
        }
        Ok(found)
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The queue to the writing thread.
    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Reads what belongs to no site.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check_open()?;
        self.readers.read(read).await
    }

    /// Reads with the site's number; the default if there is no such site.
    pub(super) async fn read_site<T: Default + Send + 'static>(
        &self,
        site: &SiteId,
        read: impl FnOnce(&Connection, i64) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.stored_site(site).await? {
            Some(stored) => self.readers.read(move |db| read(db, stored.number)).await,
            None => Ok(T::default()),
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_site(&self, site: Site, actor: &str) -> Result<(), StoreError> {
        let actor = actor.to_owned();
        let work = move |batch: &mut Batch<'_>| commands::create_site(batch, site, &actor);
        self.writer.submit(Undo::Savepoint, work).await
    }

    async fn get_site(&self, id: &SiteId) -> Result<Option<Arc<Site>>, StoreError> {
        Ok(self.stored_site(id).await?.map(|stored| stored.site))
    }

    async fn list_sites(
        &self,
        after: Option<&SiteId>,
        count_max: usize,
    ) -> Result<Vec<Site>, StoreError> {
        let after = after.map(|id| id.as_str().to_owned()).unwrap_or_default();
        let found = self.readers.read(move |db| queries::sites(db, &after, count_max)).await?;
        Ok(found.into_iter().map(|stored| Arc::unwrap_or_clone(stored.site)).collect())
    }

    async fn update_site(
        &self,
        id: &SiteId,
        revision: Option<i64>,
        display_name: String,
        policy: SitePolicy,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<Site, StoreError> {
        let id = id.clone();
        let change = SiteChange { revision, display_name, policy, actor: actor.to_owned(), time };
        let work = move |batch: &mut Batch<'_>| commands::update_site(batch, &id, change);
        self.writer.submit(Undo::Savepoint, work).await
    }

    async fn create_key(&self, key: KeyRecord, actor: &str) -> Result<(), StoreError> {
        let actor = actor.to_owned();
        let work = move |batch: &mut Batch<'_>| commands::create_key(batch, &key, &actor);
        self.writer.submit(Undo::Savepoint, work).await
    }

    async fn list_keys(&self, site: &SiteId) -> Result<Vec<KeyRecord>, StoreError> {
        self.read_site(site, queries::keys).await
    }

    async fn revoke_key(
        &self,
        site: &SiteId,
        id: Uuid,
        actor: &str,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<KeyRecord, StoreError> {
        let (site, actor) = (site.clone(), actor.to_owned());
        let work =
            move |batch: &mut Batch<'_>| commands::revoke_key(batch, &site, id, &actor, (now, end));
        self.writer.submit(Undo::Savepoint, work).await
    }

    async fn note_key_uses(&self, uses: Vec<(Uuid, OffsetDateTime)>) -> Result<(), StoreError> {
        let work = move |batch: &mut Batch<'_>| commands::note_key_uses(batch.db, &uses);
        self.writer.submit(Undo::Savepoint, work).await
    }

    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        self.check_open()?;
        let miss = match self.caches.keys.get(hash) {
            Ok(key) => return Ok(Some(key)),
            Err(miss) => miss,
        };
        let wanted = *hash;
        let found = self.readers.read(move |db| queries::key_by_hash(db, &wanted)).await?;
        let found = found.map(Arc::new);
        if let Some(key) = &found {
            self.caches.keys.fill(*hash, Arc::clone(key), &miss);
        }
        Ok(found)
    }

    async fn record_check(
        &self,
        comment: &CheckedComment,
        request: Option<RequestMark>,
    ) -> Result<RecordedCheck, StoreError> {
        let now = comment.check_time;
        let row = CommentRow::encode(comment);
        let work = move |batch: &mut Batch<'_>| commands::record_check(batch, &row, request, now);
        self.writer.submit(Undo::NotNeeded, work).await
    }

    async fn find_request(
        &self,
        site: &SiteId,
        request: RequestId,
        now: OffsetDateTime,
    ) -> Result<Option<(Fingerprint, Box<CheckedComment>)>, StoreError> {
        let Some(stored) = self.stored_site(site).await? else {
            return Ok(None);
        };
        let key = (stored.number, *request.as_uuid().as_bytes());
        if !self.caches.known_requests.may_contain(&key) {
            return Ok(None);
        }
        let site = site.clone();
        self.readers.read(move |db| queries::request(db, &key, &site, now)).await
    }

    async fn get_comment(
        &self,
        site: &SiteId,
        id: CommentId,
    ) -> Result<Option<CheckedComment>, StoreError> {
        let owner = site.clone();
        self.read_site(site, move |db, number| queries::comment(db, number, &owner, id)).await
    }

    async fn author_record(
        &self,
        site: &SiteId,
        author: Fingerprint,
    ) -> Result<AuthorRecord, StoreError> {
        let Some(stored) = self.stored_site(site).await? else {
            return Ok(AuthorRecord::default());
        };
        let key = author_key(stored.number, author);
        let miss = match self.caches.authors.get(&key) {
            Ok(record) => return Ok(record),
            Err(miss) => miss,
        };
        if !self.caches.known_authors.may_contain(&key) {
            return Ok(AuthorRecord::default());
        }
        let record = self.readers.read(move |db| queries::author(db, &key)).await?;
        self.caches.authors.fill(key, record, &miss);
        Ok(record)
    }

    async fn recent_comments(
        &self,
        site: &SiteId,
        count_max: usize,
    ) -> Result<Vec<RecentComment>, StoreError> {
        self.read_site(site, move |db, number| queries::recent_comments(db, number, count_max))
            .await
    }

    async fn sample_comments(
        &self,
        site: &SiteId,
        window: Window,
        count_max: usize,
    ) -> Result<Vec<SampledComment>, StoreError> {
        let owner = site.clone();
        let read = move |db: &Connection, number| {
            queries::sample_comments(db, number, &owner, window, count_max)
        };
        self.read_site(site, read).await
    }

    async fn labelled_comments(
        &self,
        site: &SiteId,
        count_max: usize,
    ) -> Result<Vec<RecentComment>, StoreError> {
        self.read_site(site, move |db, number| queries::labelled_comments(db, number, count_max))
            .await
    }

    async fn campaign_labels(
        &self,
        site: &SiteId,
        campaigns: &[CommentId],
    ) -> Result<Vec<RecentComment>, StoreError> {
        let campaigns = campaigns.to_vec();
        self.read_site(site, move |db, number| queries::campaign_labels(db, number, &campaigns))
            .await
    }

    async fn append_label(&self, entry: LabelEntry) -> Result<AppliedLabel, StoreError> {
        let work = move |batch: &mut Batch<'_>| feedback::append_label(batch, &entry);
        self.writer.submit(Undo::Savepoint, work).await
    }

    async fn list_labels(
        &self,
        site: &SiteId,
        position: i64,
        count_max: usize,
    ) -> Result<Vec<(i64, LabelEntry)>, StoreError> {
        let owner = site.clone();
        let read =
            move |db: &Connection, number| queries::labels(db, number, &owner, position, count_max);
        self.read_site(site, read).await
    }

    async fn list_audit_entries(
        &self,
        site: &SiteId,
        position: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let before = position.unwrap_or(i64::MAX);
        let read =
            move |db: &Connection, number| queries::audit_entries(db, number, before, count_max);
        self.read_site(site, read).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.writer.submit(Undo::NotNeeded, commands::ping).await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.readers.close().await;
        self.writer.stop().await;
    }
}
