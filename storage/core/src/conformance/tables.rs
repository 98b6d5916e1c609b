//! The tables of the conformance suite.

use promox_kernel::{Json, Timestamp};
use rust_decimal::Decimal;

use crate::{HoldState, Record, TableDef, record};

record! {
    /// A shelf in a library.
    pub(super) struct Shelf in Ecommerce.conformance_shelves = 65_000, key(id: i64) {
        /// The aisle in which it stands.
        aisle: String,
        /// The employee in charge of it; some cases use it as a counter.
        keeper: Option<i64>,
        /// Its inventory mark, if it has one.
        mark: Option<String>,
    }
    unique ShelfByAisle = 65_001 (aisle);
    unique ShelfByMark = 65_002 (mark);
    index ShelfByKeeper = 65_003 (keeper);
}

record! {
    /// A book on a shelf.
    pub(super) struct Book in Ecommerce.conformance_books = 65_004, key(shelf: i64, place: u32) {
        /// Its title.
        title: String,
    }
    index BookByTitle = 65_005 (title);
}

record! {
    /// A row with every type of column.
    pub(super) struct Sample in Ecommerce.conformance_samples = 65_006, key(name: String) {
        /// A number.
        number: i64,
        /// A decimal.
        amount: Decimal,
        /// A time.
        at: Timestamp,
        /// Bytes.
        bytes: Vec<u8>,
        /// Optional text.
        note: Option<String>,
        /// A document.
        document: Json<Vec<String>>,
    }
    index SampleByNumber = 65_007 (number);
    index SampleByTime = 65_008 (at);
}

record! {
    /// A row of the other database.
    pub(super) struct Badge in Promox.conformance_badges = 65_009, key(id: i64) {
        /// Its text.
        text: String,
    }
}

record! {
    /// A row of a hold.
    pub(super) struct Pledge in Ecommerce.conformance_pledges = 65_010, key(reference: i64, part: u32) {
        /// The state of the hold.
        state: HoldState,
        /// The time of the last step.
        changed_at: Option<Timestamp>,
    }
}

record! {
    /// A step that a row of a hold took.
    pub(super) struct Effect in Ecommerce.conformance_effects = 65_011, key(reference: i64, part: u32, step: String) {}
}

/// The tables of the conformance suite, which the schema of an engine under test must contain.
pub const TABLES: &[&TableDef] =
    &[Shelf::TABLE, Book::TABLE, Sample::TABLE, Badge::TABLE, Pledge::TABLE, Effect::TABLE];
