//! Scans read a range of a table or an index, in either direction, as an iterator of rows or as a page.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::marker::PhantomData;

use bytes::Bytes;
use promox_kernel::encoding::KeyPart;
use promox_kernel::{Cursor, Error, Limit, Page, Warnings};

use crate::record::key_bytes;
use crate::{Direction, Edge, IndexDef, Item, KeyRange, Record, Space, StoreError, Tx};

/// Builds a scan. [`prefix`](Scan::prefix), [`from`](Scan::from) and [`before`](Scan::before) take columns of the key
/// as a value or a tuple.
#[derive(Debug)]
pub struct Scan<'s, 't, R> {
    tx: &'s Tx<'t>,
    indexed: bool,
    range: KeyRange,
    direction: Direction,
    row: PhantomData<R>,
}

impl<'s, 't, R: Record> Scan<'s, 't, R> {
    pub(crate) fn table(tx: &'s Tx<'t>) -> Self {
        Self::new(tx, R::TABLE.space, false)
    }

    pub(crate) fn index(tx: &'s Tx<'t>, index: &IndexDef) -> Self {
        Self::new(tx, index.space, true)
    }

    fn new(tx: &'s Tx<'t>, space: Space, indexed: bool) -> Self {
        Self { tx, indexed, range: KeyRange::all(space), direction: Direction::Forward, row: PhantomData }
    }

    /// Restricts the scan to keys that begin with these columns.
    #[must_use]
    pub fn prefix(mut self, columns: impl KeyPart) -> Self {
        self.range.prefix = key_bytes(&columns);
        self
    }

    /// Restricts the scan to keys in which the text column after the prefix begins with `text`.
    #[must_use]
    pub fn text_prefix(mut self, text: &str) -> Self {
        self.range.text.extend_from_slice(text.as_bytes());
        self
    }

    /// Restricts the scan to keys at or after `columns`, which follow those of the prefix.
    #[must_use]
    pub fn from(mut self, columns: impl KeyPart) -> Self {
        self.range.from = Some(Edge { parts: key_bytes(&columns), after: false });
        self
    }

    /// Restricts the scan to keys before `columns`, which follow those of the prefix.
    #[must_use]
    pub fn before(mut self, columns: impl KeyPart) -> Self {
        self.range.until = Some(key_bytes(&columns));
        self
    }

    /// Scans in descending order.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// Restricts the scan to keys after a cursor, which consists of a space and a key in it. A cursor of another list
    /// is refused, since its key would be an arbitrary position in this one.
    fn after(&mut self, cursor: Option<Cursor>) -> Result<(), Error> {
        let Some(Cursor(bytes)) = cursor else { return Ok(()) };
        let KeyRange { space, prefix, text, .. } = &self.range;
        let key = bytes.strip_prefix(&space.0.to_be_bytes());
        let rest = key.and_then(|key| key.strip_prefix(prefix.as_slice())).filter(|rest| rest.starts_with(text));
        let rest =
            rest.ok_or_else(|| Error::field("?cursor", "must be a cursor of this list; start again without one"))?;
        match self.direction {
            Direction::Forward => {
                let later = self.range.from.as_ref().is_none_or(|from| from.parts.as_slice() <= rest);
                if later {
                    self.range.from = Some(Edge { parts: rest.to_vec(), after: true });
                }
            }
            Direction::Backward => {
                if self.range.until.as_ref().is_none_or(|until| rest < until.as_slice()) {
                    self.range.until = Some(rest.to_vec());
                }
            }
        }
        Ok(())
    }

    /// Returns the rows, which are read lazily.
    pub fn rows(self) -> impl Iterator<Item = Result<R, StoreError>> + use<'s, 't, R> {
        self.rows_with_keys().map(|item| item.map(|(_, row)| row))
    }

    /// Returns the rows, each with its key in the scanned table or index.
    fn rows_with_keys(self) -> impl Iterator<Item = Result<(Vec<u8>, R), StoreError>> + use<'s, 't, R> {
        let Self { tx, indexed, range, direction, .. } = self;
        tx.items(&range, direction).map(move |item| {
            tx.count_read()?;
            let (key, value) = item.map_err(|error| tx.scan_failed(error, &range, direction))?;
            let row = if indexed { resolve(tx, &value)? } else { tx.decode(&key, &value)? };
            Ok((key, row))
        })
    }

