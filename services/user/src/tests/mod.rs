//! The service on the memory engine, asked through the registry as the edge and other services ask it.

mod account;
mod auth;
mod roles;
mod token;
mod trail;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::cart::MergeGuestCart;
use promox_contract::notification::SendMessage;
use promox_contract::order::{OpenOrders, PrepareErasure};
use promox_contract::store::{GetStoreProfile, GetStoreTaxes, StoreProfile, StoreTaxes};
use promox_contract::user::{
    Authenticate, ExportCarts, ExportNotifications, ExportOrders, ExportPayments, ExportRewards, GetNodePermissions,
    PermissionNames, PersonalData,
};
use promox_kernel::{Cx, Error, Op, UserId};
use promox_storage::{Cache, Database, Service};
use promox_testkit::sample::{email, store_facts};
use promox_testkit::{Harness, Setup};

use crate::api::{LoggedIn, Login, Register, Secret};
use crate::{UserSettings, Users};

const PASSWORD: &str = "correct horse battery staple";

/// The other services, as far as this one asks them: they note what they were asked, or are down.
#[derive(Default)]
struct Others {
    messages: Mutex<Vec<SendMessage>>,
    merged: Mutex<Vec<MergeGuestCart>>,
    down: AtomicBool,
    /// What erasures wait for.
    open: Mutex<OpenOrders>,
}

impl Others {
    fn up(&self) -> Result<(), Error> {
        if self.down.load(Ordering::Relaxed) { Err(Error::unavailable("DOWN", "It is down.", 1)) } else { Ok(()) }
    }

    fn export<O: Op>(&self, user_id: UserId) -> Result<PersonalData, Error> {
        self.up().map(|()| PersonalData(serde_json::json!({ "of": user_id, "by": O::SERVICE })))
    }
}

/// A node with the user service.
struct Shop {
    harness: Harness<Users>,
    others: Arc<Others>,
}

impl Deref for Shop {
    type Target = Harness<Users>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

impl Shop {
    async fn open() -> Self {
        let others = Arc::<Others>::default();
        let harness = Setup::at("2026-11-23T05:33:00Z")
            .answer(|_, _: GetStoreProfile| Ok(StoreProfile { ignore_plus_tags: true, ..store_facts() }))
            .answer(|_, _: GetStoreTaxes| {
                let regions = [("US".to_owned(), vec!["CA".to_owned()])].into();
                Ok(StoreTaxes { classes: vec!["STANDARD".to_owned()], regions })
            })
            .answer(|cx, _: GetNodePermissions| {
                let named = cx.node.registry()?.entries().iter().filter_map(|entry| entry.access.permission());
                Ok(PermissionNames { names: named.map(str::to_owned).collect() })
            })
            .answer_from(&others, |others, _, op: SendMessage| others.up().map(|()| others.messages.lock().push(op)))
            .answer_from(&others, |others, _, op: MergeGuestCart| others.up().map(|()| others.merged.lock().push(op)))
            .answer_from(&others, |others, _, _: PrepareErasure| others.up().map(|()| others.open.lock().clone()))
            .answer_from(&others, |others, _, op: ExportOrders| others.export::<ExportOrders>(op.user_id))
            .answer_from(&others, |others, _, op: ExportPayments| others.export::<ExportPayments>(op.user_id))
            .answer_from(&others, |others, _, op: ExportCarts| others.export::<ExportCarts>(op.user_id))
            .answer_from(&others, |others, _, op: ExportNotifications| others.export::<ExportNotifications>(op.user_id))
            .answer_from(&others, |others, _, op: ExportRewards| others.export::<ExportRewards>(op.user_id))
            .start(|databases| Users::new(databases.ecommerce.clone(), Cache::in_memory(), UserSettings::default()));
        harness.service.recover(&harness.cx()).await.unwrap();
        Self { harness, others }
    }

    /// Whoever holds the access token.
    async fn bearer(&self, token: &Secret) -> Result<Cx, Error> {
        let cx = self.anonymous();
        let known = cx.call(Authenticate { token: token.0.clone(), leaving: true }).await?;
        Ok(Cx { principal: known.principal(), ..cx })
    }

    async fn register(&self, email: &str) -> LoggedIn {
        self.run(self.anonymous(), registration(email)).await.unwrap()
    }

    async fn login(&self, email: &str, password: &str) -> Result<LoggedIn, Error> {
        self.run(self.anonymous(), login(email, password)).await
    }

    /// An administrator, logged in.
    async fn admin(&self) -> Cx {
        self.service.ensure_admin(&self.cx(), "admin@example.com", PASSWORD).await.unwrap();
        let logged_in = self.login("admin@example.com", PASSWORD).await.unwrap();
        self.bearer(&logged_in.access_token).await.unwrap()
    }

    /// The token of the last message.
    fn mailed_token(&self) -> Secret {
        let messages = self.others.messages.lock();
        Secret(messages.last().unwrap().data["token"].as_str().unwrap().to_owned())
    }
}

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn registration(address: &str) -> Register {
    let email = email(address);
    Register { email, password: secret(PASSWORD), name: None, phone: None, referral_code: None }
}

fn login(address: &str, password: &str) -> Login {
    Login { email: email(address), password: secret(password) }
}
