//! The sales of many products in a compact form: how a roll-up stores a chunk of them, and how a report adds them up.
//!
//! A row of few products is a list. One of many has a column of whole numbers for each figure, which is read several
//! times faster than amounts are decoded one by one. The form depends only on the sales, so that equal sales are
//! encoded as equal bytes.

use promox_kernel::Amount;
use promox_kernel::encoding::{Column, ColumnType};
use rust_decimal::Decimal;

use super::sold::{Products, Sold, put_sales, take_sales};
use super::sum::Sign;

/// The first byte of a list.
const LIST: u8 = 0;
/// The first byte of columns.
const COLUMNS: u8 = 1;
/// Columns have at least this many products, and at least one of [`MIN_COLUMNS`] numbers is a product with sales.
const MIN_COLUMNS: usize = 16;
/// The bytes before the bitmap of columns: the form, the scale, three widths, the span and the first product.
const HEADER: usize = 5 + 2 + 8;

/// The encoded sales of products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed(Vec<u8>);

/// The sum of a product's sales. The revenue is in units of a scale that is stored elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) orders: i64,
    pub(crate) units: i64,
    pub(crate) revenue: i128,
}

impl Totals {
    fn add(&mut self, other: &Self, sign: Sign) {
        match sign {
            Sign::Plus => {
                self.orders += other.orders;
                self.units += other.units;
                self.revenue += other.revenue;
            }
            Sign::Minus => {
                self.orders -= other.orders;
                self.units -= other.units;
                self.revenue -= other.revenue;
            }
        }
    }
}

impl Packed {
    /// Encodes sales.
    pub(crate) fn new(products: &Products) -> Self {
        if let Some(bytes) = encode_columns(products) {
            return Self(bytes);
        }
        let mut bytes = vec![LIST];
        put_sales(products, &mut bytes);
        Self(bytes)
    }

    /// Decodes the sales.
    pub(crate) fn unpack(&self) -> Products {
        let mut products = Vec::new();
        self.each(|product, scale, Totals { orders, units, revenue }| {
            products.push((product, Sold { orders, units, revenue: amount(revenue, scale) }));
        });
        Products(products)
    }

    /// Visits each product by its number, with the scale of its revenue and its sales.
    fn each(&self, mut visit: impl FnMut(i64, u32, Totals)) {
        match self.0.split_first() {
            Some((&COLUMNS, _)) => {
                if let Some(columns) = Columns::parse(&self.0) {
                    columns.each(|place, orders, units, revenue| {
                        let totals = Totals { orders, units, revenue: i128::from(revenue) };
                        visit(columns.first.saturating_add_unsigned(place as u64), columns.scale, totals);
                    });
                }
            }
            Some((_, list)) => {
                for (product, sold) in take_sales(list).unwrap_or_default().0 {
                    let Sold { orders, units, revenue } = sold;
                    visit(product, revenue.0.scale(), Totals { orders, units, revenue: revenue.0.mantissa() });
                }
            }
            None => {}
        }
    }

    /// Whether the bytes are a valid encoding.
    fn is_valid(&self) -> bool {
        match self.0.split_first() {
            Some((&COLUMNS, _)) => Columns::parse(&self.0).is_some(),
            Some((&LIST, list)) => take_sales(list).is_some(),
            _ => false,
        }
    }
}

impl Column for Packed {
    const TYPE: ColumnType = ColumnType::Bytea;
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        Some(Self(Vec::take(input)?)).filter(Self::is_valid)
    }
}

