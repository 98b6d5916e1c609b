//! A registered application: its instances as the gateway knows them, and which one gets the next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use parking_lot::RwLock;
use promox_contract::discovery::{InstanceStatus, RegisteredInstance};

use crate::policy::{Figures, Permit, Policy, Reported};
use crate::rules::balance::{Candidate, pick};
use crate::rules::budget::RetryBudget;
use crate::rules::route::{Stated, split_address};
use promox_outbound::breaker::{Breaker, BreakerCounts, BreakerSettings, BreakerState, Outcome, Pass};

/// An instance of an application.
#[derive(Debug)]
pub struct Instance {
    /// Identifies it within this process: no other instance ever gets its number.
    pub serial: u64,
    /// The id that it is registered under, or its address.
    pub id: String,
    /// The IP address or host name to connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it is reached by HTTPS.
    pub is_secure: bool,
    /// The name that its certificate must have.
    pub name: String,
    /// What a request names as its host: over HTTPS the name that the certificate has.
    pub authority: HeaderValue,
    status: RwLock<InstanceStatus>,
    known_since: Duration,
    in_flight: AtomicUsize,
    /// Whether it gets no requests until a probe has reached it.
    is_out: AtomicBool,
    breaker: Breaker,
    figures: Figures,
}

/// The state of an instance.
#[derive(Clone, Copy, Debug)]
pub struct InstanceReport {
    /// The status in the registry.
    pub status: InstanceStatus,
    /// Whether it gets no requests because it could not be reached.
    pub is_out: bool,
    /// Requests in flight.
    pub in_flight: usize,
    /// The state of its breaker.
    pub state: BreakerState,
    /// The counts of its breaker.
    pub counts: BreakerCounts,
    /// The figures since the start.
    pub figures: Reported,
}

/// One attempt of a request at an instance, in flight until it is dropped.
#[derive(Debug)]
pub struct Attempt {
    /// The instance.
    pub instance: Arc<Instance>,
    pass: Option<Pass>,
    since: Duration,
}

impl Attempt {
    /// Records the result of the attempt.
    pub fn settle(&mut self, outcome: Outcome, now: Duration) {
        if let Some(pass) = self.pass.take() {
            let took = now.saturating_sub(self.since);
            self.instance.figures.record(outcome, took);
            self.instance.breaker.record(pass, outcome, took, now);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.instance.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.settle(Outcome::Ignored, self.since);
    }
}

impl Instance {
    fn new(registered: &RegisteredInstance, known_since: Duration, breaker: BreakerSettings) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (port, is_secure) = port_of(registered)?;
        let named = if is_secure { &registered.host } else { host_of(registered) };
        Some(Self {
            authority: HeaderValue::try_from(host_and_port(named, port)).ok()?,
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            id: registered.id.clone(),
            host: host_of(registered).to_owned(),
            port,
            is_secure,
            name: registered.host.clone(),
            status: RwLock::new(registered.status),
            known_since,
            in_flight: AtomicUsize::new(0),
            is_out: AtomicBool::new(false),
            breaker: Breaker::new(breaker),
            figures: Figures::default(),
        })
    }

    fn is(&self, registered: &RegisteredInstance) -> bool {
        self.id == registered.id
            && self.host == host_of(registered)
            && self.name == registered.host
            && Some((self.port, self.is_secure)) == port_of(registered)
    }

    /// The address as text.
    pub fn address(&self) -> String {
        host_and_port(&self.host, self.port)
    }

    /// Takes it out: it gets no requests until [`Instance::take_in`], unless no other one is left. Returns whether it was
    /// in.
    pub fn take_out(&self) -> bool {
        !self.is_out.swap(true, Ordering::AcqRel)
    }

    /// Lets it get requests again.
    pub fn take_in(&self) {
        self.is_out.store(false, Ordering::Release);
    }

    /// The state at `now`.
    pub fn report(&self, now: Duration) -> InstanceReport {
        let (state, counts) = self.breaker.report(now);
        InstanceReport {
            status: *self.status.read(),
            is_out: self.is_out.load(Ordering::Acquire),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            state,
            counts,
            figures: self.figures.report(),
        }
    }
}

/// The stated IP address, otherwise the host name.
fn host_of(registered: &RegisteredInstance) -> &str {
    if registered.ip.is_empty() { &registered.host } else { &registered.ip }
}

/// The port that requests go to, and whether it speaks HTTPS: the plain one if it is enabled.
fn port_of(registered: &RegisteredInstance) -> Option<(u16, bool)> {
    let plain = registered.port.map(|port| (port, false));
    plain.or_else(|| registered.secure_port.map(|port| (port, true)))
}

fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// An application with its policies and instances.
#[derive(Debug)]
pub struct App {
    policy: Arc<Policy>,
    breaker: BreakerSettings,
    slow_start: Duration,
    budget: RetryBudget,
    instances: RwLock<Arc<Vec<Arc<Instance>>>>,
    /// The addresses that routes state.
    stated: RwLock<Vec<String>>,
    epoch: AtomicU64,
}

