//! Each customer's purchases in a period, order by order.

use std::collections::HashMap;

use promox_kernel::{Amount, Error, Timestamp};
use promox_storage::{StoreError, Tx};

use super::{ENTRIES, Mark};
use crate::Analytics;
use crate::commands::generations;
use crate::dashboard::NAMES;
use crate::records::Customer;
use crate::rules::period::Period;
use crate::rules::rfm::Buyer;

impl Analytics {
    /// Every known customer who bought in a period, by number.
    pub(crate) async fn buyers(&self, period: Period) -> Result<Vec<Buyer>, Error> {
        let mut buyers = Bought::new();
        let generation = self.db.read(generations::current).await?;
        let mut next = generation.map(|row| (row.id, Mark::at(period.from)));
        while let Some((generation, from)) = next {
            let (some, mark) = self.db.read(|tx| take(tx, generation, from, period.to)).await?;
            for (buyer, (count, amount, at)) in some {
                let (orders, revenue, latest) = buyers.entry(buyer).or_insert((0, Amount::ZERO, at));
                *orders += count;
                *revenue += amount;
                *latest = at;
            }
            next = mark.map(|mark| (generation, mark));
            tokio::task::yield_now().await;
        }
        let buyer = |(number, (orders, revenue, last))| Buyer { number, orders, revenue, last };
        let mut buyers: Vec<Buyer> = buyers.into_iter().map(buyer).collect();
        buyers.sort_unstable_by_key(|buyer| buyer.number);
        Ok(buyers)
    }

    /// The names of customers, in the order given.
    pub(crate) async fn customer_names(&self, numbers: &[i64]) -> Result<Vec<String>, Error> {
        let name = |tx: &Tx<'_>, number: &i64| Ok(tx.get::<Customer>(number)?.map_or_else(String::new, |row| row.name));
        let mut names = Vec::with_capacity(numbers.len());
        for some in numbers.chunks(NAMES) {
            let read = |tx: &Tx<'_>| some.iter().map(|number| name(tx, number)).collect::<Result<Vec<_>, StoreError>>();
            names.extend(self.db.read(read).await?);
        }
        Ok(names)
    }
}

/// Orders, revenue and time of the last order, by customer.
type Bought = HashMap<i64, (i64, Amount, Timestamp)>;

/// Customers' purchases by the entries from a mark on, and where to continue.
fn take(tx: &Tx<'_>, generation: u32, from: Mark, to: Timestamp) -> Result<(Bought, Option<Mark>), StoreError> {
    let (mut buyers, mut count, mut mark) = (Bought::new(), 0, None);
    for entry in from.entries(tx, generation, to).rows().take(ENTRIES) {
        let entry = entry?;
        count += 1;
        mark = Some(Mark::after(&entry));
        let Some(buyer) = entry.buyer else { continue };
        let (orders, revenue, latest) = buyers.entry(buyer).or_insert((0, Amount::ZERO, entry.at));
        *orders += 1;
        *revenue += entry.measures.revenue;
        *latest = entry.at;
    }
    Ok((buyers, mark.filter(|_| count == ENTRIES)))
}
