//! The clock. Ids sort by time, keys and invitations end by it, certificates are judged by it.

use time::{Duration, OffsetDateTime};

use super::Finding;
use crate::config::Config;
use crate::storage::SqliteStore;

/// How far the last comment may be ahead of the clock: what NTP corrects without a jump.
const AHEAD_MAX: Duration = Duration::minutes(1);

/// Whether the clock can be right: it is neither before this program was installed nor before
/// what was recorded.
pub(super) fn examine(config: &Config, now: OffsetDateTime) -> Finding {
    let installed = std::env::current_exe()
        .and_then(|program| program.metadata()?.modified())
        .map(OffsetDateTime::from)
        .ok();
    let database = config.storage.database();
    let newest = match database.exists() {
        true => SqliteStore::newest_comment_time(&database).ok().flatten(),
        false => None,
    };
    judge(now, installed, newest)
}

fn judge(
    now: OffsetDateTime,
    installed: Option<OffsetDateTime>,
    newest: Option<OffsetDateTime>,
) -> Finding {
    let known =
        [("this program was installed", installed), ("the last comment was checked", newest)];
    let ahead = known.into_iter().find_map(|(what, time)| {
        let ahead = time? - now;
        (ahead > AHEAD_MAX).then_some((what, ahead))
    });
    match ahead {
        None => Finding::Good(format!("the clock says {} {} UTC", now.date(), minutes(now))),
        Some((what, ahead)) => Finding::Bad {
            what: format!("the clock is {} s before the time when {what}", ahead.whole_seconds()),
            advice: "set it, and let NTP keep it; comments are listed in the wrong order else"
                .into(),
        },
    }
}

fn minutes(time: OffsetDateTime) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_back_is_trouble() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let good = |installed, newest| {
            matches!(judge(now, Some(installed), Some(newest)), Finding::Good(_))
        };
        assert!(good(now, now + Duration::seconds(59)));
        assert!(!good(now, now + Duration::seconds(61)));
        assert!(!good(now + Duration::days(1), now));
        assert!(matches!(judge(now, None, None), Finding::Good(_)));
    }
}
