//! `submit-spam` and `submit-ham`: a label on a check. A comment that was never checked here is
//! checked for it, so that what a person says of it counts at once like any other word.

use axum::response::Response;

use super::comment::submission;
use super::reply::Reply;
use super::{Akismet, Call, check};
use crate::domain::{Label, is_blank};
use crate::moderation::ports::Reporter;
use crate::moderation::{CheckOptions, Feedback, ModerationError};
use crate::text::cut;

/// Some clients compare the whole sentence.
const THANKS: &str = "Thanks for making the web a better place.";

pub(super) async fn answer(akismet: &Akismet, call: &Call, spam: bool) -> Response {
    match take(akismet, call, spam).await {
        Ok(reply) => call.reply(reply),
        Err(error) => call.reply(Reply::error(&error)),
    }
}

async fn take(akismet: &Akismet, call: &Call, spam: bool) -> Result<Reply, ModerationError> {
    let (_, site) = akismet.site(call).await?;
    let (moderation, fields) = (akismet.moderation(), &call.fields);
    if fields.flag("is_test") {
        return Ok(Reply::word(THANKS));
    }
    let id = match check::find(akismet, &site, call).await? {
        Some(known) => known.comment.id,
        None => {
            let raw = submission(fields, false);
            if is_blank(&raw.text) {
                return Ok(Reply::invalid("Empty \"comment_content\" value"));
            }
            let options =
                CheckOptions { lenient: true, unlimited: true, ..CheckOptions::default() };
            moderation.check(&site, raw, options).await?.comment.id
        }
    };
    let name = fields.get("reporter").trim();
    let feedback = Feedback {
        label: if spam { Label::Spam } else { Label::Ham },
        reporter: if name.is_empty() { Reporter::Site } else { Reporter::Moderator },
        reporter_name: cut(name, 200).to_owned(),
        note: String::new(),
    };
    moderation.submit_feedback(&site, id, feedback).await?;
    Ok(Reply::word(THANKS))
}
