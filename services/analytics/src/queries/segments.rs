//! The purchases of each customer in a period.

use std::collections::HashMap;

use promox_kernel::{Amount, Error, Timestamp};
use promox_storage::{StoreError, Tx};

use super::{ENTRIES_PER_READ, EntryCursor};
use crate::Analytics;
use crate::commands::generations;
use crate::dashboard::NAMES_PER_READ;
use crate::records::Customer;
use crate::rules::period::Period;
use crate::rules::rfm::Buyer;

impl Analytics {
    /// Every known customer who bought in a period, by number.
    pub(crate) async fn buyers(&self, period: Period) -> Result<Vec<Buyer>, Error> {
        let mut purchases = Purchases::new();
        let generation = self.db.read(generations::current).await?;
        let mut next = generation.map(|row| (row.id, EntryCursor::at(period.from)));
        while let Some((generation, from)) = next {
            let (batch, cursor) = self.db.read(|tx| read_purchases(tx, generation, from, period.to)).await?;
            for (buyer, (count, amount, at)) in batch {
                let (orders, revenue, latest) = purchases.entry(buyer).or_insert((0, Amount::ZERO, at));
                *orders += count;
                *revenue += amount;
                *latest = at;
            }
            next = cursor.map(|cursor| (generation, cursor));
            tokio::task::yield_now().await;
        }
        let buyer = |(number, (orders, revenue, last))| Buyer { number, orders, revenue, last };
        let mut buyers: Vec<Buyer> = purchases.into_iter().map(buyer).collect();
        buyers.sort_unstable_by_key(|buyer| buyer.number);
        Ok(buyers)
    }

    /// The names of customers, in the order given.
    pub(crate) async fn customer_names(&self, numbers: &[i64]) -> Result<Vec<String>, Error> {
        let name = |tx: &Tx<'_>, number: &i64| Ok(tx.get::<Customer>(number)?.map_or_else(String::new, |row| row.name));
        let mut names = Vec::with_capacity(numbers.len());
        for chunk in numbers.chunks(NAMES_PER_READ) {
            let read =
                |tx: &Tx<'_>| chunk.iter().map(|number| name(tx, number)).collect::<Result<Vec<_>, StoreError>>();
            names.extend(self.db.read(read).await?);
        }
        Ok(names)
    }
}

/// By customer, the number of orders, their revenue, and the time of the last one.
type Purchases = HashMap<i64, (i64, Amount, Timestamp)>;

/// Reads a batch of purchases from a cursor on. Also returns the cursor of the next batch, if there may be one.
fn read_purchases(
    tx: &Tx<'_>,
    generation: u32,
    from: EntryCursor,
    to: Timestamp,
) -> Result<(Purchases, Option<EntryCursor>), StoreError> {
    let (mut purchases, mut count, mut cursor) = (Purchases::new(), 0, None);
    for entry in from.entries(tx, generation, to).rows().take(ENTRIES_PER_READ) {
        let entry = entry?;
        count += 1;
        cursor = Some(EntryCursor::after(&entry));
        let Some(buyer) = entry.buyer else { continue };
        let (orders, revenue, latest) = purchases.entry(buyer).or_insert((0, Amount::ZERO, entry.at));
        *orders += 1;
        *revenue += entry.measures.revenue;
        *latest = entry.at;
    }
    Ok((purchases, cursor.filter(|_| count == ENTRIES_PER_READ)))
}