/// Encodes sales as columns; `None` if a list serves better or an amount has more digits than a column.
fn encode_columns(products: &Products) -> Option<Vec<u8>> {
    let sales = &products.0;
    let ((first, _), (last, _)) = (sales.first()?, sales.last()?);
    let span = u16::try_from(last.checked_sub(*first)?.checked_add(1)?).ok()?;
    if sales.len() < MIN_COLUMNS || sales.len() * MIN_COLUMNS < usize::from(span) {
        return None;
    }
    let revenues: Vec<Decimal> = sales.iter().map(|(_, sold)| sold.revenue.0.normalize()).collect();
    let scale = revenues.iter().map(Decimal::scale).max()?;
    let minor = |amount: &Decimal| {
        let factor = 10_i128.checked_pow(scale - amount.scale())?;
        i64::try_from(amount.mantissa().checked_mul(factor)?).ok()
    };
    let columns: [Vec<i64>; 3] = [
        sales.iter().map(|(_, sold)| sold.orders).collect(),
        sales.iter().map(|(_, sold)| sold.units).collect(),
        revenues.iter().map(minor).collect::<Option<_>>()?,
    ];
    let widths = columns.each_ref().map(|column| width_of(column));
    let mut bytes = vec![COLUMNS, u8::try_from(scale).ok()?];
    bytes.extend(widths);
    bytes.extend_from_slice(&span.to_le_bytes());
    bytes.extend_from_slice(&first.to_le_bytes());
    let mut bitmap = vec![0_u8; usize::from(span).div_ceil(8)];
    for (product, _) in sales {
        let at = usize::try_from(product - first).ok()?;
        *bitmap.get_mut(at / 8)? |= 1 << (at % 8);
    }
    bytes.append(&mut bitmap);
    for (column, width) in columns.iter().zip(widths) {
        for number in column {
            bytes.extend_from_slice(number.to_le_bytes().get(..usize::from(width))?);
        }
    }
    Some(bytes)
}

/// The number of bytes of the largest number of a column: 1, 2, 4 or 8.
fn width_of(column: &[i64]) -> u8 {
    let fits = |bits: u32| column.iter().all(|number| (number << (64 - bits)) >> (64 - bits) == *number);
    [8_u8, 16, 32].into_iter().find(|bits| fits(u32::from(*bits))).unwrap_or(64) / 8
}

/// The parts of encoded columns.
struct Columns<'b> {
    first: i64,
    scale: u32,
    bitmap: &'b [u8],
    /// Orders, units and revenue: the width of a number, and the numbers.
    figures: [(usize, &'b [u8]); 3],
}

impl<'b> Columns<'b> {
    /// `None` if the parts have not the lengths that they should have.
    fn parse(bytes: &'b [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let [_, scale, orders, units, revenue, low, high, first @ ..] = *header;
        let bitmap_len = usize::from(u16::from_le_bytes([low, high])).div_ceil(8);
        let (bitmap, mut rest) = rest.split_at_checked(bitmap_len)?;
        let count: usize = bitmap.iter().map(|byte| byte.count_ones() as usize).sum();
        let mut figures: [(usize, &[u8]); 3] = [(1, &[]); 3];
        for (figure, width) in figures.iter_mut().zip([orders, units, revenue].map(usize::from)) {
            let numbers;
            (numbers, rest) = rest.split_at_checked(count.checked_mul(width)?)?;
            *figure = (width, numbers);
        }
        let widths_known = figures.iter().all(|(width, _)| matches!(width, 1 | 2 | 4 | 8));
        let valid = rest.is_empty() && widths_known && u32::from(scale) <= Decimal::MAX_SCALE;
        valid.then_some(Self { first: i64::from_le_bytes(first), scale: u32::from(scale), bitmap, figures })
    }

    /// Visits each product by its distance from the first one, with its orders, units and revenue.
    fn each(&self, mut visit: impl FnMut(usize, i64, i64, i64)) {
        let [orders, units, revenue] = self.figures.map(|(width, bytes)| numbers(width, bytes));
        let mut figures = orders.into_iter().zip(units).zip(revenue);
        for (eight, byte) in (0..).step_by(8).zip(self.bitmap) {
            let mut bits = *byte;
            while bits != 0 {
                let place = eight + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let Some(((orders, units), revenue)) = figures.next() else { return };
                visit(place, orders, units, revenue);
            }
        }
    }
}

/// Decodes the numbers of a column, which have 1, 2, 4 or 8 bytes each.
fn numbers(width: usize, bytes: &[u8]) -> Vec<i64> {
    match width {
        1 => bytes.iter().map(|byte| i64::from(i8::from_le_bytes([*byte]))).collect(),
        2 => bytes.as_chunks().0.iter().map(|bytes| i64::from(i16::from_le_bytes(*bytes))).collect(),
        4 => bytes.as_chunks().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes))).collect(),
        _ => bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
    }
}

