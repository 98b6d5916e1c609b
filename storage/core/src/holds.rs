//! Holds: something scarce is taken for an order, and used up or released once the order is decided.
//!
//! A hold is identified by its kind and a reference, usually an order. It is posted when the order is confirmed,
//! released when it fails, or expired after its time; a posted hold can be reversed. This protocol is the same for
//! stock, budgets, points and uses, and is implemented here only. The service decides which rows represent a hold, with
//! which lines and amounts, and what each step does to them.

use std::fmt::Display;
use std::str::FromStr;

use promox_kernel::{Error, Timestamp, text_enum};

use crate::system::Tombstone;
use crate::{Record, Report, StoreError, Tx};

text_enum! {
    /// The state of a hold.
    HoldState {
        /// Taken, but not decided.
        Held = "HELD",
        /// Used up.
        Posted = "POSTED",
        /// Returned before it was used up.
        Released = "RELEASED",
        /// Returned because its time was up.
        Expired = "EXPIRED",
        /// Returned after it was used up.
        Reversed = "REVERSED",
    }
}

/// A step of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStep {
    /// The held amount is used up.
    Post,
    /// The held amount is returned.
    Release,
    /// The held amount is returned because its time is up.
    Expire,
    /// The used amount is returned.
    Reverse,
}

impl HoldState {
    /// Whether it counts: held or posted.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Held | Self::Posted)
    }

    /// The state after a step; `None` if the step is not possible.
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

/// The state of a hold before it is taken.
#[derive(Debug)]
pub enum Begin<H> {
    /// None: it can be taken.
    New,
    /// It was taken before; its rows, at least one.
    Already(Vec<H>),
    /// It has ended, or was released before it began: it cannot be taken again.
    Ended(HoldState),
}

/// A row of a hold. A hold has one row, or several, such as one per campaign.
///
/// The methods are the whole protocol. Each runs within a transaction and can be repeated: a step takes effect once.
/// `effect` applies a step to the service's amounts; it is called before the row is written, and may change it.
pub trait Hold: Record {
    /// The kind of hold, unique among the tables of a database.
    const KIND: &'static str;
    /// The type of a hold's reference.
    type Reference: Display + FromStr;

    /// The rows of a hold, active or ended.
    fn of(tx: &Tx<'_>, reference: &Self::Reference) -> Result<Vec<Self>, StoreError>;
    /// The state of the row.
    fn state(&self) -> HoldState;
    /// Sets the state of the row.
    fn set_state(&mut self, state: HoldState, at: Timestamp);

    /// The state of a hold that is about to be taken.
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

    /// Takes a step with one row, if its state allows it.
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

    /// Posts a hold. Does nothing if it does not exist, was posted before or has ended.
    fn post(
        tx: &mut Tx<'_>,
        reference: &Self::Reference,
        mut effect: impl FnMut(&mut Tx<'_>, &mut Self, HoldStep) -> Result<(), Error>,
    ) -> Result<(), Error> {
        Self::of(tx, reference)?.into_iter().try_for_each(|row| row.advance(tx, HoldStep::Post, &mut effect).map(drop))
    }

    /// Ends a hold: a held one is released, a posted one reversed. If there is none, leaves a tombstone, so that a late
    /// hold is refused.
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

    /// Checks that no hold that was released before it began was taken later.
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

/// Leaves a tombstone, so that a late hold is refused.
fn refuse_late<H: Hold>(tx: &mut Tx<'_>, reference: &H::Reference) -> Result<(), StoreError> {
    let key = tombstone_key::<H>(tx, reference);
    if tx.get::<Tombstone>(&key)?.is_some() {
        return Ok(());
    }
    let ((database, kind, reference), at) = (key, tx.now());
    tx.insert(&Tombstone { database, kind, reference, at })
}
