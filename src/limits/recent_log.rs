//! What replicas tell one another of recent content: for each site a short log in Redis.
//!
//! The index itself is in each process and the truth is in the records; the log only carries what
//! happened since. So a replica is in step after one call that fetches a few entries, however many
//! texts the index holds, and Redis may lose the log at any time: each entry names the one before
//! it, and whoever finds a gap reads back from the records.

use async_trait::async_trait;
use redis::Script;
use uuid::Uuid;

use super::connection::RedisConnection;
use super::fallback::SharedError;
use crate::domain::{CommentId, ContentPrint, Label, SiteId};
use crate::moderation::ports::RecentText;

/// Entries of a site that are kept, a little more when Redis trims late. An entry takes 100 bytes.
/// Who was away for longer reads back from the records.
const LENGTH_MAX: usize = 1_024;
/// A site's log is gone after a day without a comment or a label.
const LIFE_MS: u64 = 86_400_000;

/// Something that changes the index of recent content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecentEvent {
    /// The first entry of a log: what was before is not known.
    Begin,
    /// A text came in.
    Insert(RecentText),
    /// A person called a text so.
    Label(ContentPrint, Label),
    /// The site is to be read back from the records.
    Forget,
}

/// A place in a site's log; later entries have greater ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition(pub u64, pub u64);

/// An entry of a site's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place.
    pub position: LogPosition,
    /// The place of the entry before it, if there was one.
    pub previous: Option<LogPosition>,
    /// What happened; nothing if this version cannot read it.
    pub event: Option<RecentEvent>,
}

/// What a log holds after a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// The end of the log before this call.
    pub base: LogPosition,
    /// The entries after the place that was asked for, or after `base` if none was, in order.
    pub entries: Vec<LogEntry>,
}

/// The log outside of this process, which may fail or not answer at all.
#[async_trait]
pub trait RecentLog: Send + Sync + 'static {
    /// Appends the events, in their order, and answers with what came after `position`, the events
    /// included. A log that is not there begins with [`RecentEvent::Begin`].
    ///
    /// # Errors
    /// Why there is no answer.
    async fn exchange(
        &self,
        site: &SiteId,
        position: Option<LogPosition>,
        events: &[RecentEvent],
    ) -> Result<LogPart, SharedError>;
}

/// Arguments: the place or an empty text, the greatest length, the life in milliseconds, and the
/// events. Answers with the end before the call and the entries after the place.
const SCRIPT: &str = r"
local key, position = KEYS[1], ARGV[1]
local function append(previous, event)
    return redis.call('XADD', key, 'MAXLEN', '~', ARGV[2], '*', 'p', previous, 'e', event)
end
local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
local base = newest and newest[1] or append('', '')
local last = base
for number = 4, #ARGV do
    last = append(last, ARGV[number])
end
if not newest or last ~= base then
    redis.call('PEXPIRE', key, ARGV[3])
end
return {base, redis.call('XRANGE', key, '(' .. (position == '' and base or position), '+')}
";

/// The log in Redis or Redis Cluster: a stream a site, whose key shares the slot of the site's
/// limits. Only prints, labels and ids of comments are in it.
pub struct RedisLog {
    connection: RedisConnection,
    script: Script,
}

/// An entry as Redis gives it: id, and the fields `p` and `e` with their values.
type RawEntry = (String, (Vec<u8>, String, Vec<u8>, Vec<u8>));

impl RedisLog {
    /// A log over this connection.
    pub fn new(connection: RedisConnection) -> Self {
        Self { connection, script: Script::new(SCRIPT) }
    }
}

#[async_trait]
impl RecentLog for RedisLog {
    async fn exchange(
        &self,
        site: &SiteId,
        position: Option<LogPosition>,
        events: &[RecentEvent],
    ) -> Result<LogPart, SharedError> {
        let fill = |command: &mut redis::Cmd| {
            command.arg(1).arg(format!("replyguard:{{{site}}}:recent"));
            command.arg(position.map(position_text).unwrap_or_default());
            command.arg(LENGTH_MAX).arg(LIFE_MS);
            for event in events {
                command.arg(encode(*event));
            }
        };
        let answer = self.connection.run(&self.script, SCRIPT, fill).await;
        let (base, entries): (String, Vec<RawEntry>) =
            answer.map_err(|error| SharedError(error.to_string()))?;
        let unreadable = || SharedError("an entry without a place".into());
        let base = parse_position(&base).ok_or_else(unreadable)?;
        let entry = |(id, (_, previous, _, event)): RawEntry| {
            let previous = parse_position(&previous);
            Some(LogEntry { position: parse_position(&id)?, previous, event: decode(&event) })
        };
        let entries: Option<_> = entries.into_iter().map(entry).collect();
        Ok(LogPart { base, entries: entries.ok_or_else(unreadable)? })
    }
}

