//! What all files have, until it is known what people decided about each comment and in which order
//! the labels are sent. Texts wait in a nameless temporary file; in memory are some 40 bytes of each
//! comment.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

use serde::Serialize;

use super::comment::{ForeignComment, LeftOut, Opinions, Problem, Sink, Standing};
use crate::cli::Failure;
use crate::domain::{COMMENT_BYTES_MAX, Example, Label, OTHER_BYTES_MAX, is_blank};
use crate::moderation::{examples, source_name};

/// Comments of one import: some 400 MB of memory. More are imported in parts.
const COMMENT_COUNT_MAX: usize = 10_000_000;
/// Comments about which something is noted elsewhere in a file.
const NOTED_COUNT_MAX: usize = 10_000_000;
/// Bytes of the temporary file, whatever a packed file unpacks to.
const SPOOL_BYTES_MAX: u64 = 64 << 30;

/// What became of the comments of a file.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// Comments in the file.
    pub comment_count: u64,
    /// Good ones to import.
    pub ham_count: u64,
    /// Spam to import.
    pub spam_count: u64,
    /// Labels among these by which a person contradicts Akismet, or the comment's state.
    pub corrected_count: u64,
    /// How many are left out, and why.
    pub left_out: BTreeMap<LeftOut, u64>,
}

impl Tally {
    fn leave_out(&mut self, why: LeftOut) {
        *self.left_out.entry(why).or_default() += 1;
    }
}

/// A comment that may become an example.
#[derive(Clone, Copy)]
struct Entry {
    /// Seconds since 1970.
    time: i64,
    /// Its text is the same to the ledger if this is.
    text: u64,
    /// Where it stands in the temporary file.
    offset: u64,
    length: u32,
    /// Its number in its file, or 0.
    id: u64,
    standing: Standing,
    opinions: Opinions,
}

/// An example on its way into the ledger.
pub(super) struct Gathered {
    pub example: Example,
    pub label: Label,
    /// What Akismet called it.
    pub akismet: Option<Label>,
    /// Whether a person is known to have decided, and not Akismet alone.
    pub reviewed: bool,
}

/// Collects the comments of files.
pub(super) struct Gathering {
    spool: BufWriter<File>,
    spooled: u64,
    entries: Vec<Entry>,
    /// The first entry of the file that is read now.
    first: usize,
    noted: HashMap<u64, Opinions>,
    tally: Tally,
    /// What its examples are called if they don't say it themselves, or whatever they say.
    source: String,
    source_wins: bool,
}

impl Gathering {
    /// An empty one.
    ///
    /// # Errors
    /// If there can be no temporary file.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self {
            spool: BufWriter::new(tempfile::tempfile().map_err(|error| disk(&error))?),
            spooled: 0,
            entries: Vec::new(),
            first: 0,
            noted: HashMap::new(),
            tally: Tally::default(),
            source: String::new(),
            source_wins: false,
        })
    }

    /// A file begins, whose examples are called `default` if they don't say it themselves, or
    /// `chosen` whatever they say.
    pub fn begin_file(&mut self, default: &str, chosen: Option<&str>) {
        chosen.unwrap_or(default).clone_into(&mut self.source);
        self.source_wins = chosen.is_some();
        self.first = self.entries.len();
        self.noted.clear();
        self.tally = Tally::default();
    }

    /// The file has ended: decides about its comments.
    pub fn end_file(&mut self) -> Tally {
        let mut kept = self.first;
        for at in self.first..self.entries.len() {
            let entry = &mut self.entries[at];
            if let Some(noted) = self.noted.get(&entry.id) {
                entry.opinions.merge(*noted);
            }
            match entry.standing.decided(entry.opinions) {
                Standing::As(label) => {
                    let against_state = entry.standing != Standing::As(label);
                    let akismet = entry.opinions.akismet;
                    let corrected = against_state || akismet.is_some_and(|said| said != label);
                    self.tally.corrected_count += u64::from(corrected);
                    match label {
                        Label::Ham => self.tally.ham_count += 1,
                        Label::Spam => self.tally.spam_count += 1,
                    }
                    self.entries.swap(kept, at);
                    kept += 1;
                }
                Standing::Out(why) => self.tally.leave_out(why),
            }
        }
        self.entries.truncate(kept);
        self.noted.clear();
        std::mem::take(&mut self.tally)
    }

    /// All examples, in the order in which they are sent.
    ///
    /// # Errors
    /// If the temporary file fails.
    pub fn finish(self) -> Result<Ordered, Failure> {
        let spool = self.spool.into_inner().map_err(|error| disk(error.error()))?;
        let mut entries = mixed(self.entries);
        order_within_texts(&mut entries);
        Ok(Ordered { spool, entries: entries.into_iter() })
    }

    fn spool(&mut self, comment: &ForeignComment) -> Result<(u64, u32), Failure> {
        let json = serde_json::to_vec(&comment.example)
            .map_err(|error| Failure::software(error.to_string()))?;
        let offset = self.spooled;
        self.spooled += json.len() as u64;
        if self.entries.len() == COMMENT_COUNT_MAX || self.spooled > SPOOL_BYTES_MAX {
            return Err(Failure::data(format!(
                "more than {COMMENT_COUNT_MAX} comments or {} GiB of them are imported in parts",
                SPOOL_BYTES_MAX >> 30
            )));
        }
        self.spool.write_all(&json).map_err(|error| disk(&error))?;
        Ok((offset, json.len() as u32))
    }
}

