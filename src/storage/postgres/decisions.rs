//! Decisions: comments that move, what that teaches, and how both are taken back. Each function
//! runs inside a transaction that holds the site's lock.
//!
//! A decision is about up to some hundred comments a call, so each step is one statement about all
//! of them.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;
use uuid::Uuid;

use crate::domain::{Action, CommentId, DecisionId, Label, State};
use crate::moderation::ports::review::{Decided, DecidedComment, NewDecision, Passed, Target};
use crate::moderation::ports::{Reporter, StoreError};
use crate::storage::values::{corrupt, millis};

use super::audit::Audit;
use super::authors::{self, AuthorChange};
use super::days::{self, DayChange};
use super::db::Db;
use super::decided_rows::{self as rows, Current};
use super::decision_queries::{self as queries, UndoneRow};
use super::listener::Told;
use super::{claims, queue};

/// A comment that is to get a state and a label with its time.
pub(super) struct Move {
    pub comment: Current,
    pub state: State,
    pub label: Option<(Label, i64)>,
    /// The first entry that was appended to the ledger for it: a label, or the retraction of one.
    pub entry: Option<i64>,
}

/// A decision under way.
pub(super) struct Work<'a> {
    db: &'a Db,
    site_number: i64,
    decision: &'a NewDecision,
    /// The row of the decision, once something was decided.
    number: Option<i64>,
    undoes: Option<i64>,
    day_changes: Vec<DayChange>,
    done: Decided,
}

impl<'a> Work<'a> {
    /// Locks the site, so that positions become visible in order and nobody else decides.
    pub async fn begin(
        db: &'a Db,
        site_number: i64,
        decision: &'a NewDecision,
    ) -> Result<Self, StoreError> {
        db.lock_site(site_number).await?;
        let number = queries::decision_number(db, site_number, decision.id).await?;
        Ok(Self {
            db,
            site_number,
            decision,
            number: number.map(|(number, _)| number),
            undoes: None,
            day_changes: Vec::new(),
            done: Decided::default(),
        })
    }

    fn reporter(&self) -> Reporter {
        match self.decision.administrator {
            true => Reporter::Administrator,
            false => Reporter::Moderator,
        }
    }

    /// Counts a move of what the filter had put somewhere; `change` is -1 if that is taken back.
    pub fn count(&mut self, time: i64, moved: [State; 2], change: i64) {
        self.day_changes.extend(DayChange::decision(time, moved, change));
    }

    /// The row of the decision, written when it is first needed.
    async fn number(&mut self) -> Result<i64, StoreError> {
        if let Some(number) = self.number {
            return Ok(number);
        }
        let number =
            rows::insert_decision(self.db, self.site_number, self.decision, self.undoes).await?;
        self.number = Some(number);
        Ok(number)
    }

    /// Moves the comments, and with them what is counted and listed of them.
    pub async fn move_all(&mut self, moves: &[Move]) -> Result<(), StoreError> {
        if moves.is_empty() {
            return Ok(());
        }
        rows::update_comments(self.db, self.site_number, moves).await?;
        let number = self.number().await?;
        let time = millis(self.decision.time);
        let positions =
            rows::insert_decided(self.db, self.site_number, number, time, moves).await?;
        if positions.len() != moves.len() {
            return Err(corrupt("not every move has a position"));
        }
        for (one, position) in moves.iter().zip(positions) {
            self.note(one, position);
        }
        let campaigns: BTreeSet<CommentId> = moves
            .iter()
            .filter(|one| one.comment.state == State::Held || one.state == State::Held)
            .map(|one| one.comment.campaign)
            .collect();
        queue::refresh(self.db, self.site_number, &campaigns).await?;
        authors::write(self.db, &self.author_changes(moves)).await?;
        let day_changes = std::mem::take(&mut self.day_changes);
        days::write(self.db, self.site_number, &day_changes).await
    }

    fn author_changes(&self, moves: &[Move]) -> Vec<(authors::AuthorKey, AuthorChange)> {
        let changed = |one: &Move| {
            let author = one.comment.author?;
            let mut change = AuthorChange::default();
            *change.of_state(one.comment.state) -= 1;
            *change.of_state(one.state) += 1;
            // A comment counts once, by its last label.
            if let Some(label) = one.comment.label {
                *change.of_label(label) -= 1;
            }
            if let Some((label, _)) = one.label {
                *change.of_label(label) += 1;
            }
            Some(((self.site_number, author), change))
        };
        moves.iter().filter_map(changed).collect()
    }

    fn note(&mut self, one: &Move, position: i64) {
        let decision = self.decision;
        self.done.prints.push(one.comment.print);
        self.done.comments.push(DecidedComment {
            position,
            decision: decision.id,
            comment: one.comment.id,
            action: decision.action,
            actor: decision.actor.clone(),
            note: decision.note.clone(),
            state_before: one.comment.state,
            state_after: one.state,
            label_before: one.comment.label,
            label_after: one.label.map(|(label, _)| label),
            time: decision.time,
        });
    }