    /// Returns the first row, if there is one.
    pub fn first(self) -> Result<Option<R>, StoreError> {
        self.rows().next().transpose()
    }

    /// Returns the first rows, at most `limit`.
    pub fn collect(self, limit: usize) -> Result<Vec<R>, StoreError> {
        self.rows().take(limit).collect()
    }

    /// Returns the first readable rows, at most `limit`. Damaged rows are left out with a warning, so this is for lists
    /// kept in memory and never for decisions.
    pub fn readable(self, limit: usize, warnings: &mut Warnings) -> Result<Vec<R>, StoreError> {
        let mut rows = Vec::new();
        for found in self.rows() {
            match found {
                Err(StoreError::DamagedRow { table, place }) => warnings.left_out(&table, &place),
                found => rows.push(found?),
            }
            if rows.len() >= limit {
                break;
            }
        }
        Ok(rows)
    }

    /// Returns the page after `cursor` of the rows that `keep` accepts. In a read transaction, whose pages are for
    /// display, damaged rows are left out with a warning. In a write transaction a damaged row is an error.
    pub fn page_of(
        mut self,
        limit: Limit,
        cursor: Option<Cursor>,
        keep: impl Fn(&R) -> bool,
    ) -> Result<Page<R>, Error> {
        self.after(cursor)?;
        let (tx, space) = (self.tx, self.range.space.0.to_be_bytes());
        let mut items = Vec::new();
        let mut last = None;
        let mut more = false;
        let mut warnings = Warnings::default();
        for found in self.rows_with_keys() {
            let (key, row) = match found {
                Err(StoreError::DamagedRow { table, place }) if tx.read_only() => {
                    warnings.left_out(&table, &place);
                    continue;
                }
                found => found?,
            };
            if !keep(&row) {
                continue;
            }
            if items.len() == limit.get() {
                more = true;
                break;
            }
            last = Some(Cursor([space.as_slice(), &key].concat()));
            items.push(row);
        }
        Ok(Page { warnings, ..Page::new(items, last.filter(|_| more)) })
    }

    /// Returns the page after `cursor`.
    pub fn page(self, limit: Limit, cursor: Option<Cursor>) -> Result<Page<R>, Error> {
        self.page_of(limit, cursor, |_| true)
    }
}

/// Reads the row that an index entry points to.
fn resolve<R: Record>(tx: &Tx<'_>, key: &[u8]) -> Result<R, StoreError> {
    tx.get_by_bytes(key)?.ok_or_else(|| {
        let table = R::TABLE.full_name();
        let place = format!("an index of {table} points to a missing row, key {key:02x?}");
        tx.break_with(StoreError::DamagedRow { place, table })
    })
}

/// Merges a transaction's own changes with the items below. Both must be in the given direction.
pub(crate) fn merge<'s>(
    below: impl Iterator<Item = Result<Item, StoreError>> + 's,
    own: impl Iterator<Item = (&'s Vec<u8>, &'s Option<Bytes>)> + 's,
    direction: Direction,
) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 's> {
    let mut own = own.peekable();
    if own.peek().is_none() {
        return Box::new(below);
    }
    Box::new(Merge { below: below.peekable(), own, direction })
}

struct Merge<B: Iterator, O: Iterator> {
    below: Peekable<B>,
    own: Peekable<O>,
    direction: Direction,
}

impl<'s, B, O> Iterator for Merge<B, O>
where
    B: Iterator<Item = Result<Item, StoreError>>,
    O: Iterator<Item = (&'s Vec<u8>, &'s Option<Bytes>)>,
{
    type Item = Result<Item, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.below.peek(), self.own.peek()) {
                (Some(Err(_)), _) | (_, None) => return self.below.next(),
                (None, Some(_)) => Ordering::Greater,
                (Some(Ok((below, _))), Some((own, _))) => match self.direction {
                    Direction::Forward => below.cmp(own),
                    Direction::Backward => below.cmp(own).reverse(),
                },
            };
            if order == Ordering::Less {
                return self.below.next();
            }
            if order == Ordering::Equal {
                self.below.next();
            }
            if let Some((key, Some(value))) = self.own.next() {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}
