//! Reservations: they pass the gates in memory, then they are written.

use promox_contract::buyer::Buyer;
use promox_contract::ids::FlashSaleId;
use promox_contract::product::ResolveSkus;
use promox_contract::store::GetStoreProfile;
use promox_contract::user::FindAccounts;
use promox_kernel::{Cx, Error, Sku, UserId};
use promox_storage::{Lane, Tx};

use crate::api::{CreateReservation, ReservationView};
use crate::commands::reservations::{self, Reserver};
use crate::gates::{self, Freed, SaleFacts, SaleGates};
use crate::records::UserCount;
use crate::{FlashSales, checks, queries, reject};

/// Maximum user counts fetched in one read.
const COUNTS_PER_READ: usize = 10_000;

/// The other accounts with the user's mailbox, if the store ignores plus tags in addresses. Otherwise there are none,
/// because an address has only one account.
async fn other_accounts(cx: &Cx, user: UserId) -> Result<Vec<UserId>, Error> {
    if !cx.call(GetStoreProfile {}).await?.ignore_plus_tags {
        return Ok(Vec::new());
    }
    let buyer = Buyer::identify(cx, Some(user), None).await?;
    let emails = buyer.emails().into_iter().cloned().collect();
    let mut ids = cx.call(FindAccounts { emails, ignore_plus_tags: true }).await?.ids;
    ids.retain(|id| *id != user);
    Ok(ids)
}

/// The position of a SKU's item in a sale. The catalog is queried only if no item has this SKU in the sale's terms.
async fn item_number(cx: &Cx, sale: &SaleFacts, sku: &Sku) -> Result<u32, Error> {
    if let Some(item) = sale.item_of_sku(sku) {
        return Ok(item);
    }
    let found = cx.call(ResolveSkus { skus: vec![sku.clone()] }).await?.variants.into_iter().flatten().next();
    let item = found.and_then(|variant| sale.item_of_variant(variant.variant_id));
    item.ok_or_else(|| Error::field("/sku", format!("{sku} is not in this sale")))
}

impl FlashSales {
    /// Reserves units for a user.
    pub(crate) async fn reserve(&self, cx: &Cx, user: UserId, op: CreateReservation) -> Result<ReservationView, Error> {
        let CreateReservation { id, sku, quantity } = op;
        let load = || self.read_gates(id);
        let sale = self.gates.open(id, load).await?;
        let item = item_number(cx, &sale, &sku).await?;
        if let Some(campaign) = sale.campaign_id {
            checks::check_campaign(cx, campaign, user).await?;
        }
        let pass = self.gates.take((id, item), user, quantity, load).await?.map_err(reject::from_gate)?;
        let reserver = Reserver { user_id: user, others: other_accounts(cx, user).await? };
        let reserve = move |tx: &mut Tx<'_>| {
            let made = reservations::reserve(tx, id, item, &reserver, quantity)?;
            Ok(ReservationView { reservation_id: made.id, unit_price: made.unit_price, expires_at: made.expires_at })
        };
        let answer = self.db.answer(cx, reserve).await;
        match &answer {
            Ok(_) => pass.keep().await,
            Err(error) => {
                pass.release().await;
                if error.is_decided() {
                    // The rows are authoritative: load the gate from them again.
                    self.gates.forget(id).await;
                }
            }
        }
        answer
    }

    /// Builds the gates of a running sale from its rows.
    async fn read_gates(&self, id: FlashSaleId) -> Result<SaleGates, Error> {
        let (sale, items) = self.db.read(|tx| queries::running_sale(tx, id)).await?;
        let mut users: Vec<UserCount> = Vec::new();
        loop {
            let from = users.last().map_or((0, 0), |last| (last.item, last.user_id.0 + 1));
            let more = self.db.read(|tx| tx.scan::<UserCount>().prefix(id).from(from).collect(COUNTS_PER_READ)).await?;
            let done = more.len() < COUNTS_PER_READ;
            users.extend(more);
            if done {
                return Ok(gates::from_rows(&sale, &items, &users));
            }
        }
    }

    /// Loads the gates of all running sales before the node is ready, so that no buyer waits for it.
    pub(crate) async fn open_gates(&self) -> Result<(), Error> {
        for sale in self.db.read(queries::running_sales).await? {
            self.gates.open(sale.id, || self.read_gates(sale.id)).await?;
        }
        Ok(())
    }

    /// Runs a write that releases units in the rows, then releases them at the gates. Returns the number of
    /// reservations that it ended.
    pub(crate) async fn write_releasing<F>(&self, cx: &Cx, lane: Lane, work: F) -> Result<usize, Error>
    where
        F: Fn(&mut Tx<'_>) -> Result<Vec<Freed>, Error> + Send + 'static,
    {
        let doubt = self.gates.doubt().await;
        let freed = self.db.write_in(cx, lane, work).await;
        doubt.settle(&freed).await;
        Ok(freed?.len())
    }
}
