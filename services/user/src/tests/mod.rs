//! The service on the memory engine, asked through the registry as the edge and other services ask it.

mod account;
mod auth;
mod roles;
mod token;
mod trail;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::cart::MergeGuestCart;
use promox_contract::notification::SendMessage;
use promox_contract::order::{OpenOrders, PrepareErasure};
use promox_contract::store::{StoreFacts, StoreProfile, StoreTaxes, TaxFacts};
use promox_contract::user::{
    Authenticate, ExportCarts, ExportNotifications, ExportOrders, ExportPayments, ExportRewards, NamedPermissions,
    PermissionNames, PersonalData,
};
use promox_kernel::{Clock, Currency, Cx, Email, Entropy, Error, Handle, Node, Op, Principal, Registry, Timestamp};
use promox_storage::{Cache, Consumer, ConsumerLoop, Database, Db, MemoryEngine, Report, Service, Tx};

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

impl Handle<PrepareErasure> for Others {
    async fn handle(&self, _: &Cx, _: PrepareErasure) -> Result<OpenOrders, Error> {
        self.up().map(|()| self.open.lock().clone())
    }
}

impl Others {
    fn up(&self) -> Result<(), Error> {
        if self.down.load(Ordering::Relaxed) { Err(Error::unavailable("DOWN", "It is down.", 1)) } else { Ok(()) }
    }
}

impl Handle<SendMessage> for Others {
    async fn handle(&self, _: &Cx, op: SendMessage) -> Result<(), Error> {
        self.up().map(|()| self.messages.lock().push(op))
    }
}
impl Handle<MergeGuestCart> for Others {
    async fn handle(&self, _: &Cx, op: MergeGuestCart) -> Result<(), Error> {
        self.up().map(|()| self.merged.lock().push(op))
    }
}
impl Handle<StoreProfile> for Others {
    async fn handle(&self, _: &Cx, _: StoreProfile) -> Result<StoreFacts, Error> {
        let (name, timezone, locale) = ("Shop".to_owned(), "UTC".to_owned(), "en".to_owned());
        Ok(StoreFacts { name, currency: Currency::GBP, timezone, locale, ignore_plus_tags: true })
    }
}
impl Handle<StoreTaxes> for Others {
    async fn handle(&self, _: &Cx, _: StoreTaxes) -> Result<TaxFacts, Error> {
        let regions = [("US".to_owned(), vec!["CA".to_owned()])].into();
        Ok(TaxFacts { classes: vec!["STANDARD".to_owned()], regions })
    }
}
impl Handle<NamedPermissions> for Others {
    async fn handle(&self, cx: &Cx, _: NamedPermissions) -> Result<PermissionNames, Error> {
        let named = cx.node.registry()?.entries().iter().filter_map(|entry| entry.access.permission());
        Ok(PermissionNames { names: named.map(str::to_owned).collect() })
    }
}
macro_rules! exports {
    ($($op:ty),+) => {$(
        impl Handle<$op> for Others {
            async fn handle(&self, _: &Cx, op: $op) -> Result<PersonalData, Error> {
                self.up().map(|()| PersonalData(serde_json::json!({ "of": op.user_id, "by": <$op>::SERVICE })))
            }
        }
    )+};
}
exports!(ExportOrders, ExportPayments, ExportCarts, ExportNotifications, ExportRewards);

/// A node with the user service.
struct Shop {
    node: Arc<Node>,
    users: Arc<Users>,
    others: Arc<Others>,
    engine: Arc<MemoryEngine>,
    clock: Clock,
}

impl Shop {
    async fn open() -> Self {
        let clock = Clock::manual("2026-11-23T05:33:00Z".parse::<Timestamp>().unwrap());
        let (node, engine) = (Node::new(clock.clone(), Entropy::seeded(1)), MemoryEngine::new());
        let users = Users::new(engine.database(Database::Ecommerce), Cache::in_memory(), UserSettings::default());
        let (others, mut registry) = (Arc::<Others>::default(), Registry::default());
        users.register(&mut registry);
        promox_kernel::register!(registry, &others; SendMessage, MergeGuestCart, StoreProfile, StoreTaxes, PrepareErasure);
        promox_kernel::register!(registry, &others; ExportOrders, ExportPayments, ExportCarts, ExportNotifications);
        promox_kernel::register!(registry, &others; ExportRewards);
        promox_kernel::register!(registry, &others; NamedPermissions);
        node.install(registry);
        let shop = Self { node, users, others, engine, clock };
        shop.users.recover(&shop.system()).await.unwrap();
        shop
    }

    fn db(&self) -> Db {
        self.engine.database(Database::Ecommerce)
    }

    fn system(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_secs(60))
    }

    /// Somebody whom nobody knows.
    fn anonymous(&self) -> Cx {
        let client = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
        Cx { principal: Principal::Anonymous, client, ..self.system() }
    }

    /// Whoever holds the access token.
    async fn bearer(&self, token: &Secret) -> Result<Cx, Error> {
        let cx = self.anonymous();
        let known = cx.call(Authenticate { token: token.0.clone(), leaving: true }).await?;
        Ok(Cx { principal: known.principal(), ..cx })
    }

    async fn ask<O: Op>(&self, cx: &Cx, op: O) -> Result<O::Reply, Error> {
        O::ACCESS.check(cx)?;
        self.node.registry()?.call(cx.clone(), op).await
    }

    async fn register(&self, email: &str) -> LoggedIn {
        self.ask(&self.anonymous(), registration(email)).await.unwrap()
    }

    async fn login(&self, email: &str, password: &str) -> Result<LoggedIn, Error> {
        self.ask(&self.anonymous(), login(email, password)).await
    }

    /// An administrator, logged in.
    async fn admin(&self) -> Cx {
        self.users.ensure_admin(&self.system(), "admin@example.com", PASSWORD).await.unwrap();
        let logged_in = self.login("admin@example.com", PASSWORD).await.unwrap();
        self.bearer(&logged_in.access_token).await.unwrap()
    }

    /// Runs a job of the service until it has nothing to do.
    async fn run(&self, name: &str) {
        let job = self.users.jobs().into_iter().find(|job| job.name == name).unwrap();
        while job.run(self.system()).await.unwrap() {}
    }

    /// Lets the audit trail catch up.
    async fn consume(&self) {
        let shop = |consumer: &Arc<dyn Consumer>| consumer.source() == Database::Ecommerce;
        for consumer in self.users.consumers().into_iter().filter(shop) {
            let mut consumer = ConsumerLoop::new(consumer, self.db(), self.db());
            while consumer.turn(&self.node).await.unwrap() {}
        }
    }

    /// What the service's own auditor finds.
    fn findings(&self) -> Vec<&'static str> {
        let (reader, mut report) = (self.db().long_read().unwrap(), Report::default());
        self.users.audit(&Tx::unbounded(&*reader, Database::Ecommerce), &mut report).unwrap();
        for table in Users::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        report.finish().0.into_iter().map(|finding| finding.invariant).collect()
    }

    /// The token of the last message.
    fn mailed_token(&self) -> Secret {
        let messages = self.others.messages.lock();
        Secret(messages.last().unwrap().data["token"].as_str().unwrap().to_owned())
    }
}

fn email(text: &str) -> Email {
    text.parse().unwrap()
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
