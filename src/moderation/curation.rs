//! Which labels of a ledger a model may learn from, so that nobody teaches it alone, and which of
//! them judge.
//!
//! The last word counts: of equal texts the label with the latest time, and of what one author, one
//! campaign or one reader has, the last few of the ledger.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;

use super::ports::Reporter;
use super::ports::models::LedgerExample;
use crate::domain::{ContentPrint, Fingerprint, Label, NEAR_DISTANCE_MAX};
use crate::text::Analysis;

/// Examples of a training at most, the last labelled ones. A service that trains on so many takes
/// 1.2 GiB at its peak (November 2026).
pub(super) const EXAMPLE_COUNT_MAX: usize = 50_000;
/// Examples of one author with one label.
const AUTHOR_EXAMPLE_COUNT_MAX: usize = 20;
/// Examples of one campaign, which is texts much like each other, with one label. Twenty copies
/// say what there is to say.
const CAMPAIGN_EXAMPLE_COUNT_MAX: usize = 20;
/// Labels of one reader, who is no member of the site's staff; readers without a name count as one.
const READER_EXAMPLE_COUNT_MAX: usize = 20;
/// The share of each kind of labels, the last ones, that judges: one in so many.
const HOLD_OUT_DIVISOR: usize = 5;
/// Parts of a print, one of which must be equal for two to be compared.
const BAND_COUNT: u32 = 16;
/// Prints of one band that are compared: a bound on the work, whatever is in the ledger.
const BAND_CANDIDATE_COUNT_MAX: usize = 64;

/// The examples of `ledger`, which is in the order of its positions, that a model may learn from.
pub(super) fn chosen(ledger: Vec<LedgerExample>) -> Vec<LedgerExample> {
    let last = last_words(&ledger);
    let mut authors: HashMap<(Fingerprint, Label), usize> = HashMap::new();
    let mut readers: HashMap<Option<String>, usize> = HashMap::new();
    let mut campaigns = Campaigns::default();
    let mut keep = |example: &LedgerExample| {
        if last.get(&example.content_hash) != Some(&age(&example)) {
            return false;
        }
        if example.reporter == Reporter::Reader {
            let count = readers.entry(example.reporter_name.clone()).or_default();
            *count += 1;
            if *count > READER_EXAMPLE_COUNT_MAX {
                return false;
            }
        }
        if let Some(email) = &example.submission.email {
            let count = authors.entry((email.folded_fingerprint, example.label)).or_default();
            *count += 1;
            if *count > AUTHOR_EXAMPLE_COUNT_MAX {
                return false;
            }
        }
        let print = Analysis::new(&example.submission).print;
        let campaign = campaigns.add(&print, example.label);
        campaign.is_none_or(|(_, count)| count <= CAMPAIGN_EXAMPLE_COUNT_MAX)
    };
    // From the last to the first, so that the last few count.
    let mut chosen: Vec<LedgerExample> = Vec::new();
    for example in ledger.into_iter().rev() {
        if chosen.len() == EXAMPLE_COUNT_MAX {
            break;
        }
        if keep(&example) {
            chosen.push(example);
        }
    }
    chosen.reverse();
    chosen
}

/// Of each text the label that counts: the latest one. The ledger's order does not say which that
/// is, since an archive may come into it after what people decided today.
fn last_words(ledger: &[LedgerExample]) -> HashMap<u64, (OffsetDateTime, i64)> {
    let mut last = HashMap::new();
    for example in ledger {
        let word = last.entry(example.content_hash).or_insert_with(|| age(&example));
        *word = (*word).max(age(&example));
    }
    last
}

/// Examples in two parts.
pub(super) struct Split<'a> {
    /// Those to learn from, in the order of their positions.
    pub(super) before: Vec<&'a LedgerExample>,
    /// Those to judge by, the oldest first.
    pub(super) after: Vec<&'a LedgerExample>,
}

/// Holds out the last fifth of the good comments and the last fifth of the spam, by the times of
/// their labels. The ledger's end may be of one kind, since imports come file by file, and so may
/// be the last weeks: before them, archives have no spam.
pub(super) fn split(ledger: &[LedgerExample]) -> Split<'_> {
    let mut after: Vec<&LedgerExample> = Vec::new();
    for label in [Label::Ham, Label::Spam] {
        let mut kind: Vec<_> = ledger.iter().filter(|example| example.label == label).collect();
        kind.sort_by_key(age);
        after.extend(kind.split_off(kind.len() - kind.len() / HOLD_OUT_DIVISOR));
    }
    after.sort_by_key(age);
    let held_out: HashSet<i64> = after.iter().map(|example| example.position).collect();
    let is_before = |example: &&LedgerExample| !held_out.contains(&example.position);
    Split { before: ledger.iter().filter(is_before).collect(), after }
}

/// Sorts examples by the times of their labels. Those of one time stay in the ledger's order.
pub(super) fn age(example: &&LedgerExample) -> (OffsetDateTime, i64) {
    (example.time, example.position)
}

/// Campaigns seen so far. The first example of one stands for it.
#[derive(Default)]
pub(super) struct Campaigns {
    all: Vec<(u128, Label, usize)>,
    /// Campaigns by band and its bits.
    bands: HashMap<(u32, u8), Vec<u32>>,
}

