//! The port, on top of connections, recorder and caches.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::{CheckedComment, CommentId, Fingerprint, RequestId, Site, SiteId, SitePolicy};
use crate::moderation::ports::{
    AppliedLabel, AuditEntry, AuthorRecord, KeyRecord, LabelEntry, RecentComment, RecordedCheck,
    RequestMark, SampledComment, Store, StoreError, Window,
};
use crate::storage::values::{CommentRow, StoredSite};

use super::cache::Caches;
use super::commands::{self, SiteChange};
use super::connect::{self, Connector};
use super::db::{Db, Source, transaction};
use super::error::{PostgresError, late};
use super::feedback;
use super::listener::Listener;
use super::migrate;
use super::options::{PostgresAddress, PostgresOptions};
use super::queries;
use super::recorder::{Check, Recorded, Recorder};
use super::replicas::NewsQueue;
use super::rows::get;
use super::source::connect;

/// The shared store; see the module.
pub struct PostgresStore {
    source: Arc<Source>,
    caches: Arc<Caches>,
    news: Arc<NewsQueue>,
    recorder: Recorder,
    options: PostgresOptions,
    stop: CancellationToken,
}

impl PostgresStore {
    /// Connects to the database and brings its schema up to date. What the store does by itself
    /// is done on the runtime that calls this.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn open(
        address: &PostgresAddress,
        options: PostgresOptions,
    ) -> Result<Self, PostgresError> {
        let connector = Connector::new(address)?;
        let source = connect(address, connector.clone(), &options).await?;
        migrate::migrate(&source, address).await?;
        let source = Arc::new(source);
        let caches = Arc::new(Caches::new(options.news_period));
        let news = Arc::new(NewsQueue::new());
        let stop = CancellationToken::new();
        let listener = Listener {
            connector,
            config: connect::listening_config(address, &options),
            caches: Arc::clone(&caches),
            news: Arc::clone(&news),
            replica: source.replica,
            period: options.news_period,
            lease_life: options.lease_life,
        };
        tokio::spawn(listener.run(stop.clone()));
        let recorder = Recorder::start(&source, &options);
        Ok(Self { source, caches, news, recorder, options, stop })
    }

    /// Brings the schema up to date and gives the versions before and after.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn migrate(address: &PostgresAddress) -> Result<(i32, i32), PostgresError> {
        let connector = Connector::new(address)?;
        let source = connect(address, connector, &PostgresOptions::default()).await?;
        let versions = migrate::migrate(&source, address).await;
        source.pool.close();
        versions
    }

    /// One line about the database: its schema, whether it keeps what it acknowledged, about how
    /// many comments it holds. It is not changed.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn examine(address: &PostgresAddress) -> Result<String, PostgresError> {
        let connector = Connector::new(address)?;
        let source = connect(address, connector, &PostgresOptions::default()).await?;
        let examined = examine(&source, address).await;
        source.pool.close();
        examined
    }

    /// Tells this process from others.
    pub(super) fn replica(&self) -> Uuid {
        self.source.replica
    }

    /// News of other processes.
    pub(super) fn news(&self) -> &NewsQueue {
        &self.news
    }

    /// How long a lease is held without being renewed.
    pub(super) fn lease_life(&self) -> Duration {
        self.options.lease_life
    }

    /// A connection, for single statements.
    pub(super) async fn db(&self) -> Result<Db, StoreError> {
        Db::open(&self.source, self.options.call_timeout).await
    }

    /// A connection, for statements that read much.
    pub(super) async fn patient_db(&self) -> Result<Db, StoreError> {
        Db::open(&self.source, self.options.long_timeout).await
    }

    /// A transaction; see [`transaction!`].
    pub(super) async fn begin(&self) -> Result<Db, StoreError> {
        Db::begin(&self.source, self.options.call_timeout).await
    }

    /// A transaction that writes much.
    pub(super) async fn begin_patiently(&self) -> Result<Db, StoreError> {
        Db::begin(&self.source, self.options.long_timeout).await
    }

    /// Lets others have what this process does alone; they wait a little if it does not work.
    async fn release_all(&self) {
        let released = async {
            let sql = "DELETE FROM leases WHERE holder = $1";
            self.db().await?.execute(sql, &[&self.source.replica]).await
        };
        if let Err(error) = released.await {
            tracing::debug!(error = %error, "leases were not given up");
        }
    }

    /// The site with its number, from memory or the database.
    pub(super) async fn stored_site(&self, id: &SiteId) -> Result<Option<StoredSite>, StoreError> {
        if self.stop.is_cancelled() {
            return Err(super::error::closed());
        }
        let miss = match self.caches.sites.get(id, self.caches.life()) {
            Ok(site) => return Ok(Some(site)),
            Err(miss) => miss,
        };
        let found = queries::site(&self.db().await?, id).await?;
        if let Some(site) = &found {
            self.caches.sites.fill(id.clone(), site.clone(), &miss);
        }
        Ok(found)
    }

    /// The number of a site, which never changes. `NotFound`.
    pub(super) async fn site_number(&self, id: &SiteId) -> Result<i64, StoreError> {
        self.stored_site(id).await?.map(|stored| stored.number).ok_or(StoreError::NotFound)
    }

    /// Forgets what memory has of a site, which changed.
    pub(super) fn forget_site(&self, id: &SiteId) {
        self.caches.sites.forget(id);
    }

    /// A connection and the number of a site; nothing without the site.
    pub(super) async fn site_db(&self, id: &SiteId) -> Result<Option<(Db, i64)>, StoreError> {
        let Some(stored) = self.stored_site(id).await? else { return Ok(None) };
        Ok(Some((self.db().await?, stored.number)))
    }
}

