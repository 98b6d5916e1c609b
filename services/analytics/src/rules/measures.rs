//! Measures: counts and amounts that can be summed over time. A bucket holds their sums.

use promox_kernel::Amount;
use promox_kernel::encoding::{Column, ColumnType};

use super::sum::impl_sum;

macro_rules! measures {
    (counts { $($(#[$count_meta:meta])* $count:ident),+ $(,)? } amounts { $($(#[$amount_meta:meta])* $amount:ident),+ $(,)? }) => {
        /// All measures, encoded in one column with the amounts first. New counts are appended; older rows read them as
        /// zero.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Measures {
            $($(#[$count_meta])* pub(crate) $count: i64,)+
            $($(#[$amount_meta])* pub(crate) $amount: Amount,)+
        }

        impl_sum!(Measures: $($count,)+ $($amount,)+);

        impl Measures {
            fn encode(&self) -> Vec<u8> {
                let mut bytes = Vec::with_capacity(32);
                $(plain(self.$amount).put(&mut bytes);)+
                $(self.$count.put(&mut bytes);)+
                bytes
            }

            fn decode(mut bytes: &[u8]) -> Option<Self> {
                let bytes = &mut bytes;
                Some(Self {
                    $($amount: Amount::take(bytes)?,)+
                    $($count: if bytes.is_empty() { 0 } else { i64::take(bytes)? },)+
                })
            }
        }
    };
}

measures! {
    counts {
        /// Orders that count.
        orders,
        /// Units in those orders.
        items,
        /// Orders that were their customer's first.
        new_customers,
        /// Visits.
        visits,
        /// Visits that viewed a product.
        views,
        /// Visits that added a product to a cart.
        carts,
        /// Visits that began a checkout.
        checkouts,
        /// Coupons created.
        coupons_issued,
        /// Redemptions that were not released.
        coupons_redeemed,
        /// Points awarded.
        points_awarded,
        /// Points redeemed.
        points_redeemed,
        /// Points expired.
        points_expired,
        /// Redeemed points restored.
        points_restored,
        /// Awarded points revoked.
        points_revoked,
        /// Orders placed in this store, in any status.
        placed,
    }
    amounts {
        /// Goods after discounts, without tax and shipping, before points.
        revenue,
        /// Discounts of promotions on goods.
        discounts,
        /// Refunds and credit notes.
        refunds,
        /// Returned revenue.
        returned,
    }
}

impl Measures {
    /// The number of points that customers hold according to these measures.
    pub(crate) fn points_held(&self) -> i64 {
        self.points_awarded + self.points_restored - self.points_redeemed - self.points_revoked - self.points_expired
    }
}

/// An amount without trailing zeros, so that equal sums are encoded as equal bytes, in whatever order they were added.
pub(crate) fn plain(amount: Amount) -> Amount {
    Amount(amount.0.normalize())
}

impl Column for Measures {
    const TYPE: ColumnType = ColumnType::Bytea;
    fn put(&self, out: &mut Vec<u8>) {
        self.encode().put(out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        Self::decode(&Vec::<u8>::take(input)?)
    }
}
