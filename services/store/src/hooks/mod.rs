//! Hooks: the merchant's own service is asked for tax, for shipping rates, and whether an order may be placed, while a
//! checkout waits. Questions are signed by the Standard Webhooks scheme.
//!
//! A store has at most one hook of each kind. An answer that is late, missing or wrong counts as a failure: then the
//! checkout is refused or goes on without the hook, as its fallback says. A hook that fails often is not asked for a
//! while. No transaction is open while a hook is asked.

pub mod api;
mod asking;
mod commands;
mod handlers;
pub(crate) mod queries;
pub(crate) mod records;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::hook::{self, HookKind};
use promox_contract::ids::HookId;
use promox_kernel::{Outgoing, Subnet};
use promox_outbound::breaker::{Breaker, BreakerSettings};
use promox_outbound::{HttpClient, Reach, check_url, standard_webhooks};

/// Hooks are not asked while at least half of the last calls failed, of which there are at least five.
const BREAKER: BreakerSettings = BreakerSettings {
    failure_percent: 50,
    slow_percent: 100,
    slow_call: Duration::from_secs(60),
    window: 20,
    minimum_calls: 5,
    open_for: Duration::from_secs(10),
    half_open_calls: 2,
};

const STATUSES: &[(&str, &str)] = &[
    ("200", "The answer, at most 64 KiB, within the hook's time limit. Unknown members are ignored."),
    ("default", "The hook's fallback applies."),
];

/// The questions that hooks are asked.
pub(crate) fn questions() -> impl Iterator<Item = Outgoing> {
    let question = |kind: &HookKind| hook::outgoing("store", *kind);
    HookKind::ALL.iter().map(question).map(|it| it.with_headers(&standard_webhooks::HEADERS).with_statuses(STATUSES))
}

/// Where hooks may lead.
#[derive(Clone, Debug, Default)]
pub struct HookSettings {
    /// Networks that hooks may be in although they are not public.
    pub networks: Vec<Subnet>,
    /// The ports of this server's listeners, which are never asked.
    pub own_ports: Vec<u16>,
}

/// What hooks need besides the store.
#[derive(Debug)]
pub(crate) struct Hooks {
    client: HttpClient,
    reach: Reach,
    /// The breaker of each hook, by its id and version: a changed hook begins anew.
    breakers: Mutex<HashMap<HookId, (i64, Arc<Breaker>)>>,
}

impl Hooks {
    pub(crate) fn new(settings: HookSettings) -> Result<Self, String> {
        let reach = Reach::Public { networks: settings.networks, own_ports: settings.own_ports };
        Ok(Self { client: HttpClient::new(reach.clone())?, reach, breakers: Mutex::default() })
    }

    /// Refuses a URL whose host has an address that is not public. The error says why.
    pub(crate) async fn check_url(&self, url: &str) -> Result<(), String> {
        self.reach.check_host(&check_url(url, false)?).await
    }

    /// The breaker of a hook in this version.
    fn breaker(&self, id: HookId, version: i64) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock();
        let known = breakers.entry(id).or_insert_with(|| (version, Arc::new(Breaker::new(BREAKER))));
        if known.0 != version {
            *known = (version, Arc::new(Breaker::new(BREAKER)));
        }
        known.1.clone()
    }
}