async fn examine(source: &Source, address: &PostgresAddress) -> Result<String, PostgresError> {
    let place = address.to_string();
    let found = async {
        let db = Db::open(source, PostgresOptions::default().call_timeout).await?;
        let Some(version) = migrate::stored_version(&db).await? else { return Ok(None) };
        let sql = "SELECT current_setting('fsync') = 'on', current_setting('server_version'), \
             greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'comments'::regclass";
        let read =
            |row: &Row| Ok((get::<bool>(row, 0)?, get::<String>(row, 1)?, get::<i64>(row, 2)?));
        Ok(db.first(sql, &[], read).await?.map(|found| (version, found)))
    };
    let found: Result<_, StoreError> = found.await;
    let unreachable = |error: StoreError| PostgresError::Unreachable {
        place: place.clone(),
        cause: error.to_string(),
    };
    match found.map_err(unreachable)? {
        None => Ok("empty, the first start makes its tables".into()),
        Some((found, _)) if found.is_too_new() => {
            let (found, known) = (found.version, migrate::SCHEMA_VERSION);
            Err(PostgresError::NewerSchema { place, found, known })
        }
        Some((_, (false, ..))) => Err(PostgresError::Unreachable {
            place,
            cause: "fsync is off: a power cut would lose what was acknowledged".into(),
        }),
        Some((version, (true, server, count))) => {
            let version = version.version;
            Ok(format!("server {server}, schema {version}, about {count} comments"))
        }
    }
}

/// Waits no longer than that.
async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(patience, work).await.unwrap_or_else(|_| Err(late()))
}

#[async_trait]
impl Store for PostgresStore {
    async fn create_site(&self, site: Site, actor: &str) -> Result<(), StoreError> {
        let created = transaction!(self, |db| commands::create_site(&db, &site, actor).await);
        self.caches.sites.forget(&site.id);
        created
    }

    async fn get_site(&self, id: &SiteId) -> Result<Option<Arc<Site>>, StoreError> {
        Ok(self.stored_site(id).await?.map(|stored| stored.site))
    }

    async fn list_sites(
        &self,
        after: Option<&SiteId>,
        count_max: usize,
    ) -> Result<Vec<Site>, StoreError> {
        let after = after.map(SiteId::as_str).unwrap_or_default();
        let found = queries::sites(&self.db().await?, after, count_max).await?;
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
        let change =
            SiteChange { revision, display_name: &display_name, policy: &policy, actor, time };
        let updated = transaction!(self, |db| commands::update_site(&db, id, &change).await);
        self.caches.sites.forget(id);
        updated
    }

    async fn create_key(&self, key: KeyRecord, actor: &str) -> Result<(), StoreError> {
        let number = self.site_number(&key.site).await?;
        let created = transaction!(self, |db| commands::create_key(&db, number, &key, actor).await);
        self.caches.keys.forget(&key.hash);
        created
    }