impl Campaigns {
    /// The number of an example's campaign, and how many examples it has with this one; nothing
    /// for a text that is too short to be like others.
    pub(super) fn add(&mut self, print: &ContentPrint, label: Label) -> Option<(u32, usize)> {
        if !print.comparable {
            return None;
        }
        let bands = |simhash: u128| (0..BAND_COUNT).map(move |b| (b, (simhash >> (8 * b)) as u8));
        let near = bands(print.simhash)
            .flat_map(|band| self.bands.get(&band).into_iter().flatten())
            .copied()
            .find(|campaign| {
                let (simhash, of, _) = self.all[*campaign as usize];
                let distance = (simhash ^ print.simhash).count_ones();
                of == label && distance <= NEAR_DISTANCE_MAX
            });
        if let Some(near) = near {
            let count = &mut self.all[near as usize].2;
            *count += 1;
            return Some((near, *count));
        }
        let campaign = self.all.len() as u32;
        self.all.push((print.simhash, label, 1));
        for band in bands(print.simhash) {
            let known = self.bands.entry(band).or_default();
            if known.len() < BAND_CANDIDATE_COUNT_MAX {
                known.push(campaign);
            }
        }
        Some((campaign, 1))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{CommentId, Example};
    use crate::moderation::examples::blind;

    /// An example of the site at a position.
    pub fn example(number: usize, text: &str, label: Label) -> LedgerExample {
        let example = Example { text: text.into(), ..Example::default() };
        let submission = blind(example).unwrap();
        LedgerExample {
            position: number as i64,
            id: CommentId::from_uuid(uuid::Uuid::from_u128(number as u128)),
            label,
            reporter: Reporter::Moderator,
            reporter_name: None,
            source: "site".into(),
            time: OffsetDateTime::UNIX_EPOCH,
            content_hash: Analysis::new(&submission).print.content_hash,
            submission,
        }
    }

    /// A text of a campaign.
    pub fn campaign_text(number: usize) -> String {
        format!(
            "Our depot ships pallets of sourdough starter to resellers every monday morning, \
             call the office of our friendly team and ask for the list of lots {}",
            letters(number)
        )
    }

    /// A letter for each number, since digits are the same to a print.
    fn letters(number: usize) -> String {
        number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
    }

    #[test]
    fn of_equal_texts_the_last_label_counts() {
        let ledger = vec![
            example(1, "A text about bread", Label::Spam),
            example(2, "Another text", Label::Ham),
            example(3, "A text about bread", Label::Ham),
        ];
        let chosen: Vec<_> = chosen(ledger).iter().map(|one| (one.position, one.label)).collect();
        assert_eq!(chosen, [(2, Label::Ham), (3, Label::Ham)]);
    }

    /// The last position won: an import of old comments undid what people had decided since.
    #[test]
    fn of_equal_texts_the_latest_label_counts_wherever_it_stands() {
        let at = |number: usize, day: i64, label: Label| LedgerExample {
            time: OffsetDateTime::UNIX_EPOCH + time::Duration::days(day),
            ..example(number, "A text about bread", label)
        };
        let outcome = |ledger: Vec<LedgerExample>| -> Vec<(i64, Label)> {
            chosen(ledger).iter().map(|one| (one.position, one.label)).collect()
        };
        let decided = at(1, 900, Label::Spam);
        let imported = [at(2, 30, Label::Ham), at(3, 10, Label::Spam), at(4, 20, Label::Ham)];
        let ledger = [&[decided.clone()][..], &imported[..]].concat();
        assert_eq!(outcome(ledger), [(1, Label::Spam)]);
        // Taken back, it leaves what a ledger that never had it would give.
        assert_eq!(outcome(imported.to_vec()), [(2, Label::Ham)]);
        let of_one_time = vec![decided, at(5, 900, Label::Ham)];
        assert_eq!(outcome(of_one_time), [(5, Label::Ham)], "of one time the last position");
    }

    /// The last fifth of a ledger was held out: of two files, only the second's kind.
    #[test]
    fn the_last_of_both_kinds_are_held_out_in_whatever_order_they_came() {
        // Ten of ham, then ten of spam, and each file has its newest first.
        let dated = |number: usize| {
            let label = if number < 10 { Label::Ham } else { Label::Spam };
            let time = OffsetDateTime::UNIX_EPOCH + time::Duration::days(100 - number as i64);
            LedgerExample { time, ..example(number, &letters(number), label) }
        };
        let ledger: Vec<_> = (0..20).map(dated).collect();
        let positions = |examples: &[&LedgerExample]| -> Vec<i64> {
            examples.iter().map(|example| example.position).collect()
        };
        let parts = split(&ledger);
        assert_eq!(positions(&parts.after), [11, 10, 1, 0], "the oldest first");
        let before: Vec<i64> = (2..10).chain(12..20).collect();
        assert_eq!(positions(&parts.before), before);
        assert_eq!(positions(&split(&ledger[..14]).after), [1, 0], "four are too few");
    }

    #[test]
    fn a_campaign_and_a_reader_have_only_so_much_to_say() {
        let campaign = |n: usize| example(n, &campaign_text(n), Label::Spam);
        assert_eq!(chosen((0..40).map(campaign).collect()).len(), CAMPAIGN_EXAMPLE_COUNT_MAX);
        let report = |n: usize| {
            let text = format!("{} {} {}", letters(n * 7_919), letters(n * 104_729), letters(n));
            let reporter_name = n.is_multiple_of(2).then(|| "ann".to_owned());
            LedgerExample {
                reporter: Reporter::Reader,
                reporter_name,
                ..example(n, &text, Label::Spam)
            }
        };
        let kept = chosen((1..100).map(report).collect());
        assert_eq!(kept.len(), 2 * READER_EXAMPLE_COUNT_MAX);
        assert_eq!(kept.last().map(|one| one.position), Some(99), "the last ones");
    }
}
