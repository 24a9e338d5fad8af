//! Which model decides where, and what operators do with models.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use time::OffsetDateTime;

use super::gate::gate;
use super::ports::StoreError;
use super::ports::models::{ModelChange, ModelRecord, ModelState};
use super::shadow::Shadow;
use super::{Actor, Moderation, ModerationError, Scorer};
use crate::classifier::Model;
use crate::domain::{Site, SiteId};

/// The models that score. A look-up for every comment; a change takes effect for the next one. The
/// base model is in memory once; a site's takes 4 MiB beside it, and 8 MiB if it was trained on
/// another base model.
pub(super) struct ModelTable {
    base: Scorer,
    sites: RwLock<HashMap<SiteId, Deciding>>,
    /// Held during a change, so that memory follows the store in order.
    changing: tokio::sync::Mutex<()>,
}

/// What scores the comments of a site.
#[derive(Clone)]
pub(super) struct Deciding {
    /// What decides.
    pub(super) scorer: Scorer,
    /// What scores beside it.
    pub(super) shadow: Option<Arc<Shadow>>,
}

/// A model and how much of its site's ledger it knows.
pub(super) struct Known {
    pub(super) model: Arc<Model>,
    /// The last entry; 0 for the base model.
    pub(super) ledger_position: i64,
    /// When it was trained; nothing for the base model.
    pub(super) create_time: Option<OffsetDateTime>,
}

impl ModelTable {
    pub(super) fn new(base: Scorer) -> Self {
        Self { base, sites: RwLock::default(), changing: tokio::sync::Mutex::default() }
    }

    /// The base model.
    pub(super) fn base(&self) -> &Scorer {
        &self.base
    }

    /// What scores the comments of a site.
    pub(super) fn of(&self, site: &SiteId) -> Deciding {
        let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
        let base = || Deciding { scorer: self.base.clone(), shadow: None };
        sites.get(site).cloned().unwrap_or_else(base)
    }

