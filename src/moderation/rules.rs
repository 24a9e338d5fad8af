//! Policies made ready for use, once for each revision.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::checks::SiteRules;
use crate::domain::{Site, SiteId};

/// Sites whose rules are kept; with a thousand words a list, one takes some 100 kB.
const SITE_COUNT_MAX: usize = 1_024;

/// Rules of the sites that were lately asked for. Looked up for every comment; made anew when a
/// site's revision changes.
#[derive(Default)]
pub(super) struct RulesCache {
    by_site: RwLock<HashMap<SiteId, (i64, Arc<SiteRules>)>>,
}

impl RulesCache {
    /// The rules of this revision of a site.
    pub(super) fn of(&self, site: &Site) -> Arc<SiteRules> {
        let known = self.by_site.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((revision, rules)) = known.get(&site.id)
            && *revision == site.revision
        {
            return rules.clone();
        }
        drop(known);
        let rules = Arc::new(SiteRules::new(site.policy.clone()));
        let mut known = self.by_site.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SITE_COUNT_MAX && !known.contains_key(&site.id) {
            // Any one may go: it is made again when it is asked for.
            if let Some(victim) = known.keys().next().cloned() {
                known.remove(&victim);
            }
        }
        known.insert(site.id.clone(), (site.revision, rules.clone()));
        rules
    }
}
