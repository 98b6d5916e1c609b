//! The cursor of a list of products: the position of a page's last item in the order, which stays valid when products
//! are added or removed around it.

use std::cmp::Ordering;

use promox_contract::ids::ProductId;
use promox_kernel::{Amount, Cursor, Error, Timestamp};

use super::projection::Entry;
use crate::api::Sort;

/// The position of an item in an order: its sort key and its id.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Position {
    key: Key,
    id: ProductId,
}

#[derive(Clone, Debug, PartialEq)]
enum Key {
    Name(String),
    Price(Amount),
    PriceDescending(Amount),
    Created(Timestamp),
    Score(u32),
}

impl Position {
    /// The position of `entry` in the order `sort`. `score` is its relevance.
    pub(super) fn of(sort: Sort, entry: &Entry, score: Option<u32>) -> Self {
        let key = match sort {
            Sort::Name => Key::Name(entry.name.clone().into()),
            Sort::Price => Key::Price(entry.price),
            Sort::PriceDescending => Key::PriceDescending(entry.price),
            Sort::Newest => Key::Created(entry.created_at),
            Sort::Relevance => Key::Score(score.unwrap_or_default()),
        };
        Self { key, id: entry.id }
    }

    /// Whether an item is at this position or before it.
    pub(super) fn covers(&self, entry: &Entry, score: Option<u32>) -> bool {
        let by_id = entry.id.cmp(&self.id);
        let order = match &self.key {
            Key::Name(name) => (*entry.name).cmp(name.as_str()).then(by_id),
            Key::Price(price) => entry.price.cmp(price).then(by_id),
            Key::PriceDescending(price) => price.cmp(&entry.price).then(by_id.reverse()),
            Key::Created(at) => at.cmp(&entry.created_at).then(by_id.reverse()),
            Key::Score(other) => other.cmp(&score.unwrap_or_default()).then(by_id),
        };
        order != Ordering::Greater
    }

    pub(super) fn to_cursor(&self) -> Cursor {
        let (tag, key) = match &self.key {
            Key::Name(name) => (b'n', name.clone().into_bytes()),
            Key::Price(price) => (b'p', price.to_string().into_bytes()),
            Key::PriceDescending(price) => (b'd', price.to_string().into_bytes()),
            Key::Created(at) => (b'a', at.0.to_be_bytes().to_vec()),
            Key::Score(score) => (b's', score.to_be_bytes().to_vec()),
        };
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&self.id.0.to_be_bytes());
        bytes.extend_from_slice(&key);
        Cursor(bytes)
    }

    /// Parses a cursor of a list in the order `sort` and refuses any other one.
    pub(super) fn from_cursor(cursor: &Cursor, sort: Sort) -> Result<Self, Error> {
        let position = Self::parse(&cursor.0).filter(|position| position.sort() == sort);
        position.ok_or_else(|| Error::field("?cursor", "must be a cursor of this list; start again without one"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (id, key) = rest.split_first_chunk()?;
        let text = || String::from_utf8(key.to_vec()).ok();
        let key = match tag {
            b'n' => Key::Name(text()?),
            b'p' => Key::Price(text()?.parse().ok()?),
            b'd' => Key::PriceDescending(text()?.parse().ok()?),
            b'a' => Key::Created(Timestamp(i64::from_be_bytes(key.try_into().ok()?))),
            b's' => Key::Score(u32::from_be_bytes(key.try_into().ok()?)),
            _ => return None,
        };
        Some(Self { key, id: ProductId(i64::from_be_bytes(*id)) })
    }

    fn sort(&self) -> Sort {
        match self.key {
            Key::Name(_) => Sort::Name,
            Key::Price(_) => Sort::Price,
            Key::PriceDescending(_) => Sort::PriceDescending,
            Key::Created(_) => Sort::Newest,
            Key::Score(_) => Sort::Relevance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_malformed_ones_are_refused() {
        let id = ProductId(7);
        for key in [Key::Name("ä".into()), Key::Price(Amount::ZERO), Key::Created(Timestamp(5)), Key::Score(15)] {
            let position = Position { key, id };
            assert_eq!(Position::from_cursor(&position.to_cursor(), position.sort()).unwrap(), position);
        }
        for bytes in [&b""[..], b"n", b"x12345678", b"p12345678abc", b"s12345678abc", b"a12345678"] {
            assert!(Position::parse(bytes).is_none(), "{bytes:?}");
        }
        let other_order = Position { key: Key::Created(Timestamp(5)), id }.to_cursor();
        assert!(Position::from_cursor(&other_order, Sort::Name).is_err());
    }
}