    /// The sites with models of their own in memory.
    pub(super) fn sites(&self) -> Vec<SiteId> {
        self.sites.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Held while store and memory are changed.
    pub(super) async fn lock(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// What is to score the comments of a site.
    pub(super) fn set(&self, site: &SiteId, scorer: Scorer, shadow: Option<Arc<Shadow>>) {
        self.change(site, |deciding| *deciding = Deciding { scorer, shadow });
    }

    fn change(&self, site: &SiteId, change: impl FnOnce(&mut Deciding)) {
        let mut sites = self.sites.write().unwrap_or_else(PoisonError::into_inner);
        let base = || Deciding { scorer: self.base.clone(), shadow: None };
        change(sites.entry(site.clone()).or_insert_with(base));
    }
}

impl Moderation {
    /// Puts the models that decide into memory; once, before the first comment. A model that this
    /// version cannot use is left out, with a warning: the base model decides there.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn load_models(&self) -> Result<(), ModerationError> {
        let records = self.model_store.deciding_models().await;
        for record in records.map_err(ModerationError::Unavailable)? {
            if let Err(error) = self.install(&record).await {
                tracing::warn!(
                    site.id = %record.site,
                    model.version = %record.version,
                    error = %error,
                    "a model cannot be used; the base model decides"
                );
                metrics::counter!("replyguard_unusable_models_total").increment(1);
            }
        }
        Ok(())
    }

    /// Puts a model where its state says.
    async fn install(&self, record: &ModelRecord) -> Result<(), ModerationError> {
        let scorer = match record.state {
            ModelState::Active | ModelState::Shadow => self.scorer_of(record).await?,
            ModelState::Candidate | ModelState::Retired => return Ok(()),
        };
        self.models.change(&record.site, |deciding| match record.state {
            ModelState::Active => {
                let shadows =
                    deciding.shadow.as_ref().map(|shadow| shadow.scorer().model_version());
                if shadows == Some(scorer.model_version()) {
                    deciding.shadow = None;
                }
                deciding.scorer = scorer;
            }
            _ => deciding.shadow = Some(Arc::new(Shadow::new(scorer))),
        });
        Ok(())
    }

    /// The scorer of one of a site's models, or of the base model.
    pub(super) async fn scorer_of_version(
        &self,
        site: &Site,
        version: &str,
    ) -> Result<Scorer, ModerationError> {
        let Deciding { scorer, shadow } = self.models.of(&site.id);
        let loaded = [Some(scorer), shadow.map(|shadow| shadow.scorer().clone())];
        let base = Some(self.models.base().clone());
        let mut loaded = loaded.into_iter().chain([base]).flatten();
        match loaded.find(|scorer| scorer.model_version() == version) {
            Some(scorer) => Ok(scorer),
            None => self.stored_scorer(&site.id, version).await,
        }
    }

    /// One of a site's models, or the base model, with what it knows.
    pub(super) async fn known_model(
        &self,
        site: &Site,
        version: &str,
    ) -> Result<Known, ModerationError> {
        let scorer = self.scorer_of_version(site, version).await?;
        let record = if version == self.models.base().model_version() {
            None
        } else {
            Some(self.model(&site.id, version).await?)
        };
        Ok(Known {
            model: scorer.model(),
            ledger_position: record.as_ref().map_or(0, |record| record.ledger_position),
            create_time: record.map(|record| record.create_time),
        })
    }

    pub(super) async fn scorer_of(&self, record: &ModelRecord) -> Result<Scorer, ModerationError> {
        self.stored_scorer(&record.site, &record.version).await
    }

    /// A model's scorer, or why this version cannot use it.
    pub(super) async fn usable_scorer(
        &self,
        record: &ModelRecord,
    ) -> Result<Result<Scorer, String>, ModerationError> {
        match self.scorer_of(record).await {
            Ok(scorer) => Ok(Ok(scorer)),
            Err(ModerationError::Unavailable(StoreError::Corrupt(why))) => Ok(Err(why)),
            Err(error) => Err(error),
        }
    }

    async fn stored_scorer(&self, site: &SiteId, version: &str) -> Result<Scorer, ModerationError> {
        let found = self.model_store.get_model(site, version).await;
        let (_, artifact) = found
            .map_err(ModerationError::Unavailable)?
            .ok_or(ModerationError::NotFound("model"))?;
        let unusable = |error: crate::classifier::ArtifactError| {
            ModerationError::Unavailable(StoreError::Corrupt(error.to_string()))
        };
        let model = Model::from_bytes(&artifact).map_err(unusable)?;
        let model = model.sharing(&self.models.base().model());
        Ok(Scorer::new(Arc::new(model)))
    }

    /// The models of a site, newest first, and the version that decides.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn models(
        &self,
        site: &SiteId,
    ) -> Result<(Vec<ModelRecord>, String), ModerationError> {
        self.site(site).await?;
        let models = self.model_store.list_models(site).await;
        let active = self.models.of(site).scorer.model_version().to_owned();
        Ok((models.map_err(ModerationError::Unavailable)?, active))
    }

