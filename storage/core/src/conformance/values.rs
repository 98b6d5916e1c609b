//! Cases of values: they are read as they were written, and sort in the same order on every engine.

use promox_kernel::{Json, Timestamp};
use rust_decimal::Decimal;

use super::tables::{BookByTitle, Sample, SampleByNumber, SampleByTime};
use super::{Store, tables::Book};
use crate::{Prepared, StoreError};

fn sample(name: &str) -> Sample {
    Sample {
        name: name.to_owned(),
        number: 0,
        amount: Decimal::ZERO,
        at: Timestamp::EPOCH,
        bytes: Vec::new(),
        note: None,
        document: Json(Vec::new()),
    }
}

async fn round_trip(store: &Store, row: Sample) {
    let name = row.name.clone();
    let written = row.clone();
    store.write(move |tx| tx.put(&written)).await.unwrap();
    let read = store.read(|tx| tx.get::<Sample>(&name)).await.unwrap();
    assert_eq!(read, row);
    assert_eq!(read.amount.scale(), row.amount.scale(), "the scale of {}", row.amount);
}

pub(super) async fn text_sorts_by_bytes(store: Store) {
    let sorted =
        ["", "\u{1}", "\u{1}a", " ", "10", "9", "A", "AB", "B", "Z", "a", "a\u{1}", "ab", "z", "Ä", "é", "日", "😀"];
    let rows: Vec<Sample> = sorted.iter().map(|name| sample(name)).collect();
    store
        .write(move |tx| {
            for (place, row) in rows.iter().enumerate().rev() {
                tx.insert(row)?;
                tx.insert(&Book { shelf: 1, place: u32::try_from(place).unwrap(), title: row.name.clone() })?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let names = store.read(|tx| tx.scan::<Sample>().collect(99)).await.into_iter().map(|row| row.name);
    assert_eq!(names.collect::<Vec<_>>(), sorted, "as a key");
    let titles = store.read(|tx| tx.scan_by::<BookByTitle>().collect(99)).await.into_iter().map(|row| row.title);
    assert_eq!(titles.collect::<Vec<_>>(), sorted, "as an index");
    let with_a =
        store.read(|tx| tx.scan::<Sample>().text_prefix("a").collect(99)).await.into_iter().map(|row| row.name);
    assert_eq!(with_a.collect::<Vec<_>>(), ["a", "a\u{1}", "ab"]);
}

pub(super) async fn numbers_sort_by_value(store: Store) {
    let sorted = [i64::MIN, -256, -255, -1, 0, 1, 127, 128, 255, 256, 1 << 40, i64::MAX];
    store
        .write(move |tx| {
            let rows = sorted.iter().rev();
            rows.into_iter().try_for_each(|number| {
                let at = Timestamp((*number).clamp(Timestamp::EARLIEST.0, Timestamp::LATEST.0));
                let row = Sample { number: *number, at, ..sample(&number.to_string()) };
                tx.insert(&row)
            })
        })
        .await
        .unwrap();
    let numbers = store.read(|tx| tx.scan_by::<SampleByNumber>().collect(99)).await;
    assert_eq!(numbers.into_iter().map(|row| row.number).collect::<Vec<_>>(), sorted);
    let times = store.read(|tx| tx.scan_by::<SampleByTime>().collect(99)).await;
    assert_eq!(times.into_iter().map(|row| row.number).collect::<Vec<_>>(), sorted);
    let above = store.read(|tx| tx.scan_by::<SampleByNumber>().from(0_i64).before(128_i64).collect(99)).await;
    assert_eq!(above.into_iter().map(|row| row.number).collect::<Vec<_>>(), [0, 1, 127]);
}

pub(super) async fn decimals_keep_their_scale(store: Store) {
    let texts = [
        "0",
        "0.00",
        "1.0",
        "1.00",
        "-19.90",
        "0.0000000001",
        "79228162514264337593543950335",
        "-7.9228162514264337593543950335",
    ];
    for text in texts {
        let amount: Decimal = text.parse().unwrap();
        round_trip(&store, Sample { amount, ..sample(text) }).await;
    }
}

pub(super) async fn times_keep_their_microseconds(store: Store) {
    // Whole microseconds, including times before 1970, within the range of a relational timestamp.
    let ends = [Timestamp::EARLIEST.0, Timestamp::LATEST.0];
    for micros in [0, 1, -1, 1_800_000_000_123_456, -1_800_000_000_123_457].into_iter().chain(ends) {
        round_trip(&store, Sample { at: Timestamp(micros), ..sample(&micros.to_string()) }).await;
    }
}

pub(super) async fn values_that_some_engine_cannot_store_are_refused(store: Store) {
    let nul = "the character U+0000";
    let time = "a time outside the years 1 to 9999";
    for (row, column, what) in [
        (sample("a\0b"), "name", nul),
        (Sample { note: Some("\0".to_owned()), ..sample("note") }, "note", nul),
        (Sample { document: Json(vec!["a\0b".to_owned()]), ..sample("document") }, "document", nul),
        (Sample { at: Timestamp(i64::MIN), ..sample("the minimum") }, "at", time),
        (Sample { at: Timestamp(Timestamp::EARLIEST.0 - 1), ..sample("too early") }, "at", time),
        (Sample { at: Timestamp(Timestamp::LATEST.0 + 1), ..sample("too late") }, "at", time),
        (Sample { at: Timestamp(i64::MAX), ..sample("the maximum") }, "at", time),
    ] {
        let refusal = StoreError::Unstorable { column: format!("ecommerce.conformance_samples.{column}"), what };
        let (put, prepared) = (row.clone(), row);
        let ignored = store
            .write(move |tx| {
                let _ = tx.put(&put);
                Ok(())
            })
            .await;
        assert_eq!(ignored, Err(refusal.clone()));
        assert_eq!(store.write(move |tx| tx.insert_prepared(&Prepared::of(&prepared))).await, Err(refusal));
    }
    assert_eq!(store.read(|tx| tx.scan::<Sample>().first()).await, None);
    // An escaped backslash followed by u0000 is text, not an escape of U+0000.
    round_trip(&store, Sample { document: Json(vec!["\\u0000".to_owned()]), ..sample("escaped") }).await;
}

pub(super) async fn unusual_values_are_preserved(store: Store) {
    round_trip(&store, sample("")).await;
    round_trip(&store, Sample { note: Some(String::new()), ..sample("empty, not null") }).await;
    round_trip(&store, Sample { bytes: (0..=255).collect(), ..sample("all bytes") }).await;
    round_trip(&store, Sample { bytes: vec![0; 1 << 20], ..sample("a megabyte") }).await;
    round_trip(&store, sample(&"long ".repeat(200))).await;
    let document = Json(vec!["\"quoted\"".to_owned(), "日本".to_owned(), "\u{1F600}".to_owned()]);
    round_trip(&store, Sample { document, ..sample("document") }).await;
}
