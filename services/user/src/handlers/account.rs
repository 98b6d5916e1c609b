//! Operations of users on their own account.

use promox_contract::store::GetStoreTaxes;
use promox_kernel::{Cx, Error, Handle, Page};
use promox_storage::Tx;

use crate::api::{
    AddressView, ChangePassword, CreateAddress, DeleteAddress, EraseMe, ErasureView, ExportMe, GetMe, ListAddresses,
    PersonalExport, UpdateAddress, UpdateMe, UserStatus, UserView,
};
use crate::commands::{accounts, addresses, erasures};
use crate::login::{recheck_user, session_of};
use crate::records::{Address, EndReason};
use crate::rules::passwords;
use crate::{Users, queries, reject};

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

    async fn check(&self, cx: &Cx, op: UpdateMe) -> Result<(), Error> {
        let (id, _) = session_of(cx)?;
        let who = cx.clone();
        self.db.rehearse(cx, move |tx| accounts::update_profile(tx, &who, id, &op)).await
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
        let (id, _) = session_of(cx)?;
        self.export(cx, id).await
    }
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

    async fn check(&self, cx: &Cx, op: CreateAddress) -> Result<(), Error> {
        crate::rules::addresses::check(op, &cx.call(GetStoreTaxes {}).await?).map(drop)
    }
}

impl Handle<UpdateAddress> for Users {
    async fn handle(&self, cx: &Cx, op: UpdateAddress) -> Result<AddressView, Error> {
        let (id, _) = session_of(cx)?;
        let (context, taxes) = (cx.clone(), cx.call(GetStoreTaxes {}).await?);
        self.db.write(cx, move |tx| addresses::update(tx, &context, id, &op, &taxes).map(queries::address_view)).await
    }

    async fn check(&self, cx: &Cx, op: UpdateAddress) -> Result<(), Error> {
        let (id, _) = session_of(cx)?;
        let (who, taxes) = (cx.clone(), cx.call(GetStoreTaxes {}).await?);
        self.db.rehearse(cx, move |tx| addresses::update(tx, &who, id, &op, &taxes)).await
    }
}

impl Handle<DeleteAddress> for Users {
    async fn handle(&self, cx: &Cx, op: DeleteAddress) -> Result<(), Error> {
        let (id, _) = session_of(cx)?;
        let context = cx.clone();
        self.db.write(cx, move |tx| addresses::delete(tx, &context, id, op.id)).await
    }
}
