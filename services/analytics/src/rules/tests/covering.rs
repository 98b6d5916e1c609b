//! Tests of buckets and of covering periods with them.

use std::collections::BTreeMap;

use promox_kernel::Timestamp;
use proptest::prelude::*;

use crate::rules::cover::{Level, Run, cover, signed_cover, whole_hours};
use crate::rules::sum::Sign;

const HOUR: i64 = 3_600_000_000;

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
    let runs: Vec<String> = cover(at("2024-01-30T23:00:00Z"), at("2024-03-02T01:00:00Z"))
        .into_iter()
        .map(|run| format!("{} {}", run.level, run.from))
        .collect();
    let want = [
        "HOUR 2024-01-30T23:00:00.000Z",
        "DAY 2024-01-31T00:00:00.000Z",
        "MONTH 2024-02-01T00:00:00.000Z",
        "DAY 2024-03-01T00:00:00.000Z",
        "HOUR 2024-03-02T00:00:00.000Z",
    ];
    assert_eq!(runs, want);
}

#[test]
fn a_signed_cover_subtracts_where_that_takes_fewer_buckets() {
    for (from, to, want) in [
        // A month in Europe/London, whose clocks are an hour ahead.
        (
            "2021-05-31T23:00:00Z",
            "2021-06-30T23:00:00Z",
            &["+HOUR 05-31T23 06-01T00", "-HOUR 06-30T23 07-01T00", "+MONTH 06-01T00 07-01T00"][..],
        ),
        ("2021-06-10T00:00:00Z", "2021-06-20T00:00:00Z", &["+DAY 06-10T00 06-20T00"]),
        (
            "2021-06-10T02:00:00Z",
            "2021-06-10T20:00:00Z",
            &["-HOUR 06-10T00 06-10T02", "-HOUR 06-10T20 06-11T00", "+DAY 06-10T00 06-11T00"],
        ),
        ("2021-06-10T02:00:00Z", "2021-06-10T14:00:00Z", &["+HOUR 06-10T02 06-10T14"]),
        ("2021-06-10T02:00:00Z", "2021-06-10T02:00:00Z", &[]),
    ] {
        let runs = signed_cover(at(from), at(to)).into_iter().map(|(sign, run)| {
            let sign = if sign == Sign::Plus { '+' } else { '-' };
            let hour = |at: Timestamp| at.to_string()[5..13].to_owned();
            format!("{sign}{} {} {}", run.level, hour(run.from), hour(run.to))
        });
        assert_eq!(runs.collect::<Vec<_>>(), want, "{from} {to}");
    }
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
    fn covers_are_exact_and_aligned(a in 0_i64..2_000_000_000_000_000, span in 1_i64..200_000_000_000_000) {
        let (from, to) = (Timestamp(a), Timestamp(a + span));
        let (start, end) = whole_hours(from, to);
        prop_assert!(from <= start && start <= end && end <= to);
        prop_assert!((start.0 - from.0) + (to.0 - end.0) < 2 * HOUR);
        let plain: Vec<(Sign, Run)> = cover(start, end).into_iter().map(|run| (Sign::Plus, run)).collect();
        let signed = signed_cover(start, end);
        for cover in [&plain, &signed] {
            // How often each hour is counted, as changes at the ends of runs.
            let mut changes = BTreeMap::<i64, i64>::new();
            for (sign, run) in cover {
                prop_assert!(run.from < run.to);
                prop_assert_eq!((run.level.floor(run.from), run.level.floor(run.to)), (run.from, run.to));
                let count = if *sign == Sign::Plus { 1 } else { -1 };
                *changes.entry(run.from.0).or_default() += count;
                *changes.entry(run.to.0).or_default() -= count;
            }
            changes.retain(|_, change| *change != 0);
            let want = if start < end { BTreeMap::from([(start.0, 1), (end.0, -1)]) } else { BTreeMap::new() };
            prop_assert_eq!(changes, want);
        }
        prop_assert!(buckets(&signed) <= buckets(&plain) + 2, "{} {}", buckets(&signed), buckets(&plain));
        prop_assert!(signed.iter().filter(|(_, run)| run.level == Level::Hour).all(|(_, run)| run.to.0 - run.from.0 <= 24 * HOUR));
    }
}

/// The number of buckets in runs.
fn buckets(runs: &[(Sign, Run)]) -> usize {
    let count = |run: &Run| {
        std::iter::successors(Some(run.from), |start| Some(run.level.next(*start)))
            .take_while(|start| *start < run.to)
            .count()
    };
    runs.iter().map(|(_, run)| count(run)).sum()
}
