//! Tests of buckets and of covering periods with them.

use promox_kernel::Timestamp;
use proptest::prelude::*;

use crate::rules::cover::{Level, cover};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn buckets_begin_at_calendar_boundaries() {
    for (level, time, floor, next) in [
        (Level::Hour, "2024-02-29T23:59:59Z", "2024-02-29T23:00:00Z", "2024-03-01T00:00:00Z"),
        (Level::Day, "2024-02-29T23:59:59Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
        (Level::Month, "2024-02-29T23:59:59Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        (Level::Month, "2023-12-31T23:59:59Z", "2023-12-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        (Level::Month, "1969-12-31T23:59:59Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        (Level::Month, "1900-03-01T00:00:00Z", "1900-03-01T00:00:00Z", "1900-04-01T00:00:00Z"),
    ] {
        assert_eq!((level.floor(at(time)), level.next(level.floor(at(time)))), (at(floor), at(next)), "{level} {time}");
    }
}

#[test]
fn a_cover_has_coarse_buckets_inside_and_fine_ones_at_its_ends() {
    let pieces: Vec<String> = cover(at("2024-01-30T22:15:00Z"), at("2024-03-02T01:00:00.000001Z"))
        .into_iter()
        .map(|piece| format!("{} {}", piece.level.map_or("ENTRIES", Level::as_str), piece.from))
        .collect();
    let want = [
        "ENTRIES 2024-01-30T22:15:00.000Z",
        "HOUR 2024-01-30T23:00:00.000Z",
        "DAY 2024-01-31T00:00:00.000Z",
        "MONTH 2024-02-01T00:00:00.000Z",
        "DAY 2024-03-01T00:00:00.000Z",
        "HOUR 2024-03-02T00:00:00.000Z",
        "ENTRIES 2024-03-02T01:00:00.000Z",
    ];
    assert_eq!(pieces, want);
}

proptest! {
    #[test]
    fn months_match_those_of_a_calendar_library(seconds in -4_000_000_000_i64..8_000_000_000) {
        let time = Timestamp::from_seconds(seconds);
        let local = time.to_jiff().to_zoned(jiff::tz::TimeZone::UTC);
        let first = local.date().first_of_month().to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        prop_assert_eq!(Level::Month.floor(time), Timestamp::from_jiff(first));
        let next = local.date().last_of_month().tomorrow().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap();
        prop_assert_eq!(Level::Month.next(Level::Month.floor(time)), Timestamp::from_jiff(next.timestamp()));
    }

    #[test]
    fn a_cover_has_no_gaps_and_aligned_buckets(a in 0_i64..2_000_000_000_000_000, span in 1_i64..200_000_000_000_000) {
        let (from, to) = (Timestamp(a), Timestamp(a + span));
        let pieces = cover(from, to);
        prop_assert_eq!(pieces.first().unwrap().from, from);
        prop_assert_eq!(pieces.last().unwrap().to, to);
        prop_assert!(pieces.windows(2).all(|two| two[0].to == two[1].from));
        for piece in &pieces {
            if let Some(level) = piece.level {
                prop_assert_eq!(level.floor(piece.from), piece.from);
                prop_assert_eq!(level.floor(piece.to), piece.to);
            } else {
                prop_assert!(piece.to.0 - piece.from.0 < 2 * 3_600_000_000);
            }
        }
    }
}
