//! The model beside Akismet, on the last comments that the model had not learnt from.

use std::collections::HashMap;

use serde::Serialize;

use super::gathering::Gathered;
use crate::domain::Label;
use crate::grpc::proto;
use crate::moderation::examples;
use crate::text::Analysis;

/// What Akismet said, by the print of the text; of equal texts the last.
#[derive(Default)]
pub(super) struct Verdicts {
    by_print: HashMap<u64, Verdict>,
}

#[derive(Clone, Copy)]
struct Verdict {
    akismet: Label,
    reviewed: bool,
}

impl Verdicts {
    /// Notes what Akismet said of an example, if it said something.
    pub fn note(&mut self, gathered: &Gathered) {
        let Some(akismet) = gathered.akismet else { return };
        // The way that the service takes, so that both have the same print.
        let Ok(submission) = examples::blind(gathered.example.clone()) else { return };
        let print = Analysis::new(&submission).print.content_hash;
        self.by_print.insert(print, Verdict { akismet, reviewed: gathered.reviewed });
    }
}

/// How a filter did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Side {
    /// Good comments.
    pub ham_count: u64,
    /// Spam.
    pub spam_count: u64,
    /// Good comments that it held or rejected.
    pub ham_held_count: u64,
    /// Spam that it let pass.
    pub spam_missed_count: u64,
}

impl Side {
    fn add(&mut self, label: Label, held: bool) {
        match label {
            Label::Ham => {
                self.ham_count += 1;
                self.ham_held_count += u64::from(held);
            }
            Label::Spam => {
                self.spam_count += 1;
                self.spam_missed_count += u64::from(!held);
            }
        }
    }

    fn count(&self) -> u64 {
        self.ham_count + self.spam_count
    }
}

/// The model beside Akismet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct BackTest {
    /// The model on all labels that judged.
    pub model: Side,
    /// Both on those of which it is known what Akismet said. Nothing if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

/// Two filters on the same comments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Compared {
    /// The model.
    pub model: Side,
    /// Akismet.
    pub akismet: Side,
    /// Comments that nobody but Akismet is known to have decided about: there it cannot be wrong.
    pub unreviewed_count: u64,
}

impl BackTest {
    /// Lays what Akismet said beside what the model says.
    pub fn new(judged: &[proto::JudgedLabel], verdicts: &Verdicts) -> Self {
        let mut test = Self::default();
        let mut compared = Compared::default();
        for one in judged {
            let label = match one.label() {
                proto::Label::Spam => Label::Spam,
                _ => Label::Ham,
            };
            test.model.add(label, one.held);
            if let Some(verdict) = verdicts.by_print.get(&(one.content_hash as u64)) {
                compared.model.add(label, one.held);
                compared.akismet.add(label, verdict.akismet == Label::Spam);
                compared.unreviewed_count += u64::from(!verdict.reviewed);
            }
        }
        test.compared = Some(compared).filter(|compared| compared.model.count() > 0);
        test
    }

    /// In sentences.
    pub fn words(&self) -> String {
        let model = &self.model;
        let mut text = format!(
            "Of your last {} and {} spam, a model that learnt from what came before would have \
             held {} and missed {} spam.\n",
            good(model.ham_count),
            model.spam_count,
            good(model.ham_held_count),
            model.spam_missed_count
        );
        let Some(compared) = &self.compared else {
            return text + "What Akismet said of them is not in the files.\n";
        };
        let (here, akismet) = (&compared.model, &compared.akismet);
        if here.count() < model.count() {
            text += &format!(
                "Akismet's answer is known for {} of them ({}, {} spam). Of these the model would \
                 have held {} and missed {} spam.\n",
                here.count(),
                good(here.ham_count),
                here.spam_count,
                good(here.ham_held_count),
                here.spam_missed_count
            );
        }
        text += &format!(
            "Akismet held {} and missed {} spam.\n",
            good(akismet.ham_held_count),
            akismet.spam_missed_count
        );
        if compared.unreviewed_count > 0 {
            text += &format!(
                "About {} of these {} nobody but Akismet is known to have decided: there it counts \
                 as right.\n",
                compared.unreviewed_count,
                here.count()
            );
        }
        text
    }
}

fn good(count: u64) -> String {
    match count {
        1 => "1 good comment".to_owned(),
        count => format!("{count} good comments"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Example;

    #[test]
    fn both_are_counted_on_the_same_comments() {
        let texts = ["The crumb is fine", "Which flour is that", "Lots for resellers", "Pallets"];
        let gathered = |text: &str, label, akismet, reviewed| Gathered {
            example: Example { text: text.into(), ..Example::default() },
            label,
            akismet,
            reviewed,
        };
        let mut verdicts = Verdicts::default();
        verdicts.note(&gathered(texts[0], Label::Ham, Some(Label::Spam), true));
        verdicts.note(&gathered(texts[1], Label::Ham, None, false));
        verdicts.note(&gathered(texts[2], Label::Spam, Some(Label::Spam), false));
        verdicts.note(&gathered(texts[3], Label::Spam, Some(Label::Ham), true));
        let print = |text: &str| {
            let example = Example { text: text.into(), ..Example::default() };
            Analysis::new(&examples::blind(example).unwrap()).print.content_hash as i64
        };
        let judged = |text: &str, label: proto::Label, held| proto::JudgedLabel {
            label: i32::from(label),
            held,
            content_hash: print(text),
            ..proto::JudgedLabel::default()
        };
        let all = [
            judged("the crumb is FINE!", proto::Label::Ham, false),
            judged(texts[1], proto::Label::Ham, true),
            judged(texts[2], proto::Label::Spam, true),
            judged(texts[3], proto::Label::Spam, false),
        ];
        let test = BackTest::new(&all, &verdicts);
        let words = "Of your last 2 good comments and 2 spam, a model that learnt from what came \
            before would have held 1 good comment and missed 1 spam.\n\
            Akismet's answer is known for 3 of them (1 good comment, 2 spam). Of these the model \
            would have held 0 good comments and missed 1 spam.\n\
            Akismet held 1 good comment and missed 1 spam.\n\
            About 1 of these 3 nobody but Akismet is known to have decided: there it counts as \
            right.\n";
        assert_eq!(test.words(), words);
        let alone = BackTest::new(&all, &Verdicts::default());
        assert_eq!(alone.compared, None);
        assert!(alone.words().contains("not in the files"));
    }
}