impl Sink for Gathering {
    fn comment(&mut self, mut comment: ForeignComment) -> Result<(), Problem> {
        self.tally.comment_count += 1;
        let undecided = match comment.standing.decided(comment.opinions) {
            Standing::As(_) => None,
            Standing::Out(why) => Some(why),
        };
        // What is noted about it may follow.
        if let Some(why) = undecided.filter(|why| why.is_final() || comment.id.is_none()) {
            self.tally.leave_out(why);
            return Ok(());
        }
        let text = match usable(&comment.example) {
            Ok(text) => text,
            Err(why) => {
                self.tally.leave_out(why);
                return Ok(());
            }
        };
        trim(&mut comment.example);
        if self.source_wins || comment.example.source.is_none() {
            comment.example.source = Some(self.source.clone());
        }
        let (offset, length) = self.spool(&comment)?;
        let time = comment.example.time().map_or(i64::MIN, |time| time.unix_timestamp());
        let ForeignComment { id, standing, opinions, .. } = comment;
        let id = id.unwrap_or_default();
        self.entries.push(Entry { time, text, offset, length, id, standing, opinions });
        Ok(())
    }

    fn opinions(&mut self, id: u64, opinions: Opinions) -> Result<(), Problem> {
        if self.noted.len() == NOTED_COUNT_MAX && !self.noted.contains_key(&id) {
            let text =
                format!("more than {NOTED_COUNT_MAX} notes of Akismet are imported in parts");
            return Err(Failure::data(text).into());
        }
        self.noted.entry(id).or_default().merge(opinions);
        Ok(())
    }
}

/// The hash of the text, if the service would take it.
fn usable(example: &Example) -> Result<u64, LeftOut> {
    if is_blank(&example.text) {
        return Err(LeftOut::EmptyText);
    }
    if example.text.len() > COMMENT_BYTES_MAX {
        return Err(LeftOut::UnusableText);
    }
    examples::content_hash(example).map_err(|_| LeftOut::UnusableText)
}

/// Takes off what the service would leave out or refuse, such as a name of 100 kB.
fn trim(example: &mut Example) {
    let fields = [
        &mut example.author,
        &mut example.email,
        &mut example.url,
        &mut example.ip,
        &mut example.user_agent,
        &mut example.lang,
        &mut example.page_title,
        &mut example.page_uri,
    ];
    for field in fields {
        field.take_if(|text| text.len() > OTHER_BYTES_MAX);
    }
    if !matches!(examples::time(example), Ok(Some(_))) {
        example.date = None;
    }
    example.source.take_if(|source| source_name(source).is_none());
}

