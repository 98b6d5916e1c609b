//! A user's account in a transaction: brought up to date when it is opened, changed by ledger entries, and written when
//! it is closed.
//!
//! Every movement is an entry that never changes. The points of an entry are in a lot until they are spent, expire or
//! are revoked; the balance is the sum of the available lots.

use std::time::Duration;

use promox_contract::ids::OrderId;
use promox_contract::reward::{PointsAwarded, PointsExpired, PointsFact, PointsRestored, PointsRevoked, TierChanged};
use promox_kernel::{Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::queries;
use crate::records::{Account, Entry, EntryByCount, EntryId, EntryKind, Lot, LotByOpen, LotByPending, LotId, Part};
use crate::reject;
use crate::rules::calendar::{END_OF_TIME, INSTANT, TIER_SPAN, days_after, months_after};
use crate::settings::{Shortfall, Terms};

/// The maximum number of lots that become available or expire in one transaction.
pub(crate) const MAX_DUE: usize = 500;
/// The maximum number of lots that one transaction spends from.
const MAX_LOTS_SPENT: usize = 1_000;
/// The minimum pending time of points for an order that is not paid yet: twice the time that a buyer has to confirm
/// the payment.
const MIN_UNPAID_PENDING: Duration = Duration::from_hours(1);

/// A user's account, open in a transaction. Its totals are written when it is closed.
pub(crate) struct Book<'a, 't> {
    tx: &'a mut Tx<'t>,
    terms: &'a Terms,
    pub(crate) account: Account,
    /// The number of lots that became available or expired when the account was opened.
    pub(crate) settled: usize,
    /// Whether the earliest due time has passed, so that the next one has to be determined.
    passed: bool,
}

/// Why points move, as the entry records it.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) kind: EntryKind,
    pub(crate) order_id: Option<OrderId>,
    pub(crate) reference: String,
}

impl Cause {
    /// The cause of points that move for an order.
    pub(crate) fn order(kind: EntryKind, order_id: OrderId) -> Self {
        Self { kind, order_id: Some(order_id), reference: format!("order:{order_id}") }
    }

    /// The cause of points that move for any other reason.
    pub(crate) fn of(kind: EntryKind, reference: impl Into<String>) -> Self {
        Self { kind, order_id: None, reference: reference.into() }
    }
}

/// How an entry counts in the balance and for the tier.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    available_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    earned_at: Option<Timestamp>,
    /// What counts for the tier in addition to the entry's points.
    extra: i64,
}

fn new_account(tx: &Tx<'_>, terms: &Terms, user_id: UserId) -> Account {
    Account {
        user_id,
        balance: 0,
        pending: 0,
        debt: 0,
        lifetime_earned: 0,
        tier_points: 0,
        tier: terms.ladder.tier(0),
        ladder: terms.ladder.version,
        settled_at: tx.now(),
        due_at: None,
        signup_due: false,
        signup_order: None,
        signup_lot: None,
        birthday_at: None,
        erased_at: None,
        created_at: tx.now(),
    }
}

impl<'a, 't> Book<'a, 't> {
    /// Opens a user's account and brings it up to date. Refused if more is due than one transaction can handle.
    pub(crate) fn open(tx: &'a mut Tx<'t>, terms: &'a Terms, user_id: UserId) -> Result<Self, Error> {
        let book = Self::open_partly(tx, terms, user_id)?;
        if book.is_behind() { Err(reject::account_busy()) } else { Ok(book) }
    }

    /// Opens a user's account and brings it as far up to date as one transaction allows; [`Self::is_behind`] returns
    /// whether more is due.
    pub(crate) fn open_partly(tx: &'a mut Tx<'t>, terms: &'a Terms, user_id: UserId) -> Result<Self, Error> {
        let account = tx.get::<Account>(&user_id)?.unwrap_or_else(|| new_account(tx, terms, user_id));
        let mut book = Self { tx, terms, account, settled: 0, passed: false };
        book.settle()?;
        Ok(book)
    }

    /// Returns whether more is due than one transaction can handle.
    pub(crate) fn is_behind(&self) -> bool {
        self.account.settled_at < self.tx.now()
    }

