//! Commands on achievements: edited by staff, counted and granted by events.

use promox_contract::audit::Audited;
use promox_contract::reward::AchievementUnlocked;
use promox_kernel::{Amount, Cx, Error, Faults, Json, Timestamp, UserId, bounded, multiline};
use promox_storage::{StoreError, Tx};
use serde_json::{Value, json};

use super::book::{Book, Cause};
use crate::api::{AchievementView, CreateAchievement, UpdateAchievement};
use crate::queries::{self, achievement_view};
use crate::records::{
    Account, Achievement, AchievementByCode, AchievementId, Counted, EntryKind, Mark, Progress, Unlocked,
};
use crate::reject;
use crate::rules::achievement::CountedEvent;
use crate::rules::progress::Undone;
use crate::settings::Terms;

/// The maximum number of achievements. Each event of a user is checked against all of them.
const MAX_ACHIEVEMENTS: usize = 200;
/// The maximum number of points that an achievement grants.
const MAX_POINTS: u32 = 1_000_000;

fn is_code(code: &str) -> bool {
    let well_formed = code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    (1..=40).contains(&code.len()) && well_formed
}

fn faults_of(row: &Achievement) -> Faults {
    let mut faults = row.rule.faults();
    let mut fault = |pointer: &str, detail: String| faults.note(pointer, detail);
    if !is_code(&row.last_code) {
        fault("/code", "must be 1 to 40 characters from A-Z, 0-9 and _".to_owned());
    }
    let texts = [("/name", bounded(&row.name, 1, 200)), ("/description", multiline(&row.description, 0, 2_000))];
    for (pointer, checked) in texts {
        if let Err(detail) = checked {
            fault(pointer, detail);
        }
    }
    if let Some(Err(detail)) = row.badge.as_ref().map(|badge| bounded(badge, 1, 500)) {
        fault("/badge", detail);
    }
    if row.points > i64::from(MAX_POINTS) {
        fault("/points", "must be 0 to 1,000,000 points".to_owned());
    }
    faults
}

fn audit_summary(row: &Achievement) -> Value {
    json!({ "code": row.last_code, "rule": row.rule.0, "points": row.points })
}

fn audit_change(
    tx: &mut Tx<'_>,
    cx: &Cx,
    action: &str,
    id: AchievementId,
    change: (Value, Value),
) -> Result<(), StoreError> {
    tx.emit(id, &Audited::new(cx.principal.name(), action, format!("achievement:{id}"), change.0, change.1))
}

/// Creates an achievement.
pub(crate) fn create(tx: &mut Tx<'_>, cx: &Cx, op: &CreateAchievement) -> Result<AchievementView, Error> {
    let now = tx.now();
    let row = Achievement {
        id: AchievementId(tx.next_id::<Achievement>()?),
        code: Some(op.code.clone()),
        last_code: op.code.clone(),
        name: op.name.trim().to_owned(),
        description: op.description.clone().unwrap_or_default(),
        rule: Json(op.rule.clone()),
        points: i64::from(op.points.unwrap_or(0)),
        badge: op.badge.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    faults_of(&row).finish()?;
    if tx.get_by::<AchievementByCode>((Some(&op.code),))?.is_some() {
        return Err(reject::code_taken(op.code.clone()));
    }
    if tx.scan_by::<AchievementByCode>().collect(MAX_ACHIEVEMENTS)?.len() == MAX_ACHIEVEMENTS {
        return Err(reject::too_many("achievements", MAX_ACHIEVEMENTS));
    }
    tx.insert(&row)?;
    audit_change(tx, cx, "achievement.create", row.id, (Value::Null, audit_summary(&row)))?;
    Ok(achievement_view(row))
}

/// Changes the members of an achievement that are sent.
pub(crate) fn update(tx: &mut Tx<'_>, cx: &Cx, op: &UpdateAchievement) -> Result<AchievementView, Error> {
    let before = queries::achievement(tx, op.id)?;
    cx.check_version(before.version)?;
    let mut after = before.clone();
    if let Some(name) = &op.name {
        name.trim().clone_into(&mut after.name);
    }
    after.description = op.description.clone().or_default().unwrap_or(after.description);
    if let Some(rule) = &op.rule {
        if rule.event != before.rule.event {
            let detail = format!("cannot be changed from {}: create another achievement instead", before.rule.event);
            return Err(Error::field("/rule/event", detail));
        }
        after.rule = Json(rule.clone());
    }
    after.points = op.points.map_or(after.points, i64::from);
    op.badge.clone().apply(&mut after.badge);
    faults_of(&after).finish()?;
    if after != before {
        after.version += 1;
        after.updated_at = tx.now();
        tx.put(&after)?;
        audit_change(tx, cx, "achievement.update", after.id, (audit_summary(&before), audit_summary(&after)))?;
    }
    Ok(achievement_view(after))
}

/// Deletes an achievement. Users who have earned it keep it.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, id: AchievementId) -> Result<(), Error> {
    let mut row = queries::achievement(tx, id)?;
    cx.check_version(row.version)?;
    row.code = None;
    row.updated_at = tx.now();
    tx.put(&row)?;
    Ok(audit_change(tx, cx, "achievement.delete", id, (audit_summary(&row), Value::Null))?)
}

/// An event of a user that achievements may count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserEvent {
    pub(crate) event: CountedEvent,
    pub(crate) user_id: UserId,
    /// The order or the redemption, or 0.
    pub(crate) of: i64,
    pub(crate) amount: Amount,
    pub(crate) at: Timestamp,
}

