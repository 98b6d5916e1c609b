//! Tests of the service on the memory engine. They call it through the registry, as the HTTP layer and other services
//! do.

mod access_tokens;
mod account;
mod audit_log;
mod auth;
mod keys;
mod roles;

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
use promox_testkit::sample::{email, store_profile};
use promox_testkit::{Harness, Setup};

use crate::api::{LoggedIn, Login, Register, Secret};
use crate::{UserSettings, Users};

const PASSWORD: &str = "correct horse battery staple";

/// Stubs that stand in for the other services. They record what they get, or fail while `down` is set.
#[derive(Default)]
struct StubServices {
    messages: Mutex<Vec<SendMessage>>,
    merged: Mutex<Vec<MergeGuestCart>>,
    down: AtomicBool,
    /// The open orders that erasures wait for.
    open: Mutex<OpenOrders>,
}

impl StubServices {
    /// Fails while the services are down.
    fn up(&self) -> Result<(), Error> {
        if self.down.load(Ordering::Relaxed) {
            Err(Error::unavailable("DOWN", "The service is down.", 1))
        } else {
            Ok(())
        }
    }

    /// The data that a service holds about a user: the user's id and the service's name.
    fn export<O: Op>(&self, user_id: UserId) -> Result<PersonalData, Error> {
        self.up().map(|()| PersonalData(serde_json::json!({ "of": user_id, "by": O::SERVICE })))
    }
}

/// The user service, with stubs for the other services.
struct Shop {
    harness: Harness<Users>,
    stubs: Arc<StubServices>,
}

impl Deref for Shop {
    type Target = Harness<Users>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

impl Shop {
    /// Starts the service on an empty store.
    async fn open() -> Self {
        let stubs = Arc::<StubServices>::default();
        let harness = Setup::at("2026-11-23T05:33:00Z")
            .answer(|_, _: GetStoreProfile| Ok(StoreProfile { ignore_plus_tags: true, ..store_profile() }))
            .answer(|_, _: GetStoreTaxes| {
                let regions = [("US".to_owned(), vec!["CA".to_owned()])].into();
                Ok(StoreTaxes { classes: vec!["STANDARD".to_owned()], regions })
            })
            .answer(|cx, _: GetNodePermissions| {
                let named = cx.node.registry()?.entries().iter().filter_map(|entry| entry.access.permission());
                Ok(PermissionNames { names: named.map(str::to_owned).collect() })
            })
            .answer_from(&stubs, |stubs, _, op: SendMessage| stubs.up().map(|()| stubs.messages.lock().push(op)))
            .answer_from(&stubs, |stubs, _, op: MergeGuestCart| stubs.up().map(|()| stubs.merged.lock().push(op)))
            .answer_from(&stubs, |stubs, _, _: PrepareErasure| stubs.up().map(|()| stubs.open.lock().clone()))
            .answer_from(&stubs, |stubs, _, op: ExportOrders| stubs.export::<ExportOrders>(op.user_id))
            .answer_from(&stubs, |stubs, _, op: ExportPayments| stubs.export::<ExportPayments>(op.user_id))
            .answer_from(&stubs, |stubs, _, op: ExportCarts| stubs.export::<ExportCarts>(op.user_id))
            .answer_from(&stubs, |stubs, _, op: ExportNotifications| stubs.export::<ExportNotifications>(op.user_id))
            .answer_from(&stubs, |stubs, _, op: ExportRewards| stubs.export::<ExportRewards>(op.user_id))
            .start(|databases| Users::new(databases.ecommerce.clone(), Cache::in_memory(), UserSettings::default()));
        harness.service.recover(&harness.cx()).await.unwrap();
        Self { harness, stubs }
    }

    /// The context of a request with an access token.
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

    /// The context of an administrator who has logged in.
    async fn admin(&self) -> Cx {
        self.service.ensure_admin(&self.cx(), "admin@example.com", PASSWORD).await.unwrap();
        let logged_in = self.login("admin@example.com", PASSWORD).await.unwrap();
        self.bearer(&logged_in.access_token).await.unwrap()
    }

    /// The token in the last message.
    fn mailed_token(&self) -> Secret {
        let messages = self.stubs.messages.lock();
        Secret(messages.last().unwrap().data["token"].as_str().unwrap().to_owned())
    }
}

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn registration(address: &str) -> Register {
    let email = email(address);
    Register { email, password: secret(PASSWORD), name: None, phone: None, locale: None, referral_code: None }
}

fn login(address: &str, password: &str) -> Login {
    Login { email: email(address), password: secret(password) }
}