    /// Returns the time up to which the account is settled: the current time, unless it is behind.
    pub(crate) fn now(&self) -> Timestamp {
        self.account.settled_at
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        let (before, mut now) = (self.account.settled_at, self.tx.now().max(self.account.settled_at));
        if self.account.due_at.is_some_and(|due| due <= now) {
            now = self.settle_until(before, now)?;
        }
        self.account.settled_at = now;
        Ok(())
    }

    /// Applies what is due by `now`, or by an earlier time if that is too much for one transaction. Returns that time.
    fn settle_until(&mut self, before: Timestamp, now: Timestamp) -> Result<Timestamp, StoreError> {
        let user = self.account.user_id;
        let pending = queries::first_pending(self.tx, user, now, MAX_DUE)?;
        let open = queries::first_expired(self.tx, user, now, MAX_DUE)?;
        let last = |times: Vec<Timestamp>| if times.len() < MAX_DUE { None } else { times.last().copied() };
        let bounds = [
            last(pending.iter().map(|lot| lot.available_at).collect()),
            last(open.iter().map(|lot| lot.spend_by).collect()),
        ];
        let until = bounds.into_iter().flatten().min().map_or(now, |bound| bound.max(before));
        self.account.settled_at = until;
        self.passed = true;
        for mut lot in queries::first_pending(self.tx, user, until, usize::MAX)? {
            self.account.pending -= lot.remaining;
            self.account.balance += lot.remaining;
            lot.pending_for = None;
            self.settled += 1;
            self.put_lot_row(lot)?;
        }
        for lot in queries::first_expired(self.tx, user, until, usize::MAX)? {
            self.settled += 1;
            self.expire(lot)?;
        }
        self.account.tier_points -= queries::tier_points_between(self.tx, user, before - TIER_SPAN, until - TIER_SPAN)?;
        Ok(until)
    }

    fn put_lot_row(&mut self, mut lot: Lot) -> Result<(), StoreError> {
        lot.open_for = (lot.remaining > 0 && lot.pending_for.is_none()).then_some(lot.user_id);
        self.tx.put(&lot)
    }

    fn expire(&mut self, mut lot: Lot) -> Result<(), StoreError> {
        let points = lot.remaining;
        (lot.remaining, lot.lapsed) = (0, points);
        lot.expired_at = Some(self.now());
        let cause = Cause::of(EntryKind::Expire, format!("lot:{}", lot.id));
        self.put_lot_row(lot)?;
        self.add_entry(-points, &cause, Counts::default())?;
        self.account.balance -= points;
        let fact = PointsExpired(self.fact(points, cause));
        self.tx.emit(self.account.user_id, &fact)
    }

    fn fact(&self, points: i64, cause: Cause) -> PointsFact {
        PointsFact { user_id: self.account.user_id, points, value: None, reference: cause.reference }
    }

    fn add_entry(&mut self, points: i64, cause: &Cause, counts: Counts) -> Result<EntryId, StoreError> {
        let id = EntryId(self.tx.next_id::<Entry>()?);
        let (user_id, now) = (self.account.user_id, self.now());
        let counted = counts.earned_at.map_or(0, |_| points + counts.extra);
        self.tx.insert(&Entry {
            id,
            user_id,
            kind: cause.kind,
            points,
            order_id: cause.order_id,
            reference: cause.reference.clone(),
            created_at: now,
            available_at: counts.available_at,
            expires_at: counts.expires_at,
            counted_for: counts.earned_at.map(|_| user_id),
            counted_at: counts.earned_at.unwrap_or(now),
            counted,
        })?;
        self.account.lifetime_earned += counted;
        self.schedule(counts.earned_at.map(|earned_at| earned_at + TIER_SPAN).filter(|at| *at > now));
        if counts.earned_at.is_some_and(|earned_at| earned_at > now - TIER_SPAN) {
            self.account.tier_points += counted;
        }
        Ok(id)
    }

