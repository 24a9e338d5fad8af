//! Erasure and exports: `CommentService`'s about an author, `SiteService`'s about a site.

use std::sync::Arc;

use futures_util::StreamExt;
use tonic::Request;

use super::comments::{Comments, bad_name, site_id};
use super::sites::Sites;
use super::watch::Responses;
use super::{auth, convert, policy, proto, reviews_convert, status};
use crate::domain::{CommentId, KeyScope, Site, SiteId};
use crate::moderation::ports::privacy::{Holdings, StoredExample, Whose};
use crate::moderation::{AuthorSelector, Caller, ExportRecord, ModerationError};

/// The author that a request names.
fn selector(
    site: &SiteId,
    email: Option<String>,
    comment: Option<String>,
) -> Result<AuthorSelector, ModerationError> {
    match (email, comment) {
        (Some(address), _) => Ok(AuthorSelector::Email(address)),
        (None, Some(name)) => {
            let parsed = CommentId::from_name(&name);
            let (owner, id) = parsed.map_err(|error| bad_name("comment", &error))?;
            let own = owner == *site;
            own.then_some(AuthorSelector::Comment(id)).ok_or(ModerationError::NotFound("comment"))
        }
        (None, None) => {
            let text = "An address or a comment is required.";
            Err(ModerationError::field("author", "required", text))
        }
    }
}

impl Comments {
    /// The site of a request about an author, and whose data are meant.
    async fn author(
        &self,
        caller: &Caller,
        parent: &str,
        (email, comment): (Option<String>, Option<String>),
    ) -> Result<(Arc<Site>, Whose), ModerationError> {
        let id = site_id("parent", parent)?;
        caller.require_or_administer(&id, KeyScope::Operate)?;
        let site = self.moderation().site(&id).await?;
        let whose = self.moderation().whose(&site, selector(&id, email, comment)?).await?;
        Ok((site, whose))
    }

    pub(super) async fn erase(
        &self,
        request: Request<proto::EraseAuthorRequest>,
    ) -> Result<proto::EraseAuthorResponse, ModerationError> {
        use proto::erase_author_request::Author;
        let caller = auth::caller(self.moderation(), &request).await?;
        let request = request.into_inner();
        let author = match request.author {
            Some(Author::AuthorEmail(address)) => (Some(address), None),
            Some(Author::Comment(name)) => (None, Some(name)),
            None => (None, None),
        };
        let (site, whose) = self.author(&caller, &request.parent, author).await?;
        let erased = match request.validate_only {
            true => self.moderation().holdings(&site, whose).await?,
            false => {
                let actor = caller.actor();
                self.moderation().erase_author(&actor, &site, whose, request.note).await?
            }
        };
        let Holdings { comment_count, example_count, label_count } = erased;
        Ok(proto::EraseAuthorResponse {
            comment_count: comment_count as i64,
            example_count: example_count as i64,
            label_count: label_count as i64,
        })
    }

    pub(super) async fn export(
        &self,
        request: Request<proto::ExportAuthorRequest>,
    ) -> Result<Responses<proto::ExportAuthorResponse>, ModerationError> {
        use proto::export_author_request::Author;
        use proto::export_author_response::Record;
        let caller = auth::caller(self.moderation(), &request).await?;
        let (metadata, _, request) = request.into_parts();
        let author = match request.author {
            Some(Author::AuthorEmail(address)) => (Some(address), None),
            Some(Author::Comment(name)) => (None, Some(name)),
            None => (None, None),
        };
        let (site, whose) = self.author(&caller, &request.parent, author).await?;
        let records = self.moderation().export_author(&caller.actor(), &site, whose).await?;
        let response = move |record| {
            let (record, decided) = match record {
                ExportRecord::Comment(comment, decided) => {
                    (Some(Record::Comment(reviews_convert::reviewed(*comment))), decided)
                }
                ExportRecord::Example(example) => {
                    (Some(Record::Example(stored_example(&site.id, *example))), Vec::new())
                }
                ExportRecord::Site(_) => (None, Vec::new()),
            };
            let decisions =
                decided.into_iter().map(|one| reviews_convert::decided(&site.id, one)).collect();
            proto::ExportAuthorResponse { record, decisions }
        };
        let responses = records.map(move |record| record.map(&response).map_err(status::status));
        Ok(auth::while_valid(self.moderation().clone(), metadata, responses))
    }
}

impl Sites {
    pub(super) async fn rotate_fingerprints(
        &self,
        request: Request<proto::RotateFingerprintKeyRequest>,
    ) -> Result<proto::RotateFingerprintKeyResponse, ModerationError> {
        let (caller, request) = auth::administrator(self.moderation(), request).await?;
        let site = self.moderation().site(&site_id("name", &request.name)?).await?;
        let actor = caller.actor();
        let site = self.moderation().rotate_fingerprint_key(&actor, &site, request.note).await?;
        Ok(proto::RotateFingerprintKeyResponse { site: Some(policy::site(site)) })
    }

    pub(super) async fn export(
        &self,
        request: Request<proto::ExportSiteRequest>,
    ) -> Result<Responses<proto::ExportSiteResponse>, ModerationError> {
        use proto::export_site_response::Record;
        let metadata = request.metadata().clone();
        let (caller, request) = auth::administrator(self.moderation(), request).await?;
        let site = self.moderation().site(&site_id("name", &request.name)?).await?;
        let records = self.moderation().export_site(&caller.actor(), &site).await?;
        let response = move |record| {
            let (record, decided) = match record {
                ExportRecord::Site(site) => {
                    (Record::Site(policy::site(Site::clone(&site))), Vec::new())
                }
                ExportRecord::Comment(comment, decided) => {
                    (Record::Comment(reviews_convert::reviewed(*comment)), decided)
                }
                ExportRecord::Example(example) => {
                    (Record::Example(stored_example(&site.id, *example)), Vec::new())
                }
            };
            let decisions =
                decided.into_iter().map(|one| reviews_convert::decided(&site.id, one)).collect();
            proto::ExportSiteResponse { record: Some(record), decisions }
        };
        let responses = records.map(move |record| record.map(&response).map_err(status::status));
        Ok(auth::while_valid(self.moderation().clone(), metadata, responses))
    }
}

fn stored_example(site: &SiteId, example: StoredExample) -> proto::StoredExample {
    let submission = example.submission;
    proto::StoredExample {
        name: example.id.name(site),
        text: submission.text,
        author: submission.author.unwrap_or_default(),
        url: submission.url.unwrap_or_default(),
        page_uri: submission.page_uri.unwrap_or_default(),
        language: submission.lang.unwrap_or_default(),
        source: example.source,
        label: example.label.map_or(0, |label| convert::label_to_wire(label).into()),
    }
}
