//! Tests of periods in zones with clock changes, and of ratios and ranks.

use jiff::tz::TimeZone;
use promox_kernel::{Amount, Currency, Timestamp};

use crate::rules::period::{Granularity, period};
use crate::rules::ratios::{average, ratio, roi};
use crate::rules::rfm::{Buyer, Segment, score};

const NOW: &str = "2024-06-15T12:34:56Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

#[test]
fn periods_are_read_in_the_stores_zone() {
    for (name, from, to, want_from, want_to) in [
        ("UTC", Some("2024-03-01"), Some("2024-04-01"), "2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z"),
        ("Europe/London", Some("2024-03-31"), Some("2024-04-01"), "2024-03-31T00:00:00Z", "2024-03-31T23:00:00Z"),
        ("Europe/London", Some("2024-10-27"), Some("2024-10-28"), "2024-10-26T23:00:00Z", "2024-10-28T00:00:00Z"),
        ("America/New_York", Some("2024-03-10"), Some("2024-03-11"), "2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z"),
        ("Asia/Kathmandu", Some("2024-03-10"), Some("2024-03-11"), "2024-03-09T18:15:00Z", "2024-03-10T18:15:00Z"),
        (
            "Europe/London",
            Some("2024-06-01T10:00"),
            Some("2024-06-01T10:00:00.5Z"),
            "2024-06-01T09:00:00Z",
            "2024-06-01T10:00:00.5Z",
        ),
        ("UTC", None, None, "2024-05-16T12:35:00Z", "2024-06-15T12:35:00Z"),
        ("UTC", None, Some("2024-03-31"), "2024-03-01T00:00:00Z", "2024-03-31T00:00:00Z"),
        ("Europe/London", None, Some("2024-04-10"), "2024-03-11T00:00:00Z", "2024-04-09T23:00:00Z"),
    ] {
        let period = period(from, to, at(NOW), &zone(name)).unwrap();
        assert_eq!((period.from, period.to), (at(want_from), at(want_to)), "{name} {from:?} {to:?}");
    }
}

#[test]
fn the_previous_period_has_equal_length() {
    for (name, from, to, want) in [
        ("UTC", "2024-03-01", "2024-04-01", "2024-01-30T00:00:00Z"),
        ("Europe/London", "2024-04-01", "2024-05-01", "2024-03-02T00:00:00Z"),
        ("Europe/London", "2024-03-31", "2024-04-01", "2024-03-30T00:00:00Z"),
        ("UTC", "2024-03-01T10:00", "2024-03-01T11:30", "2024-03-01T08:30:00Z"),
    ] {
        let period = period(Some(from), Some(to), at(NOW), &zone(name)).unwrap();
        let before = period.previous(&zone(name));
        assert_eq!((before.from, before.to), (at(want), period.from), "{name} {from} {to}");
    }
}

#[test]
fn parts_follow_the_wall_clock() {
    for (name, granularity, from, to, want) in [
        ("UTC", Granularity::Day, "2024-03-01", "2024-03-04", 3),
        ("Europe/London", Granularity::Hour, "2024-03-31", "2024-04-01", 23),
        ("Europe/London", Granularity::Hour, "2024-10-27", "2024-10-28", 25),
        ("Europe/London", Granularity::Day, "2024-03-30T12:00", "2024-04-01T12:00", 3),
        ("Asia/Kathmandu", Granularity::Hour, "2024-03-10", "2024-03-11", 24),
        ("UTC", Granularity::Week, "2024-03-01", "2024-04-01", 5),
        ("UTC", Granularity::Month, "2024-01-15", "2024-03-02", 3),
        ("UTC", Granularity::Minute, "2024-01-15T00:00", "2024-01-15T01:00", 60),
        ("Europe/London", Granularity::Month, "2024-01-01", "2025-01-01", 12),
    ] {
        let period = period(Some(from), Some(to), at(NOW), &zone(name)).unwrap();
        let parts = period.parts(granularity, &zone(name)).unwrap();
        assert_eq!(parts.len(), want, "{name} {granularity} {from}");
        assert_eq!((parts[0].from, parts[want - 1].to), (period.from, period.to));
        assert!(parts.windows(2).all(|two| two[0].to == two[1].from && two[0].from < two[0].to));
    }
    let long = period(Some("2024-01-01"), Some("2024-01-03"), at(NOW), &zone("UTC")).unwrap();
    assert!(long.parts(Granularity::Minute, &zone("UTC")).is_none());
}

#[test]
fn ratios_are_rounded_and_undefined_for_zero() {
    let amount = |text: &str| text.parse::<Amount>().unwrap();
    assert_eq!(ratio(1, 3).unwrap().to_string(), "0.3333");
    assert_eq!(ratio(2, 3).unwrap().to_string(), "0.6667");
    assert_eq!(ratio(2, 1).unwrap().to_string(), "2.0000");
    assert_eq!(ratio(2, 0), None);
    assert_eq!(roi(amount("150.00"), amount("100.00")).unwrap().to_string(), "0.5000");
    assert_eq!(roi(amount("50.00"), amount("100.00")).unwrap().to_string(), "-0.5000");
    assert_eq!(roi(amount("50.00"), Amount::ZERO), None);
    assert_eq!(average(amount("10.00"), 3, Currency::GBP).to_string(), "3.33");
    assert_eq!(average(Amount::ZERO, 0, Currency::GBP).to_string(), "0.00");
}

#[test]
fn customers_are_ranked_in_fifths() {
    let buyer =
        |number: i64| Buyer { number, orders: number, revenue: Amount(number.into()), last: Timestamp(-number) };
    let buyers: Vec<Buyer> = (1..=10).map(buyer).collect();
    let scores = score(&buyers);
    let ranks: Vec<_> = scores.iter().map(|score| (score.recency, score.frequency, score.monetary)).collect();
    assert_eq!(ranks[0], (5, 1, 1));
    assert_eq!(ranks[9], (1, 5, 5));
    assert_eq!(scores[9].segment(), Segment::AtRisk);
    assert_eq!(scores[0].segment(), Segment::Promising);
    let equal: Vec<Buyer> = (0..4).map(|number| Buyer { number, ..buyer(1) }).collect();
    assert!(score(&equal).windows(2).all(|two| two[0] == two[1]), "equal values have equal ranks");
    assert!(score(&[]).is_empty());
}
