//! Tables are declared once, with [`record!`], which generates the struct, its encoding, its columns and its index
//! entries.

use crate::{IndexDef, StoreError, TableDef};

use promox_kernel::encoding::KeyPart;

/// A row of a table. Implemented by [`record!`](crate::record).
pub trait Record: Sized + Send + 'static {
    /// The definition of the table.
    const TABLE: &'static TableDef;
    /// The type of the key: the type of its column, or a tuple of the types of its columns.
    type Key: KeyPart;

    /// Returns the row's key.
    fn key(&self) -> Self::Key;
    /// Appends the encoded columns to `out`.
    fn put_columns(&self, out: &mut Vec<u8>);
    /// Decodes the columns. Columns that an older row lacks are null or have their default. Returns `None` if the bytes
    /// do not decode.
    fn take_columns(columns: &[u8]) -> Option<Self>;
    /// Calls `visit` for each index that contains the row, with the key of the row's entry.
    fn entries(&self, visit: &mut dyn FnMut(&'static IndexDef, Vec<u8>));

    /// Returns the row's encoded key.
    fn key_bytes(&self) -> Vec<u8> {
        key_bytes(&self.key())
    }
}

/// Encodes a key.
pub(crate) fn key_bytes(key: &impl KeyPart) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24);
    key.put_key(&mut bytes);
    bytes
}

/// Decodes a row that was found under `key`.
pub(crate) fn decode<R: Record>(key: &[u8], row: &[u8]) -> Result<R, StoreError> {
    let damaged = |why: &str| {
        let table = R::TABLE.full_name();
        StoreError::DamagedRow { place: format!("a row of {table} {why}, key {key:02x?}"), table }
    };
    let columns = crate::decode_row(R::TABLE.space, key, row).map_err(|_| damaged("fails its checksum"))?;
    R::take_columns(columns).ok_or_else(|| damaged("does not decode"))
}

/// An index of a table. Implemented by [`record!`](crate::record).
pub trait Index: 'static {
    /// The rows that the index points to.
    type Row: Record;
    /// The definition of the index.
    const DEF: &'static IndexDef;
}

/// Declares a table.
///
/// ```
/// use promox_storage::record;
/// record! {
///     /// A shelf.
///     pub(crate) struct Shelf in Ecommerce.shelves = 900, key(id: i64) {
///         /// The aisle in which the shelf stands.
///         aisle: String,
///         /// The employee in charge of it.
///         keeper: Option<i64>,
///     }
///     unique ShelfByAisle = 901 (aisle);
///     index ShelfByKeeper = 902 (keeper);
/// }
/// ```
///
/// Numbers are assigned once and never reused. Columns are append-only: a new one is an `Option`, or defines
/// [`Column::absent`](promox_kernel::encoding::Column::absent).
#[macro_export]
macro_rules! record {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident in $database:ident.$table:ident = $space:literal, key($($key:ident: $key_type:ty),+ $(,)?) {
            $($(#[$field_meta:meta])* $field:ident: $field_type:ty),* $(,)?
        }
        $($kind:ident $index:ident = $index_space:literal ($($column:ident),+ $(,)?);)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $(#[doc = "Part of the key."] $vis $key: $key_type,)+
            $($(#[$field_meta])* $vis $field: $field_type,)*
        }

        impl $crate::Record for $name {
            const TABLE: &'static $crate::TableDef = &$crate::TableDef {
                database: $crate::Database::$database,
                name: stringify!($table),
                space: $crate::Space($space),
                key: &[$(stringify!($key)),+],
                columns: &[
                    $($crate::record!(@column $key, $key_type),)+
                    $($crate::record!(@column $field, $field_type),)*
                ],
                indexes: &[$($crate::IndexDef {
                    name: stringify!($index),
                    space: $crate::Space($index_space),
                    unique: $crate::record!(@unique $kind),
                    columns: &[$(stringify!($column)),+],
                }),*],
                entries: |columns| {
                    let row = <Self as $crate::Record>::take_columns(columns)?;
                    let mut entries = Vec::new();
                    $crate::Record::entries(&row, &mut |index, key| entries.push((index.space, key)));
                    Some(($crate::Record::key_bytes(&row), entries))
                },
                complete: |columns| {
                    let row = <Self as $crate::Record>::take_columns(columns)?;
                    let mut complete = Vec::with_capacity(columns.len());
                    $crate::Record::put_columns(&row, &mut complete);
                    Some(complete)
                },
            };
            #[allow(unused_parens, reason = "one column or a tuple")]
            type Key = ($($key_type),+);

            fn key(&self) -> Self::Key {
                ($(self.$key.clone()),+)
            }
            fn put_columns(&self, out: &mut Vec<u8>) {
                $($crate::macros::Column::put(&self.$key, out);)+
                $($crate::macros::Column::put(&self.$field, out);)*
            }
            #[allow(unused_mut, unused_variables)]
            fn take_columns(mut columns: &[u8]) -> Option<Self> {
                Some(Self {
                    $($key: $crate::macros::Column::take(&mut columns)?,)+
                    $($field: if columns.is_empty() {
                        $crate::macros::Column::absent()?
                    } else {
                        $crate::macros::Column::take(&mut columns)?
                    },)*
                })
            }
            #[allow(unused_variables)]
            fn entries(&self, visit: &mut dyn FnMut(&'static $crate::IndexDef, Vec<u8>)) {
                $({
                    let columns = ($(&self.$column,)+);
                    if !$crate::macros::KeyPart::is_null(columns.0) {
                        let mut key = Vec::with_capacity(32);
                        $crate::macros::KeyPart::put_key(&columns, &mut key);
                        if !<$index as $crate::Index>::DEF.unique {
                            $crate::macros::KeyPart::put_key(&$crate::Record::key(self), &mut key);
                        }
                        visit(<$index as $crate::Index>::DEF, key);
                    }
                })*
            }
        }

        $crate::record!(@indexes $vis $name 0usize; $($index)*);
    };
    (@column $name:ident, $type:ty) => {
        $crate::ColumnDef {
            name: stringify!($name),
            column_type: <$type as $crate::macros::Column>::TYPE,
            nullable: <$type as $crate::macros::Column>::NULLABLE,
            fold: <$type as $crate::macros::Column>::FOLD,
        }
    };
    (@unique unique) => { true };
    (@unique index) => { false };
    (@indexes $vis:vis $name:ident $at:expr;) => {};
    (@indexes $vis:vis $name:ident $at:expr; $index:ident $($rest:ident)*) => {
        #[doc = concat!("An index of [`", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug)]
        $vis struct $index;
        impl $crate::Index for $index {
            type Row = $name;
            const DEF: &'static $crate::IndexDef = match <$name as $crate::Record>::TABLE.indexes.split_at($at).1.split_first() {
                Some((index, _)) => index,
                None => unreachable!(),
            };
        }
        $crate::record!(@indexes $vis $name $at + 1; $($rest)*);
    };
}