/// An amount in units of a scale.
fn amount(units: i128, scale: u32) -> Amount {
    Amount(Decimal::try_from_i128_with_scale(units, scale).unwrap_or_default().normalize())
}

/// The sums of the sales of all products, by the product's number.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProductSums {
    /// The scale of every revenue.
    scale: u32,
    totals: Vec<Totals>,
}

impl ProductSums {
    /// Adds or subtracts the sales of a row.
    pub(crate) fn add(&mut self, packed: &Packed, sign: Sign) {
        let columns = packed.0.first().filter(|form| **form == COLUMNS).and_then(|_| Columns::parse(&packed.0));
        match columns {
            Some(columns) => self.add_columns(&columns, sign),
            None => packed.each(|product, scale, totals| self.add_totals(product, scale, totals, sign)),
        }
    }

    /// Adds or subtracts columns. Most of a report's time is spent here, so scale and bounds are settled once per row.
    fn add_columns(&mut self, columns: &Columns<'_>, sign: Sign) {
        let Ok(first) = usize::try_from(columns.first) else { return };
        let factor = self.factor_for(columns.scale);
        let end = first + columns.bitmap.len() * 8;
        if self.totals.len() < end {
            self.totals.resize(end, Totals::default());
        }
        let Some(totals) = self.totals.get_mut(first..end) else { return };
        columns.each(|place, orders, units, revenue| {
            if let Some(sum) = totals.get_mut(place) {
                sum.add(&Totals { orders, units, revenue: i128::from(revenue) * factor }, sign);
            }
        });
    }

    /// Adds the sales of a product.
    pub(crate) fn add_sold(&mut self, product: i64, sold: &Sold) {
        let Sold { orders, units, revenue } = *sold;
        let totals = Totals { orders, units, revenue: revenue.0.mantissa() };
        self.add_totals(product, revenue.0.scale(), totals, Sign::Plus);
    }

    fn add_totals(&mut self, product: i64, scale: u32, totals: Totals, sign: Sign) {
        let Ok(at) = usize::try_from(product) else { return };
        let revenue = totals.revenue * self.factor_for(scale);
        if self.totals.len() <= at {
            self.totals.resize(at + 1, Totals::default());
        }
        if let Some(sum) = self.totals.get_mut(at) {
            sum.add(&Totals { revenue, ..totals }, sign);
        }
    }

    /// What revenue of a scale is multiplied with to have the scale of the sums, which becomes at least that scale.
    fn factor_for(&mut self, scale: u32) -> i128 {
        if scale > self.scale {
            let factor = power_of_ten(scale - self.scale);
            self.totals.iter_mut().for_each(|sum| sum.revenue *= factor);
            self.scale = scale;
        }
        power_of_ten(self.scale - scale)
    }

    /// The products with sales, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, Totals)> {
        (0..).zip(self.totals.iter().copied()).filter(|(_, totals)| *totals != Totals::default())
    }

    /// The sales of a product of [`iter`](Self::iter), with its revenue as an amount.
    pub(crate) fn sold(&self, totals: Totals) -> Sold {
        let Totals { orders, units, revenue } = totals;
        Sold { orders, units, revenue: amount(revenue, self.scale) }
    }
}

/// Amounts are at most 10^18 and have at most the decimals of a currency, so that their product with a power of ten fits.
fn power_of_ten(exponent: u32) -> i128 {
    10_i128.saturating_pow(exponent)
}