    /// Awards earned points: available at once or, if `pending` is set, after the return period. Returns their lot;
    /// none for an erased user.
    pub(crate) fn award(&mut self, points: i64, cause: Cause, pending: bool) -> Result<Option<LotId>, StoreError> {
        let days = if pending { self.terms.settings.pending_days } else { 0 };
        let available_at = (days > 0).then(|| days_after(self.now(), days));
        self.award_at(points, cause, available_at)
    }

    /// Awards earned points for an order that is not paid yet. They are pending for longer than a payment may take.
    pub(crate) fn award_unpaid(&mut self, points: i64, cause: Cause) -> Result<Option<LotId>, StoreError> {
        let window_ends = days_after(self.now(), self.terms.settings.pending_days);
        self.award_at(points, cause, Some(window_ends.max(self.now() + MIN_UNPAID_PENDING)))
    }

    fn award_at(
        &mut self,
        points: i64,
        cause: Cause,
        available_at: Option<Timestamp>,
    ) -> Result<Option<LotId>, StoreError> {
        if points <= 0 || self.account.erased_at.is_some() {
            return Ok(None);
        }
        let counts = Counts { available_at, expires_at: self.expiry(), earned_at: Some(self.now()), extra: 0 };
        let lot = self.grant_lot(points, &cause, counts)?;
        let fact = PointsAwarded(self.fact(points, cause));
        self.tx.emit(self.account.user_id, &fact)?;
        Ok(Some(lot))
    }

    /// Grants points that do not count as earned.
    pub(crate) fn grant(&mut self, points: i64, cause: Cause) -> Result<(), StoreError> {
        let counts = Counts { expires_at: self.expiry(), ..Counts::default() };
        self.grant_lot(points, &cause, counts)?;
        let fact = PointsAwarded(self.fact(points, cause));
        self.tx.emit(self.account.user_id, &fact)
    }

    fn expiry(&self) -> Option<Timestamp> {
        self.terms.settings.expiry_months.map(|months| months_after(self.now(), months))
    }

    fn grant_lot(&mut self, points: i64, cause: &Cause, counts: Counts) -> Result<LotId, StoreError> {
        let entry_id = self.add_entry(points, cause, counts)?;
        self.put_lot(points, entry_id, counts)
    }

    fn put_lot(&mut self, points: i64, entry_id: EntryId, counts: Counts) -> Result<LotId, StoreError> {
        let (id, user_id) = (LotId(self.tx.next_id::<Lot>()?), self.account.user_id);
        match counts.available_at {
            Some(_) => self.account.pending += points,
            None => self.account.balance += points,
        }
        self.schedule(counts.available_at.or(counts.expires_at));
        let lot = Lot {
            id,
            user_id,
            entry_id,
            points,
            remaining: points,
            available_at: counts.available_at.unwrap_or(self.now()),
            expires_at: counts.expires_at,
            expired_at: None,
            lapsed: 0,
            earned_at: counts.earned_at,
            pending_for: counts.available_at.map(|_| user_id),
            open_for: None,
            spend_by: counts.expires_at.unwrap_or(END_OF_TIME),
        };
        self.put_lot_row(lot)?;
        Ok(id)
    }

    /// Spends points from the lots that expire first. Returns the lots that they came from. Refused if the balance is
    /// too small or the points are in too many lots.
    pub(crate) fn spend(&mut self, points: i64, cause: &Cause) -> Result<Vec<Part>, Error> {
        if points > self.account.balance {
            return Err(reject::not_enough_points(points, self.account.balance));
        }
        let (drawn, parts) = self.draw(points)?;
        if drawn < points {
            return Err(reject::too_many_lots(MAX_LOTS_SPENT));
        }
        self.add_entry(-points, cause, Counts::default())?;
        Ok(parts)
    }

    /// Takes up to `points` out of the lots that expire first, from at most [`MAX_LOTS_SPENT`] lots. Returns the number
    /// of points taken, and the lots that they came from.
    fn draw(&mut self, points: i64) -> Result<(i64, Vec<Part>), StoreError> {
        let (mut drawn, mut lots) = (0, Vec::new());
        for lot in self.tx.scan_by::<LotByOpen>().prefix(Some(self.account.user_id)).rows().take(MAX_LOTS_SPENT) {
            let mut lot = lot?;
            let taken = (points - drawn).min(lot.remaining);
            lot.remaining -= taken;
            drawn += taken;
            lots.push((taken, lot));
            if drawn == points {
                break;
            }
        }
        let mut parts = Vec::with_capacity(lots.len());
        for (points, lot) in lots {
            parts.push(Part { lot: lot.id, points });
            self.put_lot_row(lot)?;
        }
        self.account.balance -= drawn;
        Ok((drawn, parts))
    }

