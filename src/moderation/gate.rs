//! The gate before a promotion.

use super::ModerationError;
use super::ports::models::ModelRecord;
use super::training::{HoldOut, HoldOutSlice};

/// Whether the hold-out speaks for a model: it must have been judged beside the version that decides
/// now, must hold no more good comments than that, in all and of each kind that has fifty, and must
/// not be less sure of the truth.
///
/// # Errors
/// `GateClosed` with what speaks against it.
pub(super) fn gate(record: &ModelRecord, decides: &str) -> Result<(), ModerationError> {
    let closed = |why: String| Err(ModerationError::GateClosed(why));
    let Some(hold_out) = HoldOut::of(record) else {
        return closed("there are too few labels to hold some of both kinds out".into());
    };
    // What decides already was judged beside what it took the place of.
    if let Some(beside) = hold_out.deciding_version.as_deref()
        && beside != decides
        && record.version != decides
    {
        return closed(format!(
            "it was judged beside {beside}, but {decides} decides now: train again once there are \
             newer labels, or compare the two"
        ));
    }
    let new = &hold_out.candidate;
    let (name, old) = match &hold_out.active {
        Some(active) => ("active", active),
        None => ("base", &hold_out.base),
    };
    if new.ham_held_count > old.ham_held_count {
        return closed(format!(
            "of {} good comments held out it would hold {} and the {name} model {}",
            hold_out.ham_count, new.ham_held_count, old.ham_held_count
        ));
    }
    let worse = |slice: &&HoldOutSlice| slice.candidate_held_count > slice.reference_held_count;
    if let Some(slice) = hold_out.slices.iter().find(worse) {
        return closed(format!(
            "of {} good comments held out ({}) it would hold {} and the {name} model {}",
            slice.ham_count, slice.name, slice.candidate_held_count, slice.reference_held_count
        ));
    }
    if new.log_loss > old.log_loss {
        return closed(format!(
            "its log loss on the hold-out is {:.4} and the {name} model's {:.4}",
            new.log_loss, old.log_loss
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::classifier::Figures;
    use crate::moderation::ports::models::ModelState;

    fn record(hold_out: Option<&HoldOut>) -> ModelRecord {
        ModelRecord {
            site: "blog".parse().unwrap(),
            version: "blog-1".into(),
            state: ModelState::Candidate,
            create_time: OffsetDateTime::UNIX_EPOCH,
            promote_time: None,
            ledger_position: 9,
            base_version: "base-1".into(),
            ham_count: 80,
            spam_count: 20,
            report: hold_out.map_or(String::new(), |one| serde_json::to_string(one).unwrap()),
        }
    }

    #[test]
    fn the_gate_looks_at_all_and_at_each_kind() {
        let figures = |ham_held_count, log_loss| Figures {
            auc: Some(0.9),
            ham_held_count,
            spam_held_count: 10,
            log_loss,
        };
        let slice = |candidate_held_count, reference_held_count| HoldOutSlice {
            name: "language: German".into(),
            ham_count: 60,
            candidate_held_count,
            reference_held_count,
        };
        let hold_out = HoldOut {
            ham_count: 200,
            spam_count: 20,
            candidate: figures(2, 0.1),
            active: Some(figures(2, 0.2)),
            base: figures(9, 0.9),
            deciding_version: Some("blog-0".into()),
            slices: vec![slice(1, 1)],
        };
        let judged = |hold_out: Option<&HoldOut>, decides| gate(&record(hold_out), decides);
        let refused =
            |hold_out: &HoldOut| judged(Some(hold_out), "blog-0").unwrap_err().to_string();
        assert!(judged(Some(&hold_out), "blog-0").is_ok());
        assert!(judged(Some(&hold_out), "blog-1").is_ok(), "it decides already");
        let stale = judged(Some(&hold_out), "blog-2").unwrap_err().to_string();
        assert!(stale.contains("judged beside blog-0, but blog-2 decides now"), "{stale}");
        let old = HoldOut { deciding_version: None, ..hold_out.clone() };
        assert!(judged(Some(&old), "blog-2").is_ok(), "it does not say what decided");
        let more = HoldOut { candidate: figures(3, 0.1), ..hold_out.clone() };
        assert!(refused(&more).contains("would hold 3 and the active model 2"));
        let less_sure = HoldOut { candidate: figures(2, 0.3), ..hold_out.clone() };
        assert!(refused(&less_sure).contains("log loss"));
        let unfair = HoldOut { slices: vec![slice(0, 0), slice(2, 1)], ..hold_out };
        let why = refused(&unfair);
        assert!(why.contains("(language: German) it would hold 2"), "{why}");
        assert!(judged(None, "blog-0").unwrap_err().to_string().contains("too few"));
    }
}
