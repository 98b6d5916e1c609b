//! Sales of each product: of an order, and of the products of a chunk in a bucket.

use promox_kernel::Amount;
use promox_kernel::encoding::{Column, ColumnType};

use super::measures::plain;

/// Products per chunk.
const CHUNK: i64 = 256;

/// The chunk of a product.
pub(crate) fn chunk(product: i64) -> i64 {
    product.div_euclid(CHUNK)
}

/// The sales of a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sold {
    pub(crate) orders: i64,
    pub(crate) units: i64,
    pub(crate) revenue: Amount,
}

impl Sold {
    /// Adds `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.units += other.units;
        self.revenue += other.revenue;
    }

    /// The negated sales.
    pub(crate) fn negated(&self) -> Self {
        Self { orders: -self.orders, units: -self.units, revenue: -self.revenue }
    }

    fn is_empty(&self) -> bool {
        self.orders == 0 && self.units == 0 && self.revenue.is_zero()
    }
}

/// Products by number, ascending, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Products(pub(crate) Vec<(i64, Sold)>);

impl Products {
    /// Adds to a product; one whose sales are zero is removed.
    pub(crate) fn add(&mut self, product: i64, sold: &Sold) {
        match self.0.binary_search_by_key(&product, |(number, _)| *number) {
            Ok(at) => {
                if let Some((_, sum)) = self.0.get_mut(at) {
                    sum.add(sold);
                    if sum.is_empty() {
                        self.0.remove(at);
                    }
                }
            }
            Err(at) => self.0.insert(at, (product, *sold)),
        }
    }
}

impl Column for Products {
    const TYPE: ColumnType = ColumnType::Bytea;
    fn put(&self, out: &mut Vec<u8>) {
        let mut bytes = Vec::with_capacity(self.0.len() * 10);
        let mut last = 0;
        for (product, sold) in &self.0 {
            (product - last).put(&mut bytes);
            last = *product;
            sold.orders.put(&mut bytes);
            sold.units.put(&mut bytes);
            plain(sold.revenue).put(&mut bytes);
        }
        bytes.put(out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        let bytes = Vec::<u8>::take(input)?;
        let (mut rest, mut last, mut products) = (bytes.as_slice(), 0_i64, Vec::new());
        while !rest.is_empty() {
            last = last.checked_add(i64::take(&mut rest)?)?;
            let (orders, units) = (i64::take(&mut rest)?, i64::take(&mut rest)?);
            products.push((last, Sold { orders, units, revenue: Amount::take(&mut rest)? }));
        }
        Some(Self(products))
    }
}