impl App {
    /// An application of which no instance is known yet.
    pub(crate) fn new(name: &str, max_running: usize, breaker: BreakerSettings, slow_start: Duration) -> Arc<Self> {
        Arc::new(Self {
            policy: Policy::new(name, max_running, breaker),
            breaker,
            slow_start,
            budget: RetryBudget::default(),
            instances: RwLock::default(),
            stated: RwLock::default(),
            epoch: AtomicU64::new(0),
        })
    }

    /// The name, in upper case.
    pub fn name(&self) -> &str {
        self.policy.name()
    }

    /// The policies of the application as a whole.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Begins a request: see [`Policy::enter`].
    pub fn enter(&self, now: Duration) -> Result<Permit, promox_kernel::Error> {
        let permit = self.policy.enter(now)?;
        self.budget.count(now);
        Ok(permit)
    }

    /// Takes a retry from the budget, if it permits one.
    pub fn may_retry(&self, now: Duration) -> bool {
        self.budget.take(now)
    }

    /// Whether a request could be sent: an instance is up, and the breaker permits it.
    pub fn is_available(&self, now: Duration) -> bool {
        self.policy.permits(now) && self.instances().iter().any(|it| *it.status.read() == InstanceStatus::Up)
    }

    /// The known instances.
    pub fn instances(&self) -> Arc<Vec<Arc<Instance>>> {
        self.instances.read().clone()
    }

    /// The epoch of the registry that the instances are from; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Replaces the addresses that routes state.
    pub(crate) fn state(&self, addresses: Vec<String>) {
        let registered: Vec<Arc<Instance>> =
            self.instances().iter().filter(|it| it.id != it.address()).cloned().collect();
        *self.stated.write() = addresses;
        let stated = self.stated();
        let known = self.instances();
        let kept = |wanted: &RegisteredInstance| known.iter().find(|it| it.is(wanted)).cloned();
        let new = |wanted: &RegisteredInstance| Instance::new(wanted, Duration::ZERO, self.breaker).map(Arc::new);
        let stated = stated.iter().filter_map(|wanted| kept(wanted).or_else(|| new(wanted)));
        *self.instances.write() = Arc::new(registered.into_iter().chain(stated).collect());
    }

    fn stated(&self) -> Vec<RegisteredInstance> {
        self.stated.read().iter().filter_map(|address| stated_instance(self.name(), address)).collect()
    }

    /// Takes over the instances of the registry. Known ones keep their state; the first ones start at once, and those that
    /// join them start slowly.
    pub fn update(&self, epoch: u64, registered: &[RegisteredInstance], now: Duration) {
        let known = self.instances();
        let own = registered.iter().filter(|it| it.app.eq_ignore_ascii_case(self.name()));
        let since = if known.is_empty() { Duration::ZERO } else { now };
        let mut instances: Vec<Arc<Instance>> = Vec::new();
        for wanted in own.chain(&self.stated()) {
            match known.iter().find(|it| it.is(wanted)) {
                Some(instance) => {
                    *instance.status.write() = wanted.status;
                    instances.push(instance.clone());
                }
                None => instances.extend(Instance::new(wanted, since, self.breaker).map(Arc::new)),
            }
        }
        *self.instances.write() = Arc::new(instances);
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Begins an attempt at an instance that is up and not among `tried`: the less busy one of two random ones. Instances
    /// that are out are used if no other is left. `None` if there is none.
    pub fn attempt(&self, tried: &[Arc<Instance>], now: Duration, random: impl FnMut(u64) -> u64) -> Option<Attempt> {
        let instances = self.instances();
        let is_untried = |it: &Instance| tried.iter().all(|known| !std::ptr::eq(&raw const **known, it));
        let usable =
            |it: &Instance| *it.status.read() == InstanceStatus::Up && is_untried(it) && it.breaker.permits(now);
        let candidates = |out: bool| -> Vec<Candidate> {
            let fits = |it: &Instance| usable(it) && (out || !it.is_out.load(Ordering::Acquire));
            let candidate = |(place, it): (usize, &Arc<Instance>)| {
                let in_flight = it.in_flight.load(Ordering::Relaxed);
                let age = if it.known_since.is_zero() { Duration::MAX } else { now.saturating_sub(it.known_since) };
                fits(it).then_some(Candidate { place, in_flight, age })
            };
            instances.iter().enumerate().filter_map(candidate).collect()
        };
        let healthy = candidates(false);
        let candidates = if healthy.is_empty() { candidates(true) } else { healthy };
        let instance = instances.get(pick(&candidates, self.slow_start, random)?.place)?.clone();
        let pass = instance.breaker.enter(now).ok()?;
        instance.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Attempt { instance, pass: Some(pass), since: now })
    }
}

/// The instance at an address that a route states.
fn stated_instance(app: &str, address: &str) -> Option<RegisteredInstance> {
    let Stated { is_secure, host, port } = split_address(address)?;
    let id = host_and_port(host, port);
    Some(RegisteredInstance {
        app: app.to_owned(),
        id,
        host: host.to_owned(),
        ip: String::new(),
        port: Some(port).filter(|_| !is_secure),
        secure_port: Some(port).filter(|_| is_secure),
        status: InstanceStatus::Up,
        metadata: std::collections::BTreeMap::new(),
        registered_at: promox_kernel::Timestamp::EPOCH,
        renewed_at: promox_kernel::Timestamp::EPOCH,
    })
}
