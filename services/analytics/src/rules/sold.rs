//! Sales by product: in an order, and in a bucket for the products of one chunk.

use promox_kernel::Amount;
use promox_kernel::encoding::{Column, ColumnType};

use super::measures::plain;
use super::sum::{Sum, impl_sum};

/// The number of products per chunk.
const CHUNK_SIZE: i64 = 256;

/// The chunk of a product's number.
pub(crate) fn chunk(product: i64) -> i64 {
    product.div_euclid(CHUNK_SIZE)
}

/// The sales of a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sold {
    pub(crate) orders: i64,
    pub(crate) units: i64,
    pub(crate) revenue: Amount,
}

impl_sum!(Sold: orders, units, revenue);

/// The sales of products, by ascending number and without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Products(pub(crate) Vec<(i64, Sold)>);

impl Products {
    /// Adds sales to a product, which is removed if its sum becomes empty.
    pub(crate) fn add_product(&mut self, product: i64, sold: &Sold) {
        match self.0.binary_search_by_key(&product, |(number, _)| *number) {
            Ok(at) => {
                if let Some((_, sum)) = self.0.get_mut(at) {
                    sum.add(sold);
                    if sum.is_empty() {
                        self.0.remove(at);
                    }
                }
            }
            Err(_) if sold.is_empty() => {}
            Err(at) => self.0.insert(at, (product, *sold)),
        }
    }
}

impl Sum for Products {
    fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(product, sold)| self.add_product(*product, sold));
    }

    fn negated(&self) -> Self {
        Self(self.0.iter().map(|(product, sold)| (*product, sold.negated())).collect())
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
