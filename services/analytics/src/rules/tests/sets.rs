//! Tests of sets of buyers and sums of products: their encoding, and their values against plain models.

use std::collections::{BTreeMap, BTreeSet};

use promox_kernel::Amount;
use promox_kernel::encoding::Column;
use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::rules::measures::Measures;
use crate::rules::members::{Members, Union, chunk_and_offset};
use crate::rules::packed::{Packed, ProductSums};
use crate::rules::sold::{Products, Sold};
use crate::rules::sum::{Sign, Sum as _};

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

    #[test]
    fn packed_sales_are_the_same_sales(
        sales in prop::collection::btree_map(1_i64..600, (-3_i64..400, -9_i64..70_000, -500_i64..5_000_000_000, 0_u32..5), 0..300),
        others in prop::collection::btree_map(1_i64..600, (1_i64..3, 1_i64..3, 0_i64..500, 0_u32..3), 0..300),
    ) {
        let products = |sales: &BTreeMap<i64, (i64, i64, i64, u32)>| {
            let mut products = Products::default();
            for (product, (orders, units, minor, scale)) in sales {
                let revenue = Amount(Decimal::new(*minor, *scale));
                products.add_product(*product, &Sold { orders: *orders, units: *units, revenue });
            }
            products
        };
        let (sales, others) = (products(&sales), products(&others));
        for products in [&sales, &others] {
            let packed = Packed::new(products);
            round_trip(&packed);
            prop_assert_eq!(&packed.unpack(), products);
        }
        let mut sums = ProductSums::default();
        sums.add(&Packed::new(&sales), Sign::Plus);
        sums.add(&Packed::new(&others), Sign::Plus);
        sums.add(&Packed::new(&sales), Sign::Minus);
        others.0.iter().for_each(|(product, sold)| sums.add_sold(*product, sold));
        let mut want = others.clone();
        want.add(&others);
        let found: Vec<(i64, Sold)> = sums.iter().map(|(product, totals)| (product, sums.sold(totals))).collect();
        prop_assert_eq!(found, want.0);
    }

    #[test]
    fn damaged_sales_are_refused(cut in 0_usize..300, flip in 0_usize..300) {
        let products = Products((1..=40).map(|n| (n, Sold { orders: n, units: n * 300, revenue: Amount(Decimal::new(n, 2)) })).collect());
        let mut bytes = Vec::new();
        Packed::new(&products).put(&mut bytes);
        let cut = 1 + cut % (bytes.len() - 1);
        prop_assert!(Packed::take(&mut &bytes[..cut]).is_none());
        // Whatever the bytes are, they are either refused or read without a panic.
        let flip = 1 + flip % (bytes.len() - 1);
        bytes[flip] ^= 0x55;
        if let Some(packed) = Packed::take(&mut bytes.as_slice()) {
            prop_assert!(packed.unpack().0.len() <= 80);
        }
    }
}
