//! A transaction shaped like a checkout: 5 gets, then 12 rows of 100 to 400 bytes and 6 index entries, in 9 tables.

use promox_storage::{Database, Schema, StoreError, TableDef, Tx, record};

record! {
    /// An order, with three index entries.
    pub(crate) struct Order in Ecommerce.orders = 900, key(id: i64) {
        user: i64,
        number: String,
        status: i64,
        body: Vec<u8>,
    }
    unique OrderByNumber = 901 (number);
    index OrderByUser = 902 (user);
    index OrderByStatus = 903 (status);
}
record! {
    /// A line item.
    pub(crate) struct Line in Ecommerce.lines = 904, key(order: i64, place: u32) {
        body: Vec<u8>,
    }
}
record! {
    /// A payment.
    pub(crate) struct Payment in Ecommerce.payments = 905, key(id: i64) {
        order: i64,
        body: Vec<u8>,
    }
    unique PaymentByOrder = 906 (order);
}
record! {
    /// Stock of a SKU.
    pub(crate) struct Stock in Ecommerce.stocks = 907, key(sku: i64) {
        on_hand: i64,
        body: Vec<u8>,
    }
}
record! {
    /// A stock movement.
    pub(crate) struct Movement in Ecommerce.movements = 908, key(sku: i64, id: i64) {
        body: Vec<u8>,
    }
}
record! {
    /// A saga.
    pub(crate) struct Saga in Ecommerce.sagas = 909, key(order: i64) {
        due: i64,
        body: Vec<u8>,
    }
    index SagaByDue = 910 (due);
}
record! {
    /// A history entry.
    pub(crate) struct Entry in Ecommerce.history = 911, key(order: i64, at: i64) {
        body: Vec<u8>,
    }
}
record! {
    /// An idempotency key.
    pub(crate) struct Key in Ecommerce.keys = 912, key(id: i64) {
        hour: i64,
        body: Vec<u8>,
    }
    index KeyByHour = 913 (hour);
}
record! {
    /// A user.
    pub(crate) struct User in Ecommerce.users = 914, key(id: i64) {
        orders: i64,
        body: Vec<u8>,
    }
}

/// The tables of the benchmark.
pub(crate) const TABLES: &[&TableDef] = &[
    <Order as promox_storage::Record>::TABLE,
    <Line as promox_storage::Record>::TABLE,
    <Payment as promox_storage::Record>::TABLE,
    <Stock as promox_storage::Record>::TABLE,
    <Movement as promox_storage::Record>::TABLE,
    <Saga as promox_storage::Record>::TABLE,
    <Entry as promox_storage::Record>::TABLE,
    <Key as promox_storage::Record>::TABLE,
    <User as promox_storage::Record>::TABLE,
];

/// The schema of these tables and the system tables.
pub(crate) fn schema() -> Result<Schema, String> {
    Schema::new([TABLES])
}

/// The database of the tables.
pub(crate) const DATABASE: Database = Database::Ecommerce;

/// Number of SKUs that orders are spread over.
pub(crate) const SKUS: i64 = 5_000;
/// Number of users that orders are spread over.
pub(crate) const USERS: i64 = 20_000;

fn body(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes]
}

/// Inserts the users and stock that orders read, for the ids `from..until`.
pub(crate) fn seed(tx: &mut Tx<'_>, from: i64, until: i64) -> Result<(), StoreError> {
    for id in from..until {
        if id < SKUS {
            tx.put(&Stock { sku: id, on_hand: 1_000_000, body: body(80) })?;
        }
        tx.put(&User { id, orders: 0, body: body(150) })?;
    }
    Ok(())
}

/// Places order `id`; does nothing when it exists.
pub(crate) fn place(tx: &mut Tx<'_>, id: i64) -> Result<(), StoreError> {
    let (user, first, second) = ((id * 7919) % USERS, (id * 31) % SKUS, (id * 31 + 17) % SKUS);
    let absent = || StoreError::Damaged { place: "the benchmark's rows are missing".to_owned() };
    let mut buyer = tx.get::<User>(&user)?.ok_or_else(absent)?;
    let mut stock = tx.get::<Stock>(&first)?.ok_or_else(absent)?;
    let mut other = tx.get::<Stock>(&second)?.ok_or_else(absent)?;
    if tx.get::<Key>(&id)?.is_some() || tx.get::<Saga>(&id)?.is_some() {
        return Ok(());
    }
    stock.on_hand -= 1;
    other.on_hand -= 1;
    buyer.orders += 1;
    tx.put(&stock)?;
    tx.put(&other)?;
    tx.put(&buyer)?;
    tx.insert(&Order { id, user, number: format!("O-{id:09}"), status: id % 7, body: body(300) })?;
    tx.insert(&Line { order: id, place: 1, body: body(120) })?;
    tx.insert(&Line { order: id, place: 2, body: body(120) })?;
    tx.insert(&Payment { id, order: id, body: body(180) })?;
    tx.insert(&Movement { sku: first, id, body: body(60) })?;
    tx.insert(&Movement { sku: second, id, body: body(60) })?;
    tx.insert(&Saga { order: id, due: id / 100, body: body(200) })?;
    tx.insert(&Entry { order: id, at: 1, body: body(80) })?;
    tx.insert(&Key { id, hour: id / 10_000, body: body(250) })?;
    Ok(())
}