    /// Restores spent points to their lots. Points of lots that have expired in the meantime get a new lot that is due
    /// at once. Emits that they were restored only if `emit` is set: if an event has said that they were spent. Points
    /// of an erased user are forfeited.
    pub(crate) fn restore(&mut self, parts: &[Part], cause: Cause, emit: bool) -> Result<(), StoreError> {
        let points: i64 = parts.iter().map(|part| part.points).sum();
        if points == 0 {
            return Ok(());
        }
        if self.account.erased_at.is_some() {
            let fact = PointsExpired(self.fact(points, cause));
            return if emit { Ok(()) } else { self.tx.emit(self.account.user_id, &fact) };
        }
        let entry_id = self.add_entry(points, &cause, Counts::default())?;
        for part in parts {
            let Some(mut lot) = self.tx.get::<Lot>(&part.lot)? else { continue };
            if lot.expires_at.is_some_and(|at| at <= self.now()) {
                let counts = Counts { expires_at: lot.expires_at, ..Counts::default() };
                self.put_lot(part.points, entry_id, counts)?;
            } else {
                lot.remaining += part.points;
                self.account.balance += part.points;
                self.schedule(lot.expires_at);
                self.put_lot_row(lot)?;
            }
        }
        let fact = PointsRestored(self.fact(points, cause));
        if emit { self.tx.emit(self.account.user_id, &fact) } else { Ok(()) }
    }

    /// Revokes earned points: first from their own lot, then, for points that were spent, from other lots. What is
    /// missing is waived or owed, depending on the settings. Points that have expired are not deducted again. Revoked
    /// points no longer count as earned.
    pub(crate) fn revoke(&mut self, points: i64, lot: Option<LotId>, cause: &Cause) -> Result<(), StoreError> {
        let lot = lot.map(|id| self.tx.get::<Lot>(&id)).transpose()?.flatten();
        let earned_at = lot.as_ref().and_then(|lot| lot.earned_at);
        let (mut left, mut expired) = (points, 0);
        if let Some(mut lot) = lot {
            let taken = left.min(lot.remaining);
            lot.remaining -= taken;
            left -= taken;
            expired = left.min(lot.lapsed);
            lot.lapsed -= expired;
            left -= expired;
            self.revoke_from(lot, taken, cause)?;
        }
        let (taken, _) = if left > 0 { self.draw(left)? } else { (0, Vec::new()) };
        let missing = left - taken;
        if taken + expired + missing > 0 {
            self.publish_revoked(taken, cause, Counts { earned_at, extra: -expired - missing, ..Counts::default() })?;
        }
        if self.terms.settings.return_shortfall == Shortfall::Carry && self.account.erased_at.is_none() {
            self.account.debt += missing;
        }
        Ok(())
    }

    fn revoke_from(&mut self, mut lot: Lot, taken: i64, cause: &Cause) -> Result<(), StoreError> {
        let mut counts = Counts { earned_at: lot.earned_at, ..Counts::default() };
        if lot.pending_for.is_some() {
            counts.available_at = Some(lot.available_at);
            self.account.pending -= taken;
            lot.pending_for = (lot.remaining > 0).then_some(lot.user_id);
        } else {
            self.account.balance -= taken;
        }
        self.put_lot_row(lot)?;
        if taken > 0 { self.publish_revoked(taken, cause, counts) } else { Ok(()) }
    }

    fn publish_revoked(&mut self, points: i64, cause: &Cause, counts: Counts) -> Result<(), StoreError> {
        self.add_entry(-points, cause, counts)?;
        let fact = PointsRevoked(self.fact(points, cause.clone()));
        if points > 0 { self.tx.emit(self.account.user_id, &fact) } else { Ok(()) }
    }