/// Returns the achievements that count an event, except those created after it.
fn counting_achievements(tx: &Tx<'_>, event: CountedEvent, at: Timestamp) -> Result<Vec<Achievement>, StoreError> {
    let all = tx.scan_by::<AchievementByCode>().collect(MAX_ACHIEVEMENTS)?;
    Ok(all.into_iter().filter(|achievement| achievement.rule.event == event && achievement.created_at <= at).collect())
}

/// Returns the events that the achievements count.
pub(crate) fn counted_events(tx: &Tx<'_>) -> Result<Vec<CountedEvent>, StoreError> {
    let all = tx.scan_by::<AchievementByCode>().collect(MAX_ACHIEVEMENTS)?;
    Ok(all.into_iter().map(|achievement| achievement.rule.event).collect())
}

/// Returns whether any achievement counts an event that happened at `at`.
pub(crate) fn any_counts(tx: &Tx<'_>, event: CountedEvent, at: Timestamp) -> Result<bool, StoreError> {
    Ok(!counting_achievements(tx, event, at)?.is_empty())
}

fn is_unlocked(tx: &Tx<'_>, user_id: UserId, id: AchievementId) -> Result<bool, StoreError> {
    Ok(tx.get::<Unlocked>(&(user_id, id))?.is_some())
}

fn progress(tx: &Tx<'_>, user_id: UserId, id: AchievementId) -> Result<Progress, StoreError> {
    let new = || Progress {
        user_id,
        achievement_id: id,
        count: 0,
        sum: Amount::ZERO,
        marks: Json(Vec::new()),
        updated_at: tx.now(),
    };
    Ok(tx.get::<Progress>(&(user_id, id))?.unwrap_or_else(new))
}

/// Counts an event for all achievements that count it, and grants those that are reached. Returns whether any of them
/// is still in progress.
pub(crate) fn count(tx: &mut Tx<'_>, terms: &Terms, user_event: UserEvent) -> Result<bool, Error> {
    let erased = |account: Option<Account>| account.is_some_and(|account| account.erased_at.is_some());
    let achievements = counting_achievements(tx, user_event.event, user_event.at)?;
    if achievements.is_empty() || erased(tx.get::<Account>(&user_event.user_id)?) {
        return Ok(false);
    }
    let mut in_progress = false;
    for achievement in achievements {
        if is_unlocked(tx, user_event.user_id, achievement.id)? {
            continue;
        }
        let mut progress = progress(tx, user_event.user_id, achievement.id)?;
        if achievement.rule.add_event(
            &mut progress,
            Mark { of: user_event.of, at: user_event.at.0, amount: user_event.amount },
            user_event.at,
        ) {
            tx.delete::<Progress>(&(user_event.user_id, achievement.id))?;
            unlock(tx, terms, user_event.user_id, &achievement)?;
        } else {
            tx.put(&progress)?;
            in_progress = true;
        }
    }
    Ok(in_progress)
}

/// Counts an event that can be undone, and records it so that [`undo`] can remove it.
pub(crate) fn count_undoable(tx: &mut Tx<'_>, terms: &Terms, user_event: UserEvent) -> Result<(), Error> {
    if !count(tx, terms, user_event)? {
        return Ok(());
    }
    let UserEvent { event, user_id, of, amount, at } = user_event;
    let new = Counted { event, of, user_id, times: 0, amount: Amount::ZERO, at };
    let known = tx.get::<Counted>(&(event, of))?.unwrap_or(new);
    Ok(tx.put(&Counted { times: known.times + 1, amount: known.amount + amount, ..known })?)
}

/// Removes everything that was counted for an order or a redemption. Granted achievements are kept.
pub(crate) fn undo(tx: &mut Tx<'_>, event: CountedEvent, of: i64) -> Result<(), StoreError> {
    let Some(known) = tx.get::<Counted>(&(event, of))? else { return Ok(()) };
    tx.delete::<Counted>(&(event, of))?;
    let undone = Undone { of, times: known.times, amount: known.amount };
    remove_events(tx, event, known.user_id, (known.at, undone))
}

/// Removes a part of the amount that was counted for an order; with the last part, the order itself.
pub(crate) fn undo_part(tx: &mut Tx<'_>, event: CountedEvent, of: i64, amount: Amount) -> Result<(), StoreError> {
    let Some(known) = tx.get::<Counted>(&(event, of))? else { return Ok(()) };
    if amount >= known.amount {
        return undo(tx, event, of);
    }
    tx.put(&Counted { amount: known.amount - amount, ..known.clone() })?;
    remove_events(tx, event, known.user_id, (known.at, Undone { of, times: 0, amount }))
}

/// Removes events from the user's progress towards the achievements that have counted them.
pub(crate) fn remove_events(
    tx: &mut Tx<'_>,
    event: CountedEvent,
    user_id: UserId,
    (counted_at, undone): (Timestamp, Undone),
) -> Result<(), StoreError> {
    for achievement in counting_achievements(tx, event, counted_at)? {
        let Some(mut progress) = tx.get::<Progress>(&(user_id, achievement.id))? else { continue };
        achievement.rule.remove_events(&mut progress, &undone);
        tx.put(&progress)?;
    }
    Ok(())
}

fn unlock(tx: &mut Tx<'_>, terms: &Terms, user_id: UserId, achievement: &Achievement) -> Result<(), Error> {
    let (points, at) = (achievement.points, tx.now());
    tx.insert(&Unlocked { user_id, achievement_id: achievement.id, points, at })?;
    let code = achievement.last_code.clone();
    let cause = Cause::of(EntryKind::Achievement, format!("achievement:{code}"));
    let mut book = Book::open(tx, terms, user_id)?;
    book.award(points, cause, false)?;
    book.publish(&AchievementUnlocked { user_id, code })?;
    book.close()?;
    Ok(())
}
