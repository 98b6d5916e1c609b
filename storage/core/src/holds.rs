//! Holds: a party takes something scarce, and keeps it or gives it back once that is decided.
//!
//! A hold is known by its kind and a reference, for most the order that it is for. It is held, then posted when the order is
//! confirmed, released when it is not to be, or expired when its time is up; what was posted can be reversed. All of that is
//! the same for stock, budgets, points or uses, and stands here once. Which rows keep a hold, with which lines and amounts,
//! and what a step means for them, is its service's.

use std::fmt::Display;
use std::str::FromStr;

use promox_kernel::{Error, Timestamp, text_enum};

use crate::system::Tombstone;
use crate::{Record, Report, StoreError, Tx};

text_enum! {
    /// Where a hold stands.
    HoldState {
        /// Taken; nothing is decided yet.
        Held = "HELD",
        /// Used up.
        Posted = "POSTED",
        /// Given back before it was used up.
        Released = "RELEASED",
        /// Given back because its time was up.
        Expired = "EXPIRED",
        /// Given back after it was used up.
        Reversed = "REVERSED",
    }
}

/// What happens to a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStep {
    /// What is held is used up.
    Post,
    /// What is held is given back.
    Release,
    /// What is held is given back because its time is up.
    Expire,
    /// What was used up is given back.
    Reverse,
}

impl HoldState {
    /// Whether it counts: held or used up.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Held | Self::Posted)
    }

    /// Where a step leads; `None` when it is not to be taken from here.
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

/// What there is of a hold before it is taken.
#[derive(Debug)]
pub enum Begin<H> {
    /// Nothing: it can be taken.
    New,
    /// It was taken before; its rows, at least one.
    Already(Vec<H>),
    /// It ended, or was released before it began: it is not taken again.
    Ended(HoldState),
}

/// A row of a hold. A hold has one, or as many as its service likes, such as one a campaign.
///
/// The methods are the whole protocol. Each runs within a transaction and may be repeated: a step that was taken is not taken
/// twice. `effect` is what a step means for the service's amounts; it is called before the row is written, and may change it.
pub trait Hold: Record {
    /// The kind of hold: no other table of the database has it.
    const KIND: &'static str;
    /// What the holds of this kind are known by.
    type Reference: Display + FromStr;

    /// The rows of a hold, live or ended.
    fn of(tx: &Tx<'_>, reference: &Self::Reference) -> Result<Vec<Self>, StoreError>;
    /// Where the row stands.
    fn state(&self) -> HoldState;
    /// Notes where the row stands from now on.
    fn set_state(&mut self, state: HoldState, at: Timestamp);

    /// What there is of a hold that is about to be taken.
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

    /// Takes a step with one row, if it is to be taken from where the row stands.
    fn advance(
        mut self,
        tx: &mut Tx<'_>,
        step: HoldStep,
        effect: impl FnOnce(&mut Tx<'_>, &mut Self, HoldStep) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        if let Some(next) = self.state().after(step) {
            effect(tx, &mut self, step)?;
            self.set_state(next, tx.now());
            tx.put(&self)?;
        }
        Ok(self)
    }

    /// Posts a hold. Nothing happens to one that is not there, was posted before or has ended.
    fn post(
        tx: &mut Tx<'_>,
        reference: &Self::Reference,
        mut effect: impl FnMut(&mut Tx<'_>, &mut Self, HoldStep) -> Result<(), Error>,
    ) -> Result<(), Error> {
        Self::of(tx, reference)?.into_iter().try_for_each(|row| row.advance(tx, HoldStep::Post, &mut effect).map(drop))
    }

    /// Ends a hold: what is held is released, what was posted is reversed. Of one that is not there it is noted, so that it is
    /// refused when it comes late.
    fn release(
        tx: &mut Tx<'_>,
        reference: &Self::Reference,
        mut effect: impl FnMut(&mut Tx<'_>, &mut Self, HoldStep) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let rows = Self::of(tx, reference)?;
        if rows.is_empty() {
            return Ok(refuse_late::<Self>(tx, reference)?);
        }
        for row in rows {
            let step = if row.state() == HoldState::Posted { HoldStep::Reverse } else { HoldStep::Release };
            row.advance(tx, step, &mut effect)?;
        }
        Ok(())
    }

    /// Checks that what was released before it began was not taken later.
    fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        for tombstone in tx.scan::<Tombstone>().prefix((tx.database().number(), Self::KIND)).rows() {
            let tombstone = tombstone?;
            let reference = tombstone.reference.parse::<Self::Reference>().ok();
            let never =
                reference.map_or(Ok(false), |reference| Self::of(tx, &reference).map(|rows| rows.is_empty()))?;
            report.check("holds: what was released before it began is not taken later", never, || {
                format!("{} {}", Self::KIND, tombstone.reference)
            });
        }
        Ok(())
    }
}

fn tombstone_key<H: Hold>(tx: &Tx<'_>, reference: &H::Reference) -> (u32, String, String) {
    (tx.database().number(), H::KIND.to_owned(), reference.to_string())
}

/// Notes that a hold is not to be taken any more.
fn refuse_late<H: Hold>(tx: &mut Tx<'_>, reference: &H::Reference) -> Result<(), StoreError> {
    let key = tombstone_key::<H>(tx, reference);
    if tx.get::<Tombstone>(&key)?.is_some() {
        return Ok(());
    }
    let ((database, kind, reference), at) = (key, tx.now());
    tx.insert(&Tombstone { database, kind, reference, at })
}
