//! Checks that ranges, keys and rows decoded into column values match their bytes, so that an engine with typed columns
//! behaves like the others.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use promox_kernel::value::Value;
use promox_kernel::{Clock, Cursor, Cx, Entropy, Limit, Node, Sku, Timestamp};
use promox_storage::{
    Database, Engine as _, Index as _, KeyRange, MemoryEngine, Record as _, Stamp, StoreError, Tx, TypedRange,
    decode_row, record,
};

record! {
    /// A label on a thing.
    struct Label in Ecommerce.labels = 910, key(name: String, number: i64) {
        at: Timestamp,
        weight: Option<u32>,
        sku: Sku,
        seal: Vec<u8>,
        flag: bool,
    }
    index LabelByWeight = 911 (weight, at);
    unique LabelBySku = 912 (sku);
    index LabelBySeal = 913 (flag, seal);
    index LabelByTime = 914 (at, weight);
}

fn labels() -> Vec<Label> {
    let names = ["", "a", "ab", "abc", "b", "é", "ÿ", "😀"];
    let label = |(name, number): (&&str, i64)| Label {
        name: (*name).to_owned(),
        number: (number - 3) * 1_000_000_007,
        at: Timestamp((number % 5 - 2) * 1_000_000),
        weight: (number % 3 != 0).then(|| u32::try_from(number).unwrap() << 7),
        sku: format!("SKU-Ä{number}").parse().unwrap(),
        seal: vec![0, u8::try_from(number).unwrap(), 0, 0xFF],
        flag: number % 2 == 0,
    };
    names.iter().zip(0..).map(label).collect()
}

async fn store() -> Arc<MemoryEngine> {
    let engine = MemoryEngine::new();
    let node = Node::new(Clock::manual(Timestamp::EPOCH), Entropy::seeded(1));
    let fill = |tx: &mut Tx<'_>| labels().iter().try_for_each(|row| tx.insert(row));
    let written: Result<(), StoreError> =
        engine.database(Database::Ecommerce).write(&Cx::system(&node, "test", Duration::from_secs(9)), fill).await;
    written.unwrap();
    engine
}

/// Compares values as PostgreSQL does with the collation "C" and nulls first.
fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Boolean(one), Value::Boolean(other)) => one.cmp(other),
        (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
        (Value::Time(one), Value::Time(other)) => one.cmp(other),
        (Value::Text(one), Value::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
        (Value::Bytes(one), Value::Bytes(other)) => one.cmp(other),
        (one, other) => panic!("{one:?} and {other:?} have different types"),
    }
}

/// Compares leading columns with the same number of values.
fn compare_all(columns: &[Value], values: &[Value]) -> Ordering {
    let differs = columns.iter().zip(values).map(|(one, other)| compare(one, other)).find(|order| order.is_ne());
    differs.unwrap_or(Ordering::Equal)
}

/// Whether a range contains a key.
fn contains(range: &TypedRange, key: &[Value]) -> bool {
    let (prefix, rest) = key.split_at(range.prefix.len());
    let starts_with = |text: &String| matches!(&rest[0], Value::Text(whole) if whole.starts_with(text));
    prefix == range.prefix
        && range.text.as_ref().is_none_or(starts_with)
        && range.from.as_ref().is_none_or(|(from, after)| {
            let order = compare_all(rest, from);
            if *after { order.is_gt() } else { order.is_ge() }
        })
        && range.until.as_ref().is_none_or(|until| compare_all(rest, until).is_lt())
}