/// Each label by time, and both mixed so that each part of the ledger has its share of both. By time
/// alone its end would have all spam there is, since Akismet deletes it after 15 days.
fn mixed(entries: Vec<Entry>) -> Vec<Entry> {
    let is_ham = |entry: &Entry| entry.standing.decided(entry.opinions) == Standing::As(Label::Ham);
    let (mut ham, mut spam): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_ham);
    ham.sort_by_key(|entry| entry.time);
    spam.sort_by_key(|entry| entry.time);
    let (ham_total, spam_total) = (ham.len() as u64, spam.len() as u64);
    let mut mixed = Vec::with_capacity(ham.len() + spam.len());
    let (mut ham, mut spam) = (ham.into_iter(), spam.into_iter());
    loop {
        let (ham_sent, spam_sent) = (ham_total - ham.len() as u64, spam_total - spam.len() as u64);
        // Which of the two next ones stands earlier among its own.
        let ham_first = (2 * ham_sent + 1) * spam_total <= (2 * spam_sent + 1) * ham_total;
        let next = match (ham.len(), spam.len()) {
            (0, 0) => return mixed,
            (_, 0) => ham.next(),
            (0, _) => spam.next(),
            _ if ham_first => ham.next(),
            _ => spam.next(),
        };
        mixed.extend(next);
    }
}

/// Lets the labels of each text come by their dates, in the places that they have together: the
/// ledger passes a label over that the text has already, unless it was called otherwise since.
fn order_within_texts(entries: &mut [Entry]) {
    let mut places: Vec<(u64, u32)> =
        (0..).zip(entries.iter()).map(|(place, entry)| (entry.text, place)).collect();
    places.sort_unstable();
    let of_several = |places: &&[(u64, u32)]| places.len() > 1;
    for places in places.chunk_by(|one, next| one.0 == next.0).filter(of_several) {
        let mut of_text: Vec<Entry> =
            places.iter().map(|(_, place)| entries[*place as usize]).collect();
        // Of one date as they stand in the files.
        of_text.sort_by_key(|entry| (entry.time, entry.offset));
        for ((_, place), entry) in places.iter().zip(of_text) {
            entries[*place as usize] = entry;
        }
    }
}

/// The examples in their order.
pub(super) struct Ordered {
    spool: File,
    entries: std::vec::IntoIter<Entry>,
}

impl Ordered {
    /// How many are left.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The next one.
    ///
    /// # Errors
    /// If the temporary file fails.
    pub fn next(&mut self) -> Result<Option<Gathered>, Failure> {
        for entry in self.entries.by_ref() {
            let Standing::As(label) = entry.standing.decided(entry.opinions) else { continue };
            let mut json = vec![0; entry.length as usize];
            self.spool.seek(SeekFrom::Start(entry.offset)).map_err(|error| disk(&error))?;
            self.spool.read_exact(&mut json).map_err(|error| disk(&error))?;
            let example = serde_json::from_slice(&json)
                .map_err(|error| Failure::software(error.to_string()))?;
            let akismet = entry.opinions.akismet;
            let reviewed =
                entry.opinions.person.is_some() || akismet.is_some_and(|said| said != label);
            return Ok(Some(Gathered { example, label, akismet, reviewed }));
        }
        Ok(None)
    }
}

