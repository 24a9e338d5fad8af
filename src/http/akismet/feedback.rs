//! `submit-spam` and `submit-ham`: a label on a check or, of a comment that was never checked
//! here, an entry of the ledger.

use axum::response::Response;

use super::comment::submission;
use super::reply::Reply;
use super::{Akismet, Call, check};
use crate::domain::{Example, Label};
use crate::moderation::ports::Reporter;
use crate::moderation::{Feedback, ForeignExample, ModerationError};

/// Some clients compare the whole sentence.
const THANKS: &str = "Thanks for making the web a better place.";
/// What the ledger calls comments that were never checked here.
const SOURCE: &str = "akismet";

pub(super) async fn answer(akismet: &Akismet, call: &Call, spam: bool) -> Response {
    match take(akismet, call, spam).await {
        Ok(reply) => call.reply(reply),
        Err(error) => call.reply(Reply::error(&error)),
    }
}

async fn take(akismet: &Akismet, call: &Call, spam: bool) -> Result<Reply, ModerationError> {
    let (caller, site) = akismet.site(call).await?;
    let (moderation, fields) = (akismet.moderation(), &call.fields);
    if fields.flag("is_test") {
        return Ok(Reply::word(THANKS));
    }
    let label = if spam { Label::Spam } else { Label::Ham };
    if let Some(known) = check::find(akismet, &site, call).await? {
        let name = fields.get("reporter").trim();
        let feedback = Feedback {
            label,
            reporter: if name.is_empty() { Reporter::Site } else { Reporter::Moderator },
            reporter_name: name[..name.floor_char_boundary(200)].to_owned(),
            note: String::new(),
        };
        moderation.submit_feedback(&site, known.comment.id, feedback).await?;
        return Ok(Reply::word(THANKS));
    }
    let raw = submission(fields, false);
    if raw.text.trim().is_empty() {
        return Ok(Reply::invalid("Empty \"comment_content\" value"));
    }
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let example = Example {
        text: raw.text,
        author: given(raw.author),
        email: given(raw.email),
        url: given(raw.url),
        ip: given(raw.ip),
        user_agent: given(raw.user_agent),
        lang: given(raw.lang),
        page_uri: given(raw.page_uri),
        source: Some(SOURCE.into()),
        ..Example::default()
    };
    let foreign = vec![ForeignExample { example, label, time: None }];
    moderation.import_examples(&caller.actor(), &site, foreign).await?;
    Ok(Reply::word(THANKS))
}