#[tokio::test]
async fn typed_ranges_contain_the_same_keys_as_their_bytes() {
    type Scans = fn(&Tx<'_>) -> Result<usize, StoreError>;
    let scans: [Scans; 15] = [
        |tx| Ok(tx.scan::<Label>().rows().count()),
        |tx| Ok(tx.scan::<Label>().prefix("ab").rows().count()),
        |tx| Ok(tx.scan::<Label>().text_prefix("a").rows().count()),
        |tx| Ok(tx.scan::<Label>().text_prefix("ÿ").rows().count()),
        |tx| Ok(tx.scan::<Label>().from("ab").before("é").rows().count()),
        |tx| Ok(tx.scan::<Label>().from(("ab", 0_i64)).rows().count()),
        |tx| Ok(tx.scan::<Label>().prefix("abc").before(0_i64).backward().rows().count()),
        |tx| Ok(tx.scan_by::<LabelByWeight>().rows().count()),
        |tx| Ok(tx.scan_by::<LabelByWeight>().prefix(Some(128_u32)).from(Timestamp(-1_000_000)).rows().count()),
        |tx| Ok(tx.scan_by::<LabelByWeight>().from(Some(255_u32)).before(Some(512_u32)).rows().count()),
        |tx| Ok(tx.scan_by::<LabelBySku>().text_prefix("sku-ä").rows().count()),
        |tx| Ok(tx.scan_by::<LabelBySku>().from("SKU-Ä4".parse::<Sku>().unwrap()).rows().count()),
        |tx| Ok(tx.scan_by::<LabelBySeal>().prefix(true).from(vec![0_u8, 2]).rows().count()),
        |tx| Ok(tx.scan_by::<LabelByTime>().prefix(Timestamp(0)).before(Some(1_u32)).rows().count()),
        |tx| Ok(tx.scan_by::<LabelByTime>().before(Timestamp(i64::MAX)).from(Timestamp(i64::MIN)).rows().count()),
    ];
    let engine = store().await;
    let snapshot = engine.snapshot(Database::Ecommerce);
    for (at, scan) in scans.into_iter().enumerate() {
        let tx = Tx::new(&*snapshot, Database::Ecommerce, Stamp::default()).logging();
        let count = scan(&tx).unwrap();
        let read = tx.finish().unwrap().reads.scans.remove(0);
        let typed = Label::TABLE.typed_range(&read.range).unwrap();
        let all = snapshot.scan(&KeyRange::all(read.range.space), read.direction).map(|item| item.unwrap().0);
        let values = |key: &Vec<u8>| Label::TABLE.key_values(read.range.space, key).unwrap();
        let found: Vec<Vec<u8>> = all.filter(|key| contains(&typed, &values(key))).collect();
        assert_eq!(found, read.found.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), "scan {at}");
        assert!(found.len() == count && read.whole, "scan {at}");
        assert!(found.is_sorted_by(|one, other| {
            let order = compare_all(&values(one), &values(other));
            if read.direction == promox_storage::Direction::Forward { order.is_lt() } else { order.is_gt() }
        }));
    }
}

/// A page continues after the typed values of its cursor.
#[tokio::test]
async fn a_cursor_can_be_decoded_into_values() {
    let engine = store().await;
    let db = engine.database(Database::Ecommerce);
    let limit: Limit = serde_json::from_str("3").unwrap();
    let page = db.read(|tx| tx.scan_by::<LabelByTime>().page(limit, None::<Cursor>)).await.unwrap();
    let snapshot = engine.snapshot(Database::Ecommerce);
    let tx = Tx::new(&*snapshot, Database::Ecommerce, Stamp::default()).logging();
    let next = tx.scan_by::<LabelByTime>().page(limit, page.next_cursor).unwrap();
    let range = &tx.finish().unwrap().reads.scans[0].range;
    let typed = Label::TABLE.typed_range(range).unwrap();
    let last = page.items.last().unwrap();
    let weight = last.weight.map_or(Value::Null, |weight| Value::Integer(weight.into()));
    let key = vec![Value::Time(last.at), weight, Value::Text(last.name.clone()), Value::Integer(last.number)];
    assert_eq!(typed.from, Some((key, true)));
    assert_eq!(typed.columns.iter().map(|column| column.name).collect::<Vec<_>>(), ["at", "weight", "name", "number"]);
    assert!(next.items.iter().all(|row| !page.items.contains(row)));
}

/// Rows can be decoded into values and encoded again. Keys have the folded form of folded columns.
#[tokio::test]
async fn rows_and_values_convert_into_each_other() {
    let engine = store().await;
    let snapshot = engine.snapshot(Database::Ecommerce);
    for row in labels() {
        let stored = snapshot.get(Label::TABLE.space, &row.key_bytes()).unwrap().unwrap();
        let columns = decode_row(Label::TABLE.space, &row.key_bytes(), &stored).unwrap();
        let values = Label::TABLE.row_values(columns).unwrap();
        assert_eq!(values[4], Value::Text(row.sku.as_str().to_owned()));
        assert_eq!(Label::TABLE.row_columns(&values).unwrap(), columns);
        let mut entry = Vec::new();
        row.entries(&mut |index, key| {
            if index.space == LabelBySku::DEF.space {
                entry = key;
            }
        });
        let fold = Label::TABLE.column("sku").unwrap().fold.unwrap();
        let folded = vec![Value::Text(fold(row.sku.as_str()))];
        assert_eq!(Label::TABLE.key_values(LabelBySku::DEF.space, &entry), Some(folded));
    }
}