    async fn list_keys(&self, site: &SiteId) -> Result<Vec<KeyRecord>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        queries::keys(&db, number).await
    }

    async fn revoke_key(
        &self,
        site: &SiteId,
        id: Uuid,
        actor: &str,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<KeyRecord, StoreError> {
        let number = self.site_number(site).await?;
        let revoked =
            transaction!(self, |db| commands::revoke_key(&db, number, id, actor, (now, end))
                .await)?;
        self.caches.keys.forget(&revoked.hash);
        Ok(revoked)
    }

    async fn note_key_uses(&self, uses: Vec<(Uuid, OffsetDateTime)>) -> Result<(), StoreError> {
        commands::note_key_uses(&self.db().await?, &uses).await
    }

    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        let miss = match self.caches.keys.get(hash, self.caches.life()) {
            Ok(key) => return Ok(Some(key)),
            Err(miss) => miss,
        };
        let found = queries::key_by_hash(&self.db().await?, hash).await?.map(Arc::new);
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
        let recorded = async {
            let site_number = self.site_number(&comment.site).await?;
            let row = CommentRow::encode(comment);
            self.recorder.record(Check { site_number, row, request }).await
        };
        match (within(self.options.call_timeout, recorded).await?, request) {
            (Recorded::Repeated, Some(mark)) => {
                let found = self.find_request(&comment.site, mark.id, comment.check_time).await?;
                let (digest, first) = found.ok_or_else(|| {
                    StoreError::Unavailable("the first comment of a request is gone".into())
                })?;
                Ok(RecordedCheck::Repeated(digest, first))
            }
            _ => Ok(RecordedCheck::New),
        }
    }

    async fn find_request(
        &self,
        site: &SiteId,
        request: RequestId,
        now: OffsetDateTime,
    ) -> Result<Option<(Fingerprint, Box<CheckedComment>)>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(None) };
        queries::request(&db, number, site, request, now).await
    }

    async fn get_comment(
        &self,
        site: &SiteId,
        id: CommentId,
    ) -> Result<Option<CheckedComment>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(None) };
        queries::comment(&db, number, site, id).await
    }

    async fn author_record(
        &self,
        site: &SiteId,
        author: Fingerprint,
    ) -> Result<AuthorRecord, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else {
            return Ok(AuthorRecord::default());
        };
        queries::author(&db, number, author).await
    }

    async fn recent_comments(
        &self,
        site: &SiteId,
        count_max: usize,
    ) -> Result<Vec<RecentComment>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        queries::recent_comments(&db, number, count_max).await
    }

    async fn sample_comments(
        &self,
        site: &SiteId,
        window: Window,
        count_max: usize,
    ) -> Result<Vec<SampledComment>, StoreError> {
        let Some(stored) = self.stored_site(site).await? else { return Ok(Vec::new()) };
        let db = self.patient_db().await?;
        queries::sample_comments(&db, stored.number, site, window, count_max).await
    }

    async fn labelled_comments(
        &self,
        site: &SiteId,
        count_max: usize,
    ) -> Result<Vec<RecentComment>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        queries::labelled_comments(&db, number, count_max).await
    }

    async fn campaign_labels(
        &self,
        site: &SiteId,
        campaigns: &[CommentId],
    ) -> Result<Vec<RecentComment>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        queries::campaign_labels(&db, number, campaigns).await
    }

    async fn append_label(&self, entry: LabelEntry) -> Result<AppliedLabel, StoreError> {
        let number = self.site_number(&entry.site).await?;
        transaction!(self, |db| feedback::append_label(&db, number, &entry).await)
    }

    async fn list_labels(
        &self,
        site: &SiteId,
        position: i64,
        count_max: usize,
    ) -> Result<Vec<(i64, LabelEntry)>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        queries::labels(&db, number, site, position, count_max).await
    }

    async fn list_audit_entries(
        &self,
        site: &SiteId,
        position: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        queries::audit_entries(&db, number, position.unwrap_or(i64::MAX), count_max).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        commands::ping(&self.db().await?).await
    }

    async fn close(&self) {
        self.stop.cancel();
        self.recorder.stop().await;
        self.release_all().await;
        self.source.pool.close();
    }
}
