//! The registry of operations. One registration per operation feeds the router, the API description, the permission
//! table and the calls between services.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};

use crate::mend;
use crate::wire::{Head, decode_checked, encode};
use crate::{Access, BodyKind, Claim, Cx, Error, Kind, Method, Node, Op, Replay, Reply, Request, Response, Wire};

/// Runs work under an idempotency key, at most once at a time, and replays the stored reply of a decided key. It
/// belongs to the service that stores the effect, so that reply and effect are committed together.
pub type KeyKeeper =
    Arc<dyn Fn(Cx, Arc<Claim>, BoxFuture<Result<Response, Error>>) -> BoxFuture<Result<Response, Error>> + Send + Sync>;

/// A future that can be sent to another thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// Handles an encoded operation and returns the encoded reply.
type Answer = Box<dyn Fn(Cx, &[u8]) -> BoxFuture<Result<Vec<u8>, Error>> + Send + Sync>;
/// Binds a client's request and handles it.
type Run = Box<dyn Fn(Cx, Request) -> BoxFuture<Result<Response, Error>> + Send + Sync>;

/// A service that handles an operation. Write the method as
/// `async fn handle(&self, cx: &Cx, op: O) -> Result<O::Reply, Error>`.
pub trait Handle<O: Op>: Send + Sync + 'static {
    /// Authorises the caller, does one read or write, and converts the result.
    fn handle(&self, cx: &Cx, op: O) -> impl Future<Output = Result<O::Reply, Error>> + Send;

    /// Checks the values of an operation as [`handle`](Self::handle) would, without any effect, for a request some of whose
    /// values cannot be read: the error lists the faults of the others. Those values are absent from `op` or, where they are
    /// required, arbitrary; faults found there are dropped.
    fn check(&self, _cx: &Cx, _op: O) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Ok(()))
    }
}

/// One registered operation.
pub struct Entry {
    /// [`Op::SERVICE`].
    pub service: &'static str,
    /// [`Op::NAME`].
    pub name: &'static str,
    /// [`Op::METHOD`].
    pub method: Method,
    /// [`Op::PATH`].
    pub path: &'static str,
    /// [`Op::ACCESS`].
    pub access: Access,
    /// [`Op::STATUS`].
    pub status: u16,
    /// [`Op::OTHER_STATUSES`].
    pub other_statuses: &'static [u16],
    /// [`Op::REFUSALS`].
    pub refusals: &'static [u16],
    /// [`Op::MEDIA_TYPES`].
    pub media_types: &'static [&'static str],
    /// [`Reply::HAS_CONTENT`].
    pub has_content: bool,
    /// [`Op::SUMMARY`].
    pub summary: &'static str,
    /// [`Op::REPLAY`].
    pub replay: Replay,
    /// [`Op::BODY`].
    pub body: BodyKind,
    /// [`Reply::VERSIONED`](crate::Reply::VERSIONED) of the operation's reply.
    pub versioned: bool,
    /// [`Reply::LOCATED`].
    pub located: bool,
    for_clients: Option<ForClients>,
    answer: Option<Answer>,
    keys: Option<KeyKeeper>,
}

/// What an operation has that clients may request.
struct ForClients {
    schemas: fn(&mut SchemaGenerator) -> (Schema, Option<Schema>),
    run: Run,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.method.as_str(), self.path)
    }
}

impl Entry {
    /// Checks access, binds the request and handles it; under an idempotency key, only once.
    pub fn run(&self, cx: Cx, request: Request) -> BoxFuture<Result<Response, Error>> {
        let Some(ForClients { run, .. }) = &self.for_clients else {
            return Box::pin(std::future::ready(Err(not_for_clients(self.name))));
        };
        match (&self.keys, cx.claim.clone()) {
            (Some(keys), Some(claim)) => keys(cx.clone(), claim, run(cx, request)),
            _ => run(cx, request),
        }
    }

    /// The schemas of the operation and, if it is JSON, of the reply; `None` for an internal operation.
    pub fn schemas(&self, generator: &mut SchemaGenerator) -> Option<(Schema, Option<Schema>)> {
        self.for_clients.as_ref().map(|for_clients| (for_clients.schemas)(generator))
    }

    /// Whether the operation takes no idempotency keys or can store them.
    pub fn keeps_keys(&self) -> bool {
        self.replay == Replay::No || self.keys.is_some()
    }

    /// Handles an encoded internal operation and returns the encoded reply. Access is not checked, because the caller
    /// is a node.
    async fn answer(&self, cx: Cx, op: &[u8]) -> Result<Vec<u8>, Error> {
        let Some(answer) = &self.answer else {
            return Err(not_callable_by_services(self.name));
        };
        answer(cx, op).await
    }
}

/// All operations of a node.
#[derive(Default)]
pub struct Registry {
    entries: Vec<Entry>,
    /// Values by type: how each operation is called in process, and values that other layers attach.
    parts: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}

/// The in-process handler of an operation. A client's request and another node's call lead to it too, so that the
/// handler's code exists once.
struct Callable<O: Op>(Arc<dyn Fn(Cx, O) -> BoxFuture<Result<O::Reply, Error>> + Send + Sync>);

