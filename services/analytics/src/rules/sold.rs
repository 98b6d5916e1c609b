//! Sales by product: in an order, and in a bucket for the products of one chunk.

use promox_kernel::Amount;
use promox_kernel::encoding::{Column, ColumnType};

use super::cover::Level;
use super::measures::plain;
use super::sum::{Sum, impl_sum};

/// The chunk of a product's number. The shorter the buckets, the fewer of a chunk's products are sold in one, and the
/// larger the chunks, so that a bucket has about as many rows in a shop with few orders as in one with many.
pub(crate) fn chunk(level: Level, product: i64) -> i64 {
    product.div_euclid(match level {
        Level::Hour => 4_096,
        Level::Day => 512,
        Level::Month => 256,
    })
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
        put_sales(self, &mut bytes);
        bytes.put(out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        take_sales(&Vec::<u8>::take(input)?)
    }
}

/// Encodes products one after the other.
pub(super) fn put_sales(products: &Products, out: &mut Vec<u8>) {
    let mut last = 0;
    for (product, sold) in &products.0 {
        (product - last).put(out);
        last = *product;
        sold.orders.put(out);
        sold.units.put(out);
        plain(sold.revenue).put(out);
    }
}

/// Decodes products that were encoded by [`put_sales`]; `None` if the bytes are invalid.
pub(super) fn take_sales(mut bytes: &[u8]) -> Option<Products> {
    let (mut last, mut products) = (0_i64, Vec::new());
    while !bytes.is_empty() {
        last = last.checked_add(i64::take(&mut bytes)?)?;
        let (orders, units) = (i64::take(&mut bytes)?, i64::take(&mut bytes)?);
        products.push((last, Sold { orders, units, revenue: Amount::take(&mut bytes)? }));
    }
    Some(Products(products))
}