    /// Writes what is written once for all comments, and tells the other replicas.
    pub async fn finish(self, audits: bool) -> Result<Decided, StoreError> {
        let Some(number) = self.number.filter(|_| !self.done.comments.is_empty()) else {
            return Ok(self.done);
        };
        let sql = "UPDATE decisions SET comment_count = comment_count + $2 WHERE number = $1";
        let count = self.done.comments.len();
        self.db.execute(sql, &[&number, &(count as i64)]).await?;
        if audits {
            self.audit(count).await?;
        }
        for told in self.news() {
            self.db.tell(&told).await?;
        }
        Ok(self.done)
    }

    /// Which texts are called otherwise now.
    fn news(&self) -> Vec<Told> {
        let (site, comments) = (&self.decision.site, &self.done.comments);
        let unlearns =
            |one: &DecidedComment| one.label_after.is_none() && one.label_before.is_some();
        if self.decision.action == Action::Undo || comments.iter().any(unlearns) {
            return vec![Told::Relabelled(site.clone())];
        }
        let labels = comments.iter().zip(&self.done.prints);
        let labels: Vec<_> =
            labels.filter_map(|(one, print)| Some((*print, one.label_after?))).collect();
        Told::labels(site, &labels)
    }

    /// One entry for all comments; it names the comment if there is just one.
    async fn audit(&self, count: usize) -> Result<(), StoreError> {
        let decision = self.decision;
        let first = &self.done.comments[0];
        let (subject, before) = match count {
            1 => (first.comment.name(&decision.site), first.state_before.as_str().to_owned()),
            _ => (decision.id.name(&decision.site), format!("{count} comments")),
        };
        let action = if decision.action == Action::Undo { "undo-decision" } else { "decide" };
        let after = json!({
            "action": decision.action.as_str(),
            "state": first.state_after.as_str(),
            "decision": decision.id.to_string(),
        });
        Audit {
            site_number: Some(self.site_number),
            time: decision.time,
            actor: &decision.actor,
            action,
            subject,
            before: Some(before),
            after: Some(after.to_string()),
            note: decision.note.as_deref(),
        }
        .write(self.db)
        .await
    }

    /// Whether a comment is passed over, and why.
    fn passed(
        &self,
        target: &Target,
        known: &HashMap<CommentId, Current>,
        effect: (State, Option<Label>),
    ) -> Option<Passed> {
        let (state, teaches) = effect;
        let Some(comment) = known.get(&target.comment) else {
            return Some(Passed::NotFound);
        };
        if target.revision.is_some_and(|revision| revision != comment.revision) {
            return Some(Passed::Changed);
        }
        // A rejection as abuse or other says more than that the comment is rejected.
        let says_nothing_new = match self.decision.action {
            Action::RejectAbuse | Action::RejectOther => comment.label.is_none(),
            _ => comment.label == teaches,
        };
        (comment.state == state && says_nothing_new).then_some(Passed::NothingToDo)
    }

    /// The moves that a decision makes; what is passed over is noted.
    async fn moves(
        &mut self,
        targets: &[Target],
        effect: (State, Option<Label>),
    ) -> Result<Vec<Move>, StoreError> {
        let ids: Vec<Uuid> = targets.iter().map(|target| *target.comment.as_uuid()).collect();
        let mut known = rows::current(self.db, self.site_number, &ids).await?;
        let campaigns: BTreeSet<Uuid> =
            known.values().map(|comment| *comment.campaign.as_uuid()).collect();
        let campaigns: Vec<Uuid> = campaigns.into_iter().collect();
        let (db, decision) = (self.db, self.decision);
        let claimed = claims::claimed_by_others(db, self.site_number, &campaigns, decision).await?;
        let (state, teaches) = effect;
        let time = millis(decision.time);
        let mut moves = Vec::new();
        for target in targets {
            let id = target.comment;
            let passed = self.passed(target, &known, effect).or_else(|| {
                let campaign = known.get(&id)?.campaign;
                claimed.contains(&campaign).then_some(Passed::Claimed)
            });
            let comment = known.get_mut(&id).filter(|_| passed.is_none());
            let Some(comment) = comment else {
                self.done.passed.extend(passed.map(|why| (id, why)));
                continue;
            };
            let label = teaches.map(|label| (label, time));
            moves.push(Move { comment: comment.clone(), state, label, entry: None });
            // Whoever is named twice is found as the first move leaves it.
            comment.state = state;
            comment.label = teaches;
            comment.revision += 1;
        }
        Ok(moves)
    }