impl<O: Op> Clone for Callable<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Registry {
    /// Registers `service` as the handler of the operation `O`.
    pub fn register<O: Op, H: Handle<O>>(&mut self, service: &Arc<H>) {
        let handler = service.clone();
        let callable = Callable::<O>(Arc::new(move |cx, op| {
            let service = handler.clone();
            Box::pin(async move { service.handle(&cx, op).await })
        }));
        self.attach(callable.clone());
        // A constant, so that nothing is compiled for clients that have no way to an operation.
        let for_clients = if const { O::PATH.is_empty() } {
            None
        } else {
            Some(ForClients {
                schemas: |generator| (O::json_schema(generator), O::Reply::schema(generator)),
                run: runner(service.clone(), callable.clone()),
            })
        };
        self.entries.push(Entry {
            service: O::SERVICE,
            name: O::NAME,
            method: O::METHOD,
            path: O::PATH,
            access: O::ACCESS,
            status: O::STATUS,
            other_statuses: O::OTHER_STATUSES,
            refusals: O::REFUSALS,
            media_types: O::MEDIA_TYPES,
            has_content: O::Reply::HAS_CONTENT,
            summary: O::SUMMARY,
            replay: O::REPLAY,
            body: O::BODY,
            versioned: O::Reply::VERSIONED,
            located: O::Reply::LOCATED,
            for_clients,
            answer: O::WIRE.map(|wire| answerer(callable, wire)),
            keys: None,
        });
    }

    /// Makes `keeper` store the idempotency keys of those operations of a service that take them.
    pub fn keep_keys(&mut self, service: &str, keeper: &KeyKeeper) {
        let keyed = |entry: &&mut Entry| entry.service == service && entry.replay == Replay::Keyed;
        self.entries.iter_mut().filter(keyed).for_each(|entry| entry.keys = Some(keeper.clone()));
    }

    /// Attaches a value of another layer. It replaces a value of the same type.
    pub fn attach<T: Any + Send + Sync>(&mut self, part: T) {
        self.parts.insert(TypeId::of::<T>(), Box::new(part));
    }

    /// The attached value of this type.
    pub fn attached<T: Any>(&self) -> Option<&T> {
        self.parts.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// All operations, in order of registration.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Runs an operation in process. Access is not checked, because the caller is a service.
    pub fn call<O: Op>(&self, cx: Cx, op: O) -> BoxFuture<Result<O::Reply, Error>> {
        match self.attached::<Callable<O>>() {
            Some(callable) => (callable.0)(cx, op),
            None => Box::pin(std::future::ready(Err(unknown_operation(O::NAME)))),
        }
    }

    /// Calls an operation as another node would: the operation, its context and the reply are encoded and decoded.
    pub(crate) async fn call_encoded<O: Op>(&self, cx: &Cx, op: &O) -> Result<O::Reply, Error> {
        let wire = O::WIRE.ok_or_else(|| not_callable_by_services(O::NAME))?;
        (wire.decode_reply)(&self.exchange(cx, O::NAME, &(wire.encode)(op)?).await?)
    }

    /// Calls the named operation with its encoding, and returns the encoded reply.
    async fn exchange(&self, cx: &Cx, name: &str, op: &[u8]) -> Result<Vec<u8>, Error> {
        match self.serve(&cx.node, name, &encode(&Head::of(cx))?, op).await {
            Ok(reply) => Ok(reply),
            Err(refusal) => Err(decode_checked(&refusal)?),
        }
    }

    /// Handles an encoded call of the named operation and returns the encoded reply or the encoded error.
    async fn serve(&self, node: &Arc<Node>, name: &str, head: &[u8], op: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let handled = async {
            let entry = self.entries.iter().find(|entry| entry.name == name).ok_or_else(|| unknown_operation(name))?;
            entry.answer(decode_checked::<Head>(head)?.context(node), op).await
        };
        handled.await.map_err(|refusal| encode(&refusal).unwrap_or_default())
    }
}

fn not_callable_by_services(name: &str) -> Error {
    Error::internal(format_args!("{name} is for clients only; services must not call it"))
}

fn not_for_clients(name: &str) -> Error {
    Error::internal(format_args!("{name} is for services only; clients must not request it"))
}

fn unknown_operation(name: &str) -> Error {
    Error::internal(format_args!("no service of this node handles {name}"))
}

fn answerer<O: Op>(callable: Callable<O>, wire: Wire<O>) -> Answer {
    Box::new(move |cx, op| {
        let (callable, op, encode) = (callable.clone(), (wire.decode)(op), wire.encode_reply);
        Box::pin(async move { encode(&(callable.0)(cx, op?).await?) })
    })
}

/// Binds a request. If some values cannot be read, the error also lists the faults of the others.
async fn bound<O: Op, H: Handle<O>>(service: &H, cx: &Cx, mut request: Request) -> Result<O, Error> {
    let error = match request.bind::<O>() {
        Err(error) if error.kind() == Kind::Schema => error,
        bound => return bound,
    };
    let unread = error.errors();
    let Some(mended) = request.bind_mended::<O>(unread) else { return Err(error) };
    let Err(refused) = service.check(cx, mended).await else { return Err(error) };
    Err(Error::invalid([unread, &mend::others(&refused, unread)].concat()))
}

fn runner<O: Op, H: Handle<O>>(service: Arc<H>, callable: Callable<O>) -> Run {
    Box::new(move |cx, request| {
        let (service, callable) = (service.clone(), callable.clone());
        Box::pin(async move {
            O::ACCESS.check(&cx)?;
            let op = bound(&*service, &cx, request).await?;
            let claim = cx.claim.clone();
            let reply = (callable.0)(cx, op).await?;
            // A reply that its transaction has recorded is serialised already.
            match claim.and_then(|claim| claim.response()) {
                Some(response) => Ok(response),
                None => reply.respond(O::STATUS),
            }
        })
    })
}

/// Registers a list of operations of one service: `register!(registry, service: GetProduct, CreateProduct)`.
#[macro_export]
macro_rules! register {
    ($registry:expr, $service:expr; $($op:ty),+ $(,)?) => {
        $($registry.register::<$op, _>($service);)+
    };
}