fn disk(error: &std::io::Error) -> Failure {
    Failure::io(format!("the temporary file in TMPDIR: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comment(id: u64, text: &str, standing: Standing, day: u32) -> ForeignComment {
        let date = Some(format!("2026-01-{day:02}T00:00:00Z"));
        let example = Example { text: text.into(), date, ..Example::default() };
        ForeignComment { id: Some(id), example, standing, opinions: Opinions::default() }
    }

    fn gathered(gathering: Gathering) -> Vec<(String, Label)> {
        let mut ordered = gathering.finish().unwrap();
        let mut all = Vec::new();
        while let Some(one) = ordered.next().unwrap() {
            assert_eq!(one.example.source.as_deref(), Some("wordpress"));
            all.push((one.example.text, one.label));
        }
        all
    }

    #[test]
    fn notes_may_stand_before_and_behind() {
        let mut gathering = Gathering::new().unwrap();
        gathering.begin_file("wordpress", None);
        let ham = Opinions { person: Some(Label::Ham), akismet: None };
        gathering.opinions(2, ham).unwrap();
        let spam = Standing::As(Label::Spam);
        for (id, standing) in [(1, spam), (2, spam), (3, Standing::Out(LeftOut::Trash))] {
            gathering.comment(comment(id, &format!("number {id}"), standing, 1)).unwrap();
        }
        gathering.comment(comment(4, " \n", spam, 1)).unwrap();
        gathering.comment(comment(5, &"a".repeat(70_000), spam, 1)).unwrap();
        gathering.comment(comment(6, "x", Standing::Out(LeftOut::Pingback), 1)).unwrap();
        gathering.comment(comment(7, "x", Standing::Out(LeftOut::Pending), 1)).unwrap();
        let akismet = Opinions { person: None, akismet: Some(Label::Ham) };
        gathering.opinions(1, akismet).unwrap();
        gathering.opinions(3, ham).unwrap();
        let tally = gathering.end_file();
        assert_eq!((tally.comment_count, tally.ham_count, tally.spam_count), (7, 2, 1));
        assert_eq!(tally.corrected_count, 3);
        let left_out: Vec<_> = tally.left_out.into_iter().collect();
        let expected = [
            (LeftOut::Pending, 1),
            (LeftOut::Pingback, 1),
            (LeftOut::EmptyText, 1),
            (LeftOut::UnusableText, 1),
        ];
        assert_eq!(left_out, expected);
        // The numbers of the next file are others.
        gathering.begin_file("wordpress", None);
        gathering.comment(comment(2, "number 2 of the second file", spam, 1)).unwrap();
        assert_eq!(gathering.end_file().spam_count, 1);
        assert_eq!(gathered(gathering).len(), 4);
    }

    #[test]
    fn what_the_service_would_refuse_is_taken_off() {
        let long = |length| Some("a".repeat(length));
        let mut example = Example {
            author: long(300_000),
            user_agent: long(2_000),
            date: Some("-99999999999999".into()),
            source: Some("ann@example.org".into()),
            ..Example::default()
        };
        trim(&mut example);
        assert_eq!((example.author, example.date, example.source), (None, None, None));
        assert_eq!(example.user_agent, long(2_000));
    }

    #[test]
    fn each_part_has_its_share_of_both() {
        let mut gathering = Gathering::new().unwrap();
        gathering.begin_file("wordpress", None);
        for day in 1..=5 {
            gathering
                .comment(comment(day, &format!("spam {day}"), Standing::As(Label::Spam), 30))
                .unwrap();
        }
        for day in (1..=20).rev() {
            let text = format!("ham {day}");
            gathering.comment(comment(0, &text, Standing::As(Label::Ham), day)).unwrap();
        }
        gathering.end_file();
        let all = gathered(gathering);
        assert_eq!(all.len(), 25);
        for part in all.chunks(5) {
            assert_eq!(
                part.iter().filter(|(_, label)| *label == Label::Spam).count(),
                1,
                "{all:?}"
            );
        }
        assert_eq!(all.first().unwrap().0, "ham 1");
        assert_eq!(all.last().unwrap().0, "ham 20");
    }

    /// Spam of the second day came after ham of the third, which was passed over as known.
    #[test]
    fn the_labels_of_a_text_come_by_their_dates() {
        let mut gathering = Gathering::new().unwrap();
        gathering.begin_file("wordpress", None);
        let (ham, spam) = (Standing::As(Label::Ham), Standing::As(Label::Spam));
        for number in ["one", "two", "three"] {
            gathering.comment(comment(0, &format!("Other spam {number}"), spam, 1)).unwrap();
        }
        for (text, standing, day) in
            [("Good BREAD", ham, 4), ("Good bread!", spam, 3), ("Good bread", ham, 2)]
        {
            gathering.comment(comment(0, text, standing, day)).unwrap();
        }
        gathering.end_file();
        let all = gathered(gathering);
        assert_eq!(all.len(), 6);
        let of_text: Vec<_> = all.iter().filter(|(text, _)| text.starts_with("Good")).collect();
        let texts: Vec<&str> = of_text.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["Good bread", "Good bread!", "Good BREAD"]);
        let labels: Vec<Label> = of_text.iter().map(|(_, label)| *label).collect();
        assert_eq!(labels, [Label::Ham, Label::Spam, Label::Ham]);
    }
}
