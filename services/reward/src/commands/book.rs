//! A user's account in a transaction: opened up to date, changed by ledger entries, closed with its sums.
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

/// Maximum lots that become available or expire in one transaction.
pub(crate) const MAX_DUE: usize = 500;
/// Maximum lots that are spent from at once.
const MAX_SPENT: usize = 1_000;
/// The minimum pending time of points for an order that is not paid yet: twice the time that a buyer has to confirm a
/// payment.
const UNPAID: Duration = Duration::from_hours(1);

/// A user's account, open in a transaction. Entries take effect when it is closed.
pub(crate) struct Book<'a, 't> {
    tx: &'a mut Tx<'t>,
    terms: &'a Terms,
    pub(crate) account: Account,
    /// Lots that became available or expired when it was opened.
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
    /// For an order.
    pub(crate) fn order(kind: EntryKind, order_id: OrderId) -> Self {
        Self { kind, order_id: Some(order_id), reference: format!("order:{order_id}") }
    }

    /// For any other reason.
    pub(crate) fn of(kind: EntryKind, reference: impl Into<String>) -> Self {
        Self { kind, order_id: None, reference: reference.into() }
    }
}

/// How an entry counts: in the balance, and for the tier.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    available_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    earned_at: Option<Timestamp>,
    /// What counts besides the points that move.
    beside: i64,
}

