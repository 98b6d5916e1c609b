//! Tests of sets of buyers and sums of products: their encoding, and their values against plain models.

use std::collections::{BTreeMap, BTreeSet};

use promox_kernel::Amount;
use promox_kernel::encoding::Column;
use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::rules::measures::Measures;
use crate::rules::members::{Members, Union, chunk_and_offset};
use crate::rules::sold::{Products, Sold};
use crate::rules::sum::Sum as _;

fn round_trip<T: Column + PartialEq + std::fmt::Debug>(value: &T) {
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    let mut input = bytes.as_slice();
    assert_eq!(T::take(&mut input).as_ref(), Some(value));
    assert!(input.is_empty());
}

#[test]
fn large_sets_become_bitmaps_and_small_ones_lists_again() {
    let mut members = Members::default();
    (0..3_000).for_each(|offset| members.mark(offset * 3, true));
    assert!(matches!(members, Members::Bitmap(_)) && members.count() == 3_000);
    round_trip(&members);
    let many = members.clone();
    (0..1_500).for_each(|offset| members.mark(offset * 3, false));
    assert!(matches!(members, Members::List(_)) && members.count() == 1_500);
    round_trip(&members);
    let mut union = Union::default();
    union.add(0, &many);
    union.add(0, &members);
    union.add(1, &members);
    union.insert(1);
    assert_eq!(union.count(), 4_501);
    assert_eq!((chunk_and_offset(32_767), chunk_and_offset(32_768)), ((0, 32_767), (1, 0)));
}

#[test]
fn measures_round_trip_and_cancel_out() {
    let measures = Measures { orders: 3, points_expired: -7, revenue: "12.50".parse().unwrap(), ..Measures::default() };
    round_trip(&measures);
    round_trip(&Measures::default());
    let mut sum = measures.clone();
    sum.add(&measures.negated());
    assert!(sum.is_empty());
}

proptest! {
    #[test]
    fn members_behave_like_a_set(marks in prop::collection::vec((0_u16..4_000, any::<bool>()), 0..300)) {
        let (mut members, mut model) = (Members::default(), BTreeSet::new());
        for (offset, present) in marks {
            members.mark(offset, present);
            if present { model.insert(offset); } else { model.remove(&offset); }
        }
        prop_assert_eq!(&members, &Members::List(model.into_iter().collect()));
        round_trip(&members);
    }

    #[test]
    fn products_are_summed_and_removed_when_empty(adds in prop::collection::vec((0_i64..20, -3_i64..4), 0..80)) {
        let (mut products, mut model) = (Products::default(), BTreeMap::<i64, i64>::new());
        for (product, units) in adds {
            let revenue = Amount(Decimal::new(units, 2));
            products.add_product(product, &Sold { orders: units, units, revenue });
            *model.entry(product).or_default() += units;
        }
        let sums: Vec<(i64, i64)> = products.0.iter().map(|(product, sold)| (*product, sold.units)).filter(|(_, units)| *units != 0).collect();
        let want: Vec<(i64, i64)> = model.into_iter().filter(|(_, units)| *units != 0).collect();
        prop_assert_eq!(sums, want);
        round_trip(&products);
    }
}