fn position_text(LogPosition(time, number): LogPosition) -> String {
    format!("{time}-{number}")
}

fn parse_position(text: &str) -> Option<LogPosition> {
    let (time, number) = text.split_once('-')?;
    Some(LogPosition(time.parse().ok()?, number.parse().ok()?))
}

const COMPARABLE: u8 = 1;
const HAM: u8 = 2;
const SPAM: u8 = 4;
const CAMPAIGN: u8 = 8;
const COMMENT: u8 = 16;

/// A letter, then for a text: flags, content hash, SimHash, and the ids that the flags announce;
/// all numbers little-endian.
fn encode(event: RecentEvent) -> Vec<u8> {
    let text = |letter: u8, text: RecentText| {
        let label = text.label.map_or(0, |label| if label == Label::Ham { HAM } else { SPAM });
        let flags = (u8::from(text.print.comparable) * COMPARABLE)
            | label
            | (u8::from(text.campaign.is_some()) * CAMPAIGN)
            | (u8::from(text.comment.is_some()) * COMMENT);
        let mut bytes = vec![letter, flags];
        bytes.extend(text.print.content_hash.to_le_bytes());
        bytes.extend(text.print.simhash.to_le_bytes());
        for id in [text.campaign, text.comment].into_iter().flatten() {
            bytes.extend(id.as_uuid().as_bytes());
        }
        bytes
    };
    match event {
        RecentEvent::Begin => Vec::new(),
        RecentEvent::Insert(inserted) => text(b'i', inserted),
        RecentEvent::Label(print, label) => {
            text(b'l', RecentText { print, comment: None, campaign: None, label: Some(label) })
        }
        RecentEvent::Forget => vec![b'f'],
    }
}

/// What [`encode`] wrote; nothing if another version wrote something else.
fn decode(bytes: &[u8]) -> Option<RecentEvent> {
    let Some((letter, mut rest)) = bytes.split_first() else { return Some(RecentEvent::Begin) };
    if *letter == b'f' && rest.is_empty() {
        return Some(RecentEvent::Forget);
    }
    let flags = take::<1>(&mut rest)?[0];
    let has = |flag: u8| flags & flag != 0;
    let content_hash = u64::from_le_bytes(take(&mut rest)?);
    let simhash = u128::from_le_bytes(take(&mut rest)?);
    let print = ContentPrint { content_hash, simhash, comparable: has(COMPARABLE) };
    let label = match (has(HAM), has(SPAM)) {
        (false, false) => None,
        (true, false) => Some(Label::Ham),
        (false, true) => Some(Label::Spam),
        (true, true) => return None,
    };
    let campaign = if has(CAMPAIGN) { Some(id(&mut rest)?) } else { None };
    let comment = if has(COMMENT) { Some(id(&mut rest)?) } else { None };
    match (letter, label, rest.is_empty()) {
        (b'i', label, true) => {
            Some(RecentEvent::Insert(RecentText { print, comment, campaign, label }))
        }
        (b'l', Some(label), true) => Some(RecentEvent::Label(print, label)),
        _ => None,
    }
}

fn id(rest: &mut &[u8]) -> Option<CommentId> {
    take(rest).map(|bytes| CommentId::from_uuid(Uuid::from_bytes(bytes)))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, back) = rest.split_first_chunk()?;
    *rest = back;
    Some(*front)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let print = ContentPrint { content_hash: 7, simhash: u128::MAX - 9, comparable: true };
        let id = |number| Some(CommentId::from_uuid(Uuid::from_u128(number)));
        let text = RecentText { print, comment: id(1), campaign: id(2), label: Some(Label::Ham) };
        let bare = RecentText { comment: None, campaign: None, label: None, ..text };
        let short = ContentPrint { content_hash: 8, simhash: 0, comparable: false };
        for event in [
            RecentEvent::Begin,
            RecentEvent::Insert(text),
            RecentEvent::Insert(bare),
            RecentEvent::Insert(RecentText { comment: None, ..text }),
            RecentEvent::Insert(RecentText { campaign: None, label: Some(Label::Spam), ..text }),
            RecentEvent::Label(print, Label::Spam),
            RecentEvent::Label(short, Label::Ham),
            RecentEvent::Forget,
        ] {
            let bytes = encode(event);
            assert!(bytes.len() <= 60, "{event:?}");
            assert_eq!(decode(&bytes), Some(event));
            if bytes.len() > 1 {
                assert_eq!(decode(&bytes[..bytes.len() - 1]), None, "{event:?} cut short");
                assert_eq!(decode(&[&bytes[..], &[0]].concat()), None, "{event:?} and more");
            }
        }
        assert_eq!(decode(b"x"), None);
        assert_eq!(parse_position("17-3"), Some(LogPosition(17, 3)));
        assert_eq!(parse_position(""), None);
    }
}