    /// Deducts points manually. Refused if the balance would become negative.
    pub(crate) fn remove(&mut self, points: i64, cause: &Cause) -> Result<(), Error> {
        if points > self.account.balance {
            return Err(reject::balance_below_zero(self.account.balance));
        }
        if self.draw(points)?.0 < points {
            return Err(reject::too_many_lots(MAX_LOTS_SPENT));
        }
        Ok(self.publish_revoked(points, cause, Counts::default())?)
    }

    /// Forfeits all points and marks the account as erased, so that it is granted no more. Points in more lots than one
    /// transaction handles are forfeited later by a job.
    pub(crate) fn forfeit(&mut self) -> Result<(), StoreError> {
        let cause = Cause::of(EntryKind::Forfeit, "erased");
        let user = Some(self.account.user_id);
        let open = self.tx.scan_by::<LotByOpen>().prefix(user).collect(MAX_LOTS_SPENT)?;
        let pending = self.tx.scan_by::<LotByPending>().prefix(user).collect(MAX_LOTS_SPENT)?;
        let mut sum = 0;
        for mut lot in open.into_iter().chain(pending) {
            let points = lot.remaining;
            let available_at = lot.pending_for.take().map(|_| lot.available_at);
            lot.remaining = 0;
            self.put_lot_row(lot)?;
            self.add_entry(-points, &cause, Counts { available_at, ..Counts::default() })?;
            match available_at {
                Some(_) => self.account.pending -= points,
                None => self.account.balance -= points,
            }
            sum += points;
        }
        self.account.debt = 0;
        self.account.erased_at = Some(self.now());
        self.passed = true;
        if sum == 0 {
            return Ok(());
        }
        let fact = PointsExpired(self.fact(sum, cause));
        self.tx.emit(self.account.user_id, &fact)
    }

    /// Emits an event about the user.
    pub(crate) fn publish<F: promox_kernel::Fact>(&mut self, fact: &F) -> Result<(), StoreError> {
        self.tx.emit(self.account.user_id, fact)
    }

    /// Deducts owed points, determines the tier, and writes the account.
    pub(crate) fn close(mut self) -> Result<Account, Error> {
        let owed = self.account.debt.min(self.account.balance);
        if owed > 0 {
            let (owed, _) = self.draw(owed)?;
            self.account.debt -= owed;
            self.publish_revoked(owed, &Cause::of(EntryKind::Revoke, "owed"), Counts::default())?;
        }
        let (from, to) = (self.account.tier, self.terms.ladder.tier(self.account.tier_points));
        self.account.tier = to;
        self.account.ladder = self.terms.ladder.version;
        if self.passed {
            self.account.due_at = self.next_due()?;
        }
        if from != to {
            let user_id = self.account.user_id;
            self.tx.emit(user_id, &TierChanged { user_id, from: from.to_string(), to: to.to_string() })?;
        }
        self.tx.put(&self.account)?;
        Ok(self.account)
    }

    /// Makes the account due at a time, unless it is due earlier. After spending or revoking points there may be
    /// nothing to do at the due time; the next one is determined then.
    fn schedule(&mut self, at: Option<Timestamp>) {
        self.account.due_at = self.account.due_at.into_iter().chain(at).min();
    }

    /// Returns the next time when points become available, expire or stop counting for the tier.
    fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        if self.account.erased_at.is_some() && self.account.balance + self.account.pending > 0 {
            return Ok(Some(self.now()));
        }
        let user = Some(self.account.user_id);
        let pending = self.tx.scan_by::<LotByPending>().prefix(user).first()?.map(|lot| lot.available_at);
        let open = self.tx.scan_by::<LotByOpen>().prefix(user).first()?.and_then(|lot| lot.expires_at);
        let since = self.now() - TIER_SPAN + INSTANT;
        let counted = self.tx.scan_by::<EntryByCount>().prefix(user).from(since).first()?;
        Ok(pending.into_iter().chain(open).chain(counted.map(|entry| entry.counted_at + TIER_SPAN)).min())
    }
}
