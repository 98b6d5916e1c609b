//! Holds reserve something scarce for an order, until the order is confirmed or fails.
//!
//! A hold is identified by its kind and a reference, usually an order. It is posted when the order is confirmed,
//! released when the order fails, and expires if neither happens in time. A posted hold can be reversed. This protocol
//! is implemented here once, for stock, budgets, points and uses. Each service decides which rows represent a hold,
//! with which lines and amounts, and what each step does to them.

use std::fmt::Display;
use std::str::FromStr;

use promox_kernel::{Error, Timestamp, text_enum};

use crate::system::Tombstone;
use crate::{Before, Record, Report, StoreError, Tx};

text_enum! {
    /// The state of a hold.
    HoldState {
        /// Reserved, but not decided yet.
        Held = "HELD",
        /// Used.
        Posted = "POSTED",
        /// Given up before it was used.
        Released = "RELEASED",
        /// Given up because its time was over.
        Expired = "EXPIRED",
        /// Given up after it was used.
        Reversed = "REVERSED",
    }
}

/// A step of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStep {
    /// The held amount is used.
    Post,
    /// The held amount becomes available again.
    Release,
    /// The held amount becomes available again, because the hold's time is over.
    Expire,
    /// The used amount becomes available again.
    Reverse,
}

impl HoldState {
    /// Whether the hold is held or posted.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Held | Self::Posted)
    }

    /// Returns the state after a step, or `None` if the step is not possible.
    pub const fn after(self, step: HoldStep) -> Option<Self> {
        match (self, step) {
            (Self::Held, HoldStep::Post) => Some(Self::Posted),
            (Self::Held, HoldStep::Release) => Some(Self::Released),
            (Self::Held, HoldStep::Expire) => Some(Self::Expired),
            (Self::Posted, HoldStep::Reverse) => Some(Self::Reversed),
            _ => None,
        }
    }
}

/// Whether a hold can be taken.
#[derive(Debug)]
pub enum Begin<H> {
    /// It does not exist yet and can be taken.
    New,
    /// It was already taken. These are its rows, at least one.
    Already(Vec<H>),
    /// It has ended, or was released before it was taken. It cannot be taken any more.
    Ended(HoldState),
}

/// A row of a hold. A hold has one or more rows, such as one per campaign.
///
/// The methods implement the whole protocol. Each runs within a transaction and is idempotent: a repeated step has no
/// further effect. The `effect` closures apply a step to the service's amounts. They are called before the row is
/// written, and may change it.
pub trait Hold: Record {
    /// The kind of hold, which is unique in its database.
    const KIND: &'static str;
    /// The type of a hold's reference.
    type Reference: Display + FromStr;

    /// Returns the rows of a hold, whether it is live or has ended.
    fn of(tx: &Tx<'_>, reference: &Self::Reference) -> Result<Vec<Self>, StoreError>;
    /// The state of the row.
    fn state(&self) -> HoldState;
    /// Sets the state of the row.
    fn set_state(&mut self, state: HoldState, at: Timestamp);

    /// Returns whether a hold can be taken. If it can, the service inserts its rows.
    fn begin(tx: &Tx<'_>, reference: &Self::Reference) -> Result<Begin<Self>, StoreError> {
        let rows = Self::of(tx, reference)?;
        if let Some(ended) = rows.iter().map(Self::state).find(|state| !state.is_live()) {
            return Ok(Begin::Ended(ended));
        }
        if !rows.is_empty() {
            return Ok(Begin::Already(rows));
        }
        let released = tx.get::<Tombstone>(&tombstone_key::<Self>(tx, reference))?.is_some();
        Ok(if released { Begin::Ended(HoldState::Released) } else { Begin::New })
    }

    /// Applies a step to one row, if its state allows it. Returns the row.
    fn advance(
        mut self,
        tx: &mut Tx<'_>,
        step: HoldStep,
        effect: impl FnOnce(&mut Tx<'_>, &mut Self, HoldStep) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        if let Some(next) = self.state().after(step) {
            let before = Before::of(&self);
            effect(tx, &mut self, step)?;
            self.set_state(next, tx.now());
            tx.put_changed(&before, &self)?;
        }
        Ok(self)
    }

    /// Posts a hold. Does nothing if the hold does not exist, is already posted or has ended.
    fn post(
        tx: &mut Tx<'_>,
        reference: &Self::Reference,
        mut effect: impl FnMut(&mut Tx<'_>, &mut Self, HoldStep) -> Result<(), Error>,
    ) -> Result<(), Error> {
        Self::of(tx, reference)?.into_iter().try_for_each(|row| row.advance(tx, HoldStep::Post, &mut effect).map(drop))
    }

    /// Ends a hold: releases it if it is held, reverses it if it is posted. If it does not exist, leaves a tombstone,
    /// so that taking it later is refused.
    fn release(
        tx: &mut Tx<'_>,
        reference: &Self::Reference,
        mut effect: impl FnMut(&mut Tx<'_>, &mut Self, HoldStep) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let rows = Self::of(tx, reference)?;
        if rows.is_empty() {
            return Ok(insert_tombstone::<Self>(tx, reference)?);
        }
        for row in rows {
            let step = if row.state() == HoldState::Posted { HoldStep::Reverse } else { HoldStep::Release };
            row.advance(tx, step, &mut effect)?;
        }
        Ok(())
    }

    /// Checks that no hold was taken after it had been released.
    fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        for tombstone in tx.scan::<Tombstone>().prefix((tx.database().number(), Self::KIND)).rows() {
            let tombstone = tombstone?;
            let reference = tombstone.reference.parse::<Self::Reference>().ok();
            let not_taken =
                reference.map_or(Ok(false), |reference| Self::of(tx, &reference).map(|rows| rows.is_empty()))?;
            report.check("holds: a hold that was released before it began is not taken later", not_taken, || {
                format!("{} {}", Self::KIND, tombstone.reference)
            });
        }
        Ok(())
    }
}

fn tombstone_key<H: Hold>(tx: &Tx<'_>, reference: &H::Reference) -> (u32, String, String) {
    (tx.database().number(), H::KIND.to_owned(), reference.to_string())
}

/// Inserts the tombstone of a hold, unless it exists already.
fn insert_tombstone<H: Hold>(tx: &mut Tx<'_>, reference: &H::Reference) -> Result<(), StoreError> {
    let key = tombstone_key::<H>(tx, reference);
    if tx.get::<Tombstone>(&key)?.is_some() {
        return Ok(());
    }
    let ((database, kind, reference), at) = (key, tx.now());
    tx.insert(&Tombstone { database, kind, reference, at })
}