    /// The rows of an undone decision whose comments are as it left them; what is passed over is
    /// noted, unless an earlier undo took it back.
    fn undone<'r>(
        &mut self,
        rows: &'r [UndoneRow],
        known: &HashMap<CommentId, Current>,
    ) -> Vec<(&'r UndoneRow, Current)> {
        let mut taken = BTreeSet::new();
        let mut accepted = Vec::new();
        for row in rows {
            let passed = match known.get(&row.comment) {
                None if row.taken_back => continue,
                None => Passed::NotFound,
                // Whoever stands there twice is found as the first move leaves it.
                Some(comment) if comment.revision == row.revision && taken.insert(row.comment) => {
                    accepted.push((row, comment.clone()));
                    continue;
                }
                Some(_) if row.taken_back => continue,
                Some(_) => Passed::Changed,
            };
            self.done.passed.push((row.comment, passed));
        }
        accepted
    }

    /// Takes back what the rows taught, teaches again what they took back, and makes the moves.
    async fn unmake(
        &mut self,
        accepted: Vec<(&UndoneRow, Current)>,
    ) -> Result<Vec<Move>, StoreError> {
        let (db, site_number, reporter) = (self.db, self.site_number, self.reporter());
        let firsts = accepted.iter().filter_map(|(row, _)| Some((row.comment, row.entry?)));
        let firsts: Vec<(CommentId, i64)> = firsts.collect();
        let mut entries = rows::retract(db, site_number, self.decision, reporter, &firsts).await?;
        entries.extend(rows::restore(db, site_number, &firsts).await?);
        let ids: Vec<Uuid> = accepted.iter().map(|(row, _)| *row.comment.as_uuid()).collect();
        let counting = rows::counting_labels(db, site_number, &ids).await?;
        let mut moves = Vec::new();
        for (row, comment) in accepted {
            if row.state_before == State::from(comment.verdict) {
                self.count(row.time, [row.state_before, comment.state], -1);
            }
            let label = counting.get(&row.comment).copied();
            let entry = entries.get(&row.comment).copied();
            moves.push(Move { comment, state: row.state_before, label, entry });
        }
        Ok(moves)
    }
}

/// See `ReviewStore::decide`.
pub(super) async fn decide(
    db: &Db,
    site_number: i64,
    decision: &NewDecision,
    targets: &[Target],
) -> Result<Decided, StoreError> {
    let mut work = Work::begin(db, site_number, decision).await?;
    let Some((state, teaches)) = decision.action.effect() else {
        let nothing = |target: &Target| (target.comment, Passed::NothingToDo);
        return Ok(Decided { passed: targets.iter().map(nothing).collect(), ..Decided::default() });
    };
    if let Some(number) = work.number
        && queries::undo_began(db, site_number, number).await?
    {
        return Err(StoreError::Conflict);
    }
    let mut moves = work.moves(targets, (state, teaches)).await?;
    let reporter = work.reporter();
    let entries = match teaches {
        Some(label) => {
            let taught: Vec<_> = moves.iter().map(|one| (one.comment.id, label)).collect();
            rows::append_labels(db, site_number, decision, reporter, &taught).await?
        }
        None => {
            let all: Vec<(CommentId, i64)> = moves.iter().map(|one| (one.comment.id, 0)).collect();
            rows::retract(db, site_number, decision, reporter, &all).await?
        }
    };
    for one in &mut moves {
        one.entry = entries.get(&one.comment.id).copied();
        if one.comment.state == State::from(one.comment.verdict) {
            work.count(millis(decision.time), [one.comment.state, state], 1);
        }
    }
    work.move_all(&moves).await?;
    work.finish(true).await
}

/// See `ReviewStore::undo`.
pub(super) async fn undo(
    db: &Db,
    site_number: i64,
    decision: &NewDecision,
    undoes: DecisionId,
    before: Option<i64>,
    count_max: usize,
) -> Result<Decided, StoreError> {
    let mut work = Work::begin(db, site_number, decision).await?;
    let found = queries::decision_number(db, site_number, undoes).await?;
    let (undone, by) = found.ok_or(StoreError::NotFound)?;
    work.undoes = Some(undone);
    // Whoever took a part of it back goes on, though another was faster with the rest.
    if by.is_some() && work.number.is_none() {
        return Err(StoreError::Conflict);
    }
    let rows = queries::rows_to_undo(db, undone, before, count_max).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| *row.comment.as_uuid()).collect();
    let known = rows::current(db, site_number, &ids).await?;
    let accepted = work.undone(&rows, &known);
    let moves = work.unmake(accepted).await?;
    work.move_all(&moves).await?;
    if rows.len() == count_max {
        work.done.next = rows.last().map(|row| row.position);
    } else if let Some(number) = work.number.filter(|_| by.is_none()) {
        // Only the end says so: what is taken back in part can be taken back further.
        let sql = "UPDATE decisions SET undone = $2 WHERE number = $1";
        db.execute(sql, &[&undone, &number]).await?;
    }
    work.finish(true).await
}