fn fresh(tx: &Tx<'_>, terms: &Terms, user_id: UserId) -> Account {
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
    /// Opens a user's account, after recording what became available, expired or stopped counting by now.
    pub(crate) fn open(tx: &'a mut Tx<'t>, terms: &'a Terms, user_id: UserId) -> Result<Self, Error> {
        let book = Self::open_partly(tx, terms, user_id)?;
        if book.is_behind() { Err(reject::busy()) } else { Ok(book) }
    }

    /// Opens a user's account as far up to date as one transaction allows; [`Self::is_behind`] says whether more is
    /// due.
    pub(crate) fn open_partly(tx: &'a mut Tx<'t>, terms: &'a Terms, user_id: UserId) -> Result<Self, Error> {
        let account = tx.get::<Account>(&user_id)?.unwrap_or_else(|| fresh(tx, terms, user_id));
        let mut book = Self { tx, terms, account, settled: 0, passed: false };
        book.settle()?;
        Ok(book)
    }

    /// Whether more is due than was recorded.
    pub(crate) fn is_behind(&self) -> bool {
        self.account.settled_at < self.tx.now()
    }

    /// The time of the account.
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

    /// Records what is due by `now`, or by an earlier time if that is too much for one transaction. Returns that time.
    fn settle_until(&mut self, before: Timestamp, now: Timestamp) -> Result<Timestamp, StoreError> {
        let user = self.account.user_id;
        let pending = queries::first_pending(self.tx, user, now, MAX_DUE)?;
        let open = queries::first_lapsed(self.tx, user, now, MAX_DUE)?;
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
            self.put_open(lot)?;
        }
        for lot in queries::first_lapsed(self.tx, user, until, usize::MAX)? {
            self.settled += 1;
            self.lapse(lot)?;
        }
        self.account.tier_points -= queries::counted(self.tx, user, before - TIER_SPAN, until - TIER_SPAN)?;
        Ok(until)
    }

    fn put_open(&mut self, mut lot: Lot) -> Result<(), StoreError> {
        lot.open_for = (lot.remaining > 0 && lot.pending_for.is_none()).then_some(lot.user_id);
        self.tx.put(&lot)
    }

    fn lapse(&mut self, mut lot: Lot) -> Result<(), StoreError> {
        let points = lot.remaining;
        (lot.remaining, lot.lapsed) = (0, points);
        lot.expired_at = Some(self.now());
        let cause = Cause::of(EntryKind::Expire, format!("lot:{}", lot.id));
        self.put_open(lot)?;
        self.enter(-points, &cause, Counts::default())?;
        self.account.balance -= points;
        let fact = PointsExpired(self.fact(points, cause));
        self.tx.emit(self.account.user_id, &fact)
    }

    fn fact(&self, points: i64, cause: Cause) -> PointsFact {
        PointsFact { user_id: self.account.user_id, points, value: None, reference: cause.reference }
    }

    fn enter(&mut self, points: i64, cause: &Cause, counts: Counts) -> Result<EntryId, StoreError> {
        let id = EntryId(self.tx.next_id::<Entry>()?);
        let (user_id, now) = (self.account.user_id, self.now());
        let counted = counts.earned_at.map_or(0, |_| points + counts.beside);
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
        self.falls_due(counts.earned_at.map(|earned_at| earned_at + TIER_SPAN).filter(|at| *at > now));
        if counts.earned_at.is_some_and(|earned_at| earned_at > now - TIER_SPAN) {
            self.account.tier_points += counted;
        }
        Ok(id)
    }

    /// Awards earned points, at once or `pending`. Returns their lot; none for an erased user.
    pub(crate) fn award(&mut self, points: i64, cause: Cause, pending: bool) -> Result<Option<LotId>, StoreError> {
        let days = if pending { self.terms.settings.pending_days } else { 0 };
        let available_at = (days > 0).then(|| days_after(self.now(), days));
        self.award_from(points, cause, available_at)
    }

    /// Awards points for something that is not paid yet: pending for longer than a payment may take.
    pub(crate) fn award_unpaid(&mut self, points: i64, cause: Cause) -> Result<Option<LotId>, StoreError> {
        let window_ends = days_after(self.now(), self.terms.settings.pending_days);
        self.award_from(points, cause, Some(window_ends.max(self.now() + UNPAID)))
    }

    fn award_from(
        &mut self,
        points: i64,
        cause: Cause,
        available_at: Option<Timestamp>,
    ) -> Result<Option<LotId>, StoreError> {
        if points <= 0 || self.account.erased_at.is_some() {
            return Ok(None);
        }
        let counts = Counts { available_at, expires_at: self.lapses_at(), earned_at: Some(self.now()), beside: 0 };
        let lot = self.give(points, &cause, counts)?;
        let fact = PointsAwarded(self.fact(points, cause));
        self.tx.emit(self.account.user_id, &fact)?;
        Ok(Some(lot))
    }

    /// Grants points that do not count as earned.
    pub(crate) fn grant(&mut self, points: i64, cause: Cause) -> Result<(), StoreError> {
        let counts = Counts { expires_at: self.lapses_at(), ..Counts::default() };
        self.give(points, &cause, counts)?;
        let fact = PointsAwarded(self.fact(points, cause));
        self.tx.emit(self.account.user_id, &fact)
    }

    fn lapses_at(&self) -> Option<Timestamp> {
        self.terms.settings.expiry_months.map(|months| months_after(self.now(), months))
    }

    fn give(&mut self, points: i64, cause: &Cause, counts: Counts) -> Result<LotId, StoreError> {
        let entry_id = self.enter(points, cause, counts)?;
        self.put_lot(points, entry_id, counts)
    }

    fn put_lot(&mut self, points: i64, entry_id: EntryId, counts: Counts) -> Result<LotId, StoreError> {
        let (id, user_id) = (LotId(self.tx.next_id::<Lot>()?), self.account.user_id);
        match counts.available_at {
            Some(_) => self.account.pending += points,
            None => self.account.balance += points,
        }
        self.falls_due(counts.available_at.or(counts.expires_at));
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
        self.put_open(lot)?;
        Ok(id)
    }

    /// Spends points, the first to expire first. Returns the lots that they came from.
    pub(crate) fn spend(&mut self, points: i64, cause: &Cause) -> Result<Vec<Part>, Error> {
        if points > self.account.balance {
            return Err(reject::not_enough(points, self.account.balance));
        }
        let (drawn, parts) = self.draw(points)?;
        if drawn < points {
            return Err(reject::scattered(MAX_SPENT));
        }
        self.enter(-points, cause, Counts::default())?;
        Ok(parts)
    }

    /// Takes points out of the lots, limited by what is there and by the number of lots. Returns how many, and from
    /// which.
    fn draw(&mut self, points: i64) -> Result<(i64, Vec<Part>), StoreError> {
        let (mut drawn, mut lots) = (0, Vec::new());
        for lot in self.tx.scan_by::<LotByOpen>().prefix(Some(self.account.user_id)).rows().take(MAX_SPENT) {
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
            self.put_open(lot)?;
        }
        self.account.balance -= drawn;
        Ok((drawn, parts))
    }

    /// Restores spent points to their lots; those that would have expired since expire now. Publishes the restored
    /// points as far as they were published as spent. Points of an erased user are forfeited.
    pub(crate) fn restore(&mut self, parts: &[Part], cause: Cause, told: bool) -> Result<(), StoreError> {
        let points: i64 = parts.iter().map(|part| part.points).sum();
        if points == 0 {
            return Ok(());
        }
        if self.account.erased_at.is_some() {
            let fact = PointsExpired(self.fact(points, cause));
            return if told { Ok(()) } else { self.tx.emit(self.account.user_id, &fact) };
        }
        let entry_id = self.enter(points, &cause, Counts::default())?;
        for part in parts {
            let Some(mut lot) = self.tx.get::<Lot>(&part.lot)? else { continue };
            if lot.expires_at.is_some_and(|at| at <= self.now()) {
                let counts = Counts { expires_at: lot.expires_at, ..Counts::default() };
                self.put_lot(part.points, entry_id, counts)?;
            } else {
                lot.remaining += part.points;
                self.account.balance += part.points;
                self.falls_due(lot.expires_at);
                self.put_open(lot)?;
            }
        }
        let fact = PointsRestored(self.fact(points, cause));
        if told { self.tx.emit(self.account.user_id, &fact) } else { Ok(()) }
    }

    /// Revokes earned points: from their own lot first, then, for those that were spent, from other lots; what is
    /// missing is waived or owed, by the settings. Expired points are not revoked again. Revoked points no longer count
    /// as earned.
    pub(crate) fn revoke(&mut self, points: i64, lot: Option<LotId>, cause: &Cause) -> Result<(), StoreError> {
        let lot = lot.map(|id| self.tx.get::<Lot>(&id)).transpose()?.flatten();
        let earned_at = lot.as_ref().and_then(|lot| lot.earned_at);
        let (mut left, mut lapsed) = (points, 0);
        if let Some(mut lot) = lot {
            let taken = left.min(lot.remaining);
            lot.remaining -= taken;
            left -= taken;
            lapsed = left.min(lot.lapsed);
            lot.lapsed -= lapsed;
            left -= lapsed;
            self.revoke_from(lot, taken, cause)?;
        }
        let (taken, _) = if left > 0 { self.draw(left)? } else { (0, Vec::new()) };
        let missing = left - taken;
        if taken + lapsed + missing > 0 {
            self.publish_revoked(taken, cause, Counts { earned_at, beside: -lapsed - missing, ..Counts::default() })?;
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
        self.put_open(lot)?;
        if taken > 0 { self.publish_revoked(taken, cause, counts) } else { Ok(()) }
    }

    fn publish_revoked(&mut self, points: i64, cause: &Cause, counts: Counts) -> Result<(), StoreError> {
        self.enter(-points, cause, counts)?;
        let fact = PointsRevoked(self.fact(points, cause.clone()));
        if points > 0 { self.tx.emit(self.account.user_id, &fact) } else { Ok(()) }
    }

    /// Removes points manually.
    pub(crate) fn remove(&mut self, points: i64, cause: &Cause) -> Result<(), Error> {
        if points > self.account.balance {
            return Err(reject::below_zero(self.account.balance));
        }
        if self.draw(points)?.0 < points {
            return Err(reject::scattered(MAX_SPENT));
        }
        Ok(self.publish_revoked(points, cause, Counts::default())?)
    }

    /// Forfeits all points and grants no more. Points in more lots than one transaction handles stay due.
    pub(crate) fn forfeit(&mut self) -> Result<(), StoreError> {
        let cause = Cause::of(EntryKind::Forfeit, "erased");
        let user = Some(self.account.user_id);
        let open = self.tx.scan_by::<LotByOpen>().prefix(user).collect(MAX_SPENT)?;
        let pending = self.tx.scan_by::<LotByPending>().prefix(user).collect(MAX_SPENT)?;
        let mut sum = 0;
        for mut lot in open.into_iter().chain(pending) {
            let points = lot.remaining;
            let available_at = lot.pending_for.take().map(|_| lot.available_at);
            lot.remaining = 0;
            self.put_open(lot)?;
            self.enter(-points, &cause, Counts { available_at, ..Counts::default() })?;
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

    /// Publishes an event about the user in the same transaction.
    pub(crate) fn publish<F: promox_kernel::Fact>(&mut self, fact: &F) -> Result<(), StoreError> {
        self.tx.emit(self.account.user_id, fact)
    }

    /// Collects owed points, determines the tier, and writes the account.
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

    /// Records that something happens at a time, when the account is due at the latest. Spending and revoking may leave
    /// a due time with nothing to do; the next one is determined only then.
    fn falls_due(&mut self, at: Option<Timestamp>) {
        self.account.due_at = self.account.due_at.into_iter().chain(at).min();
    }

    /// The next time when points become available, expire or stop counting.
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
