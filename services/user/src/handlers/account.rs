//! Operations of users on their own account.

use promox_contract::codes;
use promox_contract::order::PrepareErasure;
use promox_contract::store::GetStoreTaxes;
use promox_contract::user::{ExportCarts, ExportNotifications, ExportOrders, ExportPayments, ExportRewards};
use promox_kernel::{Cx, Error, Handle, Kind, Op, Page, UserId};
use promox_storage::Tx;

use super::auth::{recheck_user, session_of};
use crate::api::{
    AddressView, ChangePassword, CreateAddress, DeleteAddress, EraseMe, ErasureView, ExportMe, GetMe, ListAddresses,
    PersonalExport, UpdateAddress, UpdateMe, UserStatus, UserView,
};
use crate::commands::{accounts, addresses, erasures};
use crate::records::{Address, AuditByActor, EndReason, Erasure, User};
use crate::rules::passwords;
use crate::{Users, queries, reject};

/// Maximum audit entries in an export.
const EXPORTED_ENTRIES: usize = 1_000;

impl Handle<GetMe> for Users {
    async fn handle(&self, cx: &Cx, _: GetMe) -> Result<UserView, Error> {
        let (id, _) = session_of(cx)?;
        let user = self.db.read(|tx| queries::user(tx, id)).await?;
        self.view_for_self(cx, user).await
    }
}

impl Handle<UpdateMe> for Users {
    async fn handle(&self, cx: &Cx, op: UpdateMe) -> Result<UserView, Error> {
        let (id, _) = session_of(cx)?;
        let context = cx.clone();
        let user = self.db.write(cx, move |tx| accounts::update_profile(tx, &context, id, &op)).await?;
        self.view_for_self(cx, user).await
    }
}

impl Handle<EraseMe> for Users {
    async fn handle(&self, cx: &Cx, _: EraseMe) -> Result<ErasureView, Error> {
        let (id, session) = session_of(cx)?;
        let context = cx.clone();
        let erasure = self.db.write(cx, move |tx| erasures::request(tx, &context, id, session)).await?;
        match self.run_erasure(cx, id).await {
            Ok(Some(erasure)) => Ok(queries::erasure_view(&erasure)),
            Ok(None) => Ok(ErasureView { status: UserStatus::Erased, ..queries::erasure_view(&erasure) }),
            Err(error) => {
                tracing::warn!(user = id.0, %error, "an erasure could not be checked and will be retried");
                Ok(queries::erasure_view(&erasure))
            }
        }
    }
}

impl Users {
    /// Runs a requested erasure if no order needs the personal data any more. Otherwise returns the erasure with what
    /// it waits for.
    pub(crate) async fn run_erasure(&self, cx: &Cx, id: UserId) -> Result<Option<Erasure>, Error> {
        let orders = cx.elevated().call(PrepareErasure { user_id: id }).await?;
        let context = cx.clone();
        self.db.write(cx, move |tx| erasures::run(tx, &context, id, &orders)).await
    }
}

impl Handle<ChangePassword> for Users {
    async fn handle(&self, cx: &Cx, op: ChangePassword) -> Result<(), Error> {
        let (id, session) = session_of(cx)?;
        let user = self.db.read(|tx| queries::user(tx, id)).await?;
        let email = user.email.ok_or_else(reject::erased)?;
        let new = op.new_password.0;
        passwords::check(&new, Some(&email), "/newPassword").map_err(|fault| Error::invalid(vec![fault]))?;
        let checked = self.check_password(cx, &email, op.current_password.0).await?;
        let checked = checked.ok_or_else(reject::wrong_password)?;
        let hash = self.passwords.hash(&cx.node.entropy, new).await?;
        let work = move |tx: &mut Tx<'_>| {
            recheck_user(tx, &checked)?;
            accounts::set_password(tx, id, &hash, Some(session), EndReason::PasswordChanged).map(drop)
        };
        self.db.write(cx, work).await
    }
}

impl Handle<ExportMe> for Users {
    async fn handle(&self, cx: &Cx, _: ExportMe) -> Result<PersonalExport, Error> {
        let (user_id, _) = session_of(cx)?;
        let (orders, payments, cart, notifications, rewards) = tokio::try_join!(
            export_part(cx, ExportOrders { user_id }),
            export_part(cx, ExportPayments { user_id }),
            export_part(cx, ExportCarts { user_id }),
            export_part(cx, ExportNotifications { user_id }),
            export_part(cx, ExportRewards { user_id }),
        )?;
        let read = |tx: &Tx<'_>| {
            let actor = format!("user:{user_id}");
            let entries = tx.scan_by::<AuditByActor>().prefix(actor.as_str()).backward().collect(EXPORTED_ENTRIES)?;
            let account = queries::user_view(tx, queries::user(tx, user_id)?)?;
            Ok::<_, Error>((account, address_book(tx, user_id)?, queries::sessions(tx, user_id)?, entries))
        };
        let (account, addresses, sessions, entries) = self.db.read(read).await?;
        Ok(PersonalExport {
            exported_at: cx.now,
            account,
            addresses,
            sessions,
            audit: entries.into_iter().map(queries::audit_view).collect(),
            orders: orders.0,
            payments: payments.0,
            cart: cart.0,
            notifications: notifications.0,
            rewards: rewards.0,
        })
    }
}

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

impl Handle<ListAddresses> for Users {
    async fn handle(&self, cx: &Cx, op: ListAddresses) -> Result<Page<AddressView>, Error> {
        let (id, _) = session_of(cx)?;
        let page = self.db.read(|tx| tx.scan::<Address>().prefix(id).page(op.limit, op.cursor.clone())).await?;
        Ok(page.map(queries::address_view))
    }
}

impl Handle<CreateAddress> for Users {
    async fn handle(&self, cx: &Cx, op: CreateAddress) -> Result<AddressView, Error> {
        let (id, _) = session_of(cx)?;
        let taxes = cx.call(GetStoreTaxes {}).await?;
        self.db.answer(cx, move |tx| addresses::create(tx, id, &op, &taxes).map(queries::address_view)).await
    }
}

impl Handle<UpdateAddress> for Users {
    async fn handle(&self, cx: &Cx, op: UpdateAddress) -> Result<AddressView, Error> {
        let (id, _) = session_of(cx)?;
        let (context, taxes) = (cx.clone(), cx.call(GetStoreTaxes {}).await?);
        self.db.write(cx, move |tx| addresses::update(tx, &context, id, &op, &taxes).map(queries::address_view)).await
    }
}

impl Handle<DeleteAddress> for Users {
    async fn handle(&self, cx: &Cx, op: DeleteAddress) -> Result<(), Error> {
        let (id, _) = session_of(cx)?;
        let context = cx.clone();
        self.db.write(cx, move |tx| addresses::delete(tx, &context, id, op.id)).await
    }
}

impl Users {
    /// The view of a user for that user, with permissions.
    pub(crate) async fn view_for_self(&self, cx: &Cx, user: User) -> Result<UserView, Error> {
        let (id, all_permissions) = (user.id, self.all_permissions(cx).await?);
        let read = |tx: &Tx<'_>| {
            let view = queries::user_view(tx, user.clone())?;
            let allowed = queries::permissions_of_roles(tx, &queries::roles_of(tx, id)?, &all_permissions)?;
            Ok::<_, Error>(UserView { permissions: Some(allowed.into_iter().collect()), ..view })
        };
        self.db.read(read).await
    }
}
