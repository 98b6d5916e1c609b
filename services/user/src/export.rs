//! Everything that is held about a user, of all services.

use promox_contract::codes;
use promox_contract::user::{ExportCarts, ExportNotifications, ExportOrders, ExportPayments, ExportRewards};
use promox_kernel::{Cx, Error, Kind, Op, UserId};
use promox_storage::Tx;

use crate::api::{AddressView, PersonalExport};
use crate::records::{Address, AuditByActor};
use crate::{Users, queries};

/// The data that one service holds. If it cannot be had, the whole export fails, because an incomplete one would
/// mislead.
async fn export_part<O: Op>(cx: &Cx, op: O) -> Result<O::Reply, Error> {
    cx.elevated().call(op).await.map_err(|error| {
        if error.kind() == Kind::Internal {
            tracing::error!(service = O::SERVICE, %error, "a service failed to provide its part of an export");
        }
        let message = format!("The {} service did not provide its part of the export: try again.", O::SERVICE);
        Error::unavailable(codes::EXPORT_INCOMPLETE, message, 5)
    })
}

/// All addresses of a user.
fn address_book(tx: &Tx<'_>, user: UserId) -> Result<Vec<AddressView>, Error> {
    let rows = tx.scan::<Address>().prefix(user).collect(crate::rules::addresses::MAX_ADDRESSES)?;
    Ok(rows.into_iter().map(queries::address_view).collect())
}

impl Users {
    /// Everything that is held about a user.
    pub(crate) async fn export(&self, cx: &Cx, user_id: UserId) -> Result<PersonalExport, Error> {
        let (orders, payments, cart, notifications, rewards) = tokio::try_join!(
            export_part(cx, ExportOrders { user_id }),
            export_part(cx, ExportPayments { user_id }),
            export_part(cx, ExportCarts { user_id }),
            export_part(cx, ExportNotifications { user_id }),
            export_part(cx, ExportRewards { user_id }),
        )?;
        let actor = format!("user:{user_id}");
        let entries = self.db.read_all(|tx, limit, cursor| {
            let page = tx.scan_by::<AuditByActor>().prefix(actor.as_str()).backward().page(limit, cursor)?;
            Ok(page.map(queries::audit_view))
        });
        let audit = entries.await?;
        let read = |tx: &Tx<'_>| {
            let account = queries::user_view(tx, queries::user(tx, user_id)?)?;
            Ok::<_, Error>((account, address_book(tx, user_id)?, queries::sessions(tx, user_id)?))
        };
        let (account, addresses, sessions) = self.db.read(read).await?;
        Ok(PersonalExport {
            exported_at: cx.now,
            account,
            addresses,
            sessions,
            audit,
            orders: orders.0,
            payments: payments.0,
            cart: cart.0,
            notifications: notifications.0,
            rewards: rewards.0,
        })
    }
}