    /// A model of a site.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn model(
        &self,
        site: &SiteId,
        version: &str,
    ) -> Result<ModelRecord, ModerationError> {
        // Not `get_model`, which reads the weights, too.
        let models = self.model_store.list_models(site).await;
        let mut models = models.map_err(ModerationError::Unavailable)?.into_iter();
        models.find(|record| record.version == version).ok_or(ModerationError::NotFound("model"))
    }

    /// Lets a model decide from the next comment on. The gate: on the hold-out it must hold no more
    /// good comments than the model that decided, in all and of each kind that has fifty, and must
    /// not be less sure of the truth; and that model must be the one that decides now.
    ///
    /// # Errors
    /// `NotFound`, `GateClosed` unless `force` comes with a note, `Unavailable`.
    pub async fn promote_model(
        &self,
        actor: &Actor,
        site: &SiteId,
        version: &str,
        force: bool,
        note: Option<String>,
    ) -> Result<ModelRecord, ModerationError> {
        if force && note.is_none() {
            let text = "Promoting against the hold-out needs a reason.";
            return Err(ModerationError::field("note", "required", text));
        }
        let _turn = self.models.changing.lock().await;
        let record = self.model(site, version).await?;
        if !force {
            gate(&record, self.models.of(site).scorer.model_version())?;
        }
        self.change_model(actor, &record, ModelState::Active, Some(Step::Promotion), note).await
    }

    /// Lets the model decide again that was promoted before the active one; again and again down to
    /// the base model. Models that this version cannot use are passed over; the note says which.
    ///
    /// # Errors
    /// `NothingBefore` if the base model decides, `Conflict` if another one than the `expected`
    /// version does; `Unavailable`.
    pub async fn roll_back_model(
        &self,
        actor: &Actor,
        site: &SiteId,
        expected: Option<&str>,
        note: Option<String>,
    ) -> Result<String, ModerationError> {
        let _turn = self.models.changing.lock().await;
        let (models, _) = self.models(site).await?;
        let active = models.iter().find(|model| model.state == ModelState::Active);
        if expected.is_some_and(|version| active.is_none_or(|active| active.version != version)) {
            return Err(ModerationError::Conflict("active model"));
        }
        let active = active.ok_or(ModerationError::NothingBefore)?;
        let (before, passed_over) = self.usable_before(&models, active).await?;
        let note = with_passed_over(note, &passed_over);
        let back = Some(Step::Back);
        if let Some(before) = before {
            let before = self.change_model(actor, before, ModelState::Active, back, note).await?;
            return Ok(before.version);
        }
        self.change_model(actor, active, ModelState::Retired, back, note).await?;
        let base = self.models.base().clone();
        let version = base.model_version().to_owned();
        self.models.change(site, |deciding| deciding.scorer = base);
        Ok(version)
    }

    /// The model that this version can use and that was promoted last before the active one, and the
    /// versions that are passed over to get there.
    async fn usable_before<'a>(
        &self,
        models: &'a [ModelRecord],
        active: &ModelRecord,
    ) -> Result<(Option<&'a ModelRecord>, Vec<&'a str>), ModerationError> {
        let promoted = models.iter().filter(|model| model.promote_time.is_some());
        let mut earlier: Vec<_> =
            promoted.filter(|model| model.promote_time < active.promote_time).collect();
        earlier.sort_by_key(|model| Reverse(model.promote_time));
        let mut passed_over = Vec::new();
        for model in earlier {
            match self.usable_scorer(model).await? {
                Ok(_) => return Ok((Some(model), passed_over)),
                Err(why) => {
                    tracing::warn!(
                        site.id = %model.site,
                        model.version = %model.version,
                        why,
                        "a model cannot be used; the roll-back passes over it"
                    );
                    passed_over.push(model.version.as_str());
                }
            }
        }
        Ok((None, passed_over))
    }

    /// Lets a model score live comments beside the one that decides, or ends that.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` for a model that decides, `Unavailable`.
    pub async fn shadow_model(
        &self,
        actor: &Actor,
        site: &SiteId,
        version: &str,
        stop: bool,
    ) -> Result<ModelRecord, ModerationError> {
        let _turn = self.models.changing.lock().await;
        let record = self.model(site, version).await?;
        match (record.state, stop) {
            (ModelState::Active, _) => Err(ModerationError::Conflict("model")),
            (ModelState::Shadow, false) => Ok(record),
            (_, false) => self.change_model(actor, &record, ModelState::Shadow, None, None).await,
            (ModelState::Shadow, true) => {
                let ended =
                    self.change_model(actor, &record, ModelState::Candidate, None, None).await?;
                self.models.change(site, |deciding| deciding.shadow = None);
                Ok(ended)
            }
            (_, true) => Ok(record),
        }
    }

    /// Changes store and memory; the caller holds `changing`.
    async fn change_model(
        &self,
        actor: &Actor,
        record: &ModelRecord,
        state: ModelState,
        step: Option<Step>,
        note: Option<String>,
    ) -> Result<ModelRecord, ModerationError> {
        // A model that cannot be used must not become the one that decides.
        if state == ModelState::Active || state == ModelState::Shadow {
            self.scorer_of(record).await?;
        }
        let change = ModelChange {
            site: record.site.clone(),
            version: record.version.clone(),
            state,
            promote_time: (step == Some(Step::Promotion)).then(|| self.clock.now()),
            rolls_back: step == Some(Step::Back),
            actor: actor.as_str().to_owned(),
            note,
            time: self.clock.now(),
        };
        let changed = self.model_store.change_model(change).await;
        let changed = changed.map_err(ModerationError::store("model"))?;
        self.install(&changed).await?;
        Ok(changed)
    }
}

/// The note of a roll-back, with the versions that it passed over.
fn with_passed_over(note: Option<String>, versions: &[&str]) -> Option<String> {
    if versions.is_empty() {
        return note;
    }
    let passed_over = format!("passed over as unusable: {}", versions.join(", "));
    Some(match note {
        Some(note) => format!("{note} ({passed_over})"),
        None => passed_over,
    })
}

/// Why another model decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It was promoted.
    Promotion,
    /// What was promoted before is taken back.
    Back,
}
