//! The registry of operations. One registration per operation feeds the router, the API description, the permission
//! table and the calls between services.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};

use crate::mend;
use crate::wire::{Head, decode_checked, encode};
use crate::{
    Access, BodyKind, Claim, Cx, Error, FieldError, Kind, Method, Node, Op, Outgoing, Replay, Reply, Request, Response,
    Wire,
};

/// Runs work under an idempotency key, at most once at a time, and replays the stored reply of a decided key. It
/// belongs to the service that stores the effect, so that reply and effect are committed together.
pub type KeyKeeper =
    Arc<dyn Fn(Cx, Arc<Claim>, BoxFuture<Result<Response, Error>>) -> BoxFuture<Result<Response, Error>> + Send + Sync>;

/// A future that can be sent to another thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// Handles an encoded operation and returns the encoded reply.
type Answer = Box<dyn Fn(Cx, &[u8]) -> BoxFuture<Result<Vec<u8>, Error>> + Send + Sync>;

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

/// What an operation declares.
#[derive(Debug)]
pub struct Declaration {
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
}

impl Declaration {
    const fn of<O: Op>() -> Self {
        Self {
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
        }
    }
}

/// One registered operation, with what it declares.
pub struct Entry {
    declared: &'static Declaration,
    for_clients: Option<Arc<dyn ForClients>>,
    answer: Option<Answer>,
    keys: Option<KeyKeeper>,
}

impl Deref for Entry {
    type Target = Declaration;

    fn deref(&self) -> &Declaration {
        self.declared
    }
}

/// An operation that clients may request. What does not need the operation's type is done by functions that are compiled
/// once for all operations.
trait ForClients: Send + Sync {
    /// The schemas of the operation and, if it is JSON, of the reply.
    fn schemas(&self, generator: &mut SchemaGenerator) -> (Schema, Option<Schema>);

    /// Binds a request and starts handling it.
    fn start(self: Arc<Self>, cx: Cx, request: Request) -> BoxFuture<Result<Response, Error>>;

    /// Checks the values of a request with `unread` faults in values that cannot be read; `None` if the others cannot be
    /// read either.
    fn check(&self, cx: Cx, request: &Request, unread: &[FieldError]) -> Option<BoxFuture<Result<(), Error>>>;
}

/// The handler of an operation that clients may request.
struct ClientHandler<O: Op, H> {
    service: Arc<H>,
    callable: Callable<O>,
}

impl<O: Op, H: Handle<O>> ForClients for ClientHandler<O, H> {
    fn schemas(&self, generator: &mut SchemaGenerator) -> (Schema, Option<Schema>) {
        (O::json_schema(generator), O::Reply::schema(generator))
    }

    fn start(self: Arc<Self>, cx: Cx, mut request: Request) -> BoxFuture<Result<Response, Error>> {
        match request.bind::<O>() {
            Ok(op) => {
                let claim = cx.claim.clone();
                Box::pin(respond((self.callable.0)(cx, op), claim, O::STATUS))
            }
            Err(error) => Box::pin(refuse(self, cx, request, error)),
        }
    }

    fn check(&self, cx: Cx, request: &Request, unread: &[FieldError]) -> Option<BoxFuture<Result<(), Error>>> {
        let (service, op) = (self.service.clone(), request.bind_mended::<O>(unread)?);
        Some(Box::pin(async move { service.check(&cx, op).await }))
    }
}

/// Waits for a reply and turns it into a response, unless its transaction has recorded one.
async fn respond<R: Reply>(
    reply: BoxFuture<Result<R, Error>>,
    claim: Option<Arc<Claim>>,
    status: u16,
) -> Result<Response, Error> {
    let reply = reply.await?;
    match claim.and_then(|claim| claim.response()) {
        Some(response) => Ok(response),
        None => reply.respond(status),
    }
}

/// Refuses a request that could not be bound. If some of its values cannot be read, the error also lists the faults of the
/// others.
async fn refuse(operation: Arc<dyn ForClients>, cx: Cx, request: Request, error: Error) -> Result<Response, Error> {
    if error.kind() != Kind::Schema {
        return Err(error);
    }
    let unread = error.errors();
    let Some(checked) = operation.check(cx, &request, unread) else { return Err(error) };
    let Err(refused) = checked.await else { return Err(error) };
    Err(Error::invalid([unread, &mend::others(&refused, unread)].concat()))
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.method.as_str(), self.path)
    }
}

impl Entry {
    /// Checks access, binds the request and handles it; under an idempotency key, only once.
    pub fn run(&self, cx: Cx, request: Request) -> BoxFuture<Result<Response, Error>> {
        let Some(operation) = self.for_clients.clone() else {
            return failed(not_for_clients(self.name));
        };
        let (access, request_cx) = (self.access, cx.clone());
        let work = Box::pin(async move {
            access.check(&request_cx)?;
            operation.start(request_cx, request).await
        });
        match (&self.keys, cx.claim.clone()) {
            (Some(keys), Some(claim)) => keys(cx, claim, work),
            _ => work,
        }
    }

    /// The schemas of the operation and, if it is JSON, of the reply; `None` for an internal operation.
    pub fn schemas(&self, generator: &mut SchemaGenerator) -> Option<(Schema, Option<Schema>)> {
        self.for_clients.as_ref().map(|operation| operation.schemas(generator))
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
    /// The messages that services send.
    outgoing: Vec<Outgoing>,
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
        let for_clients: Option<Arc<dyn ForClients>> = if const { O::PATH.is_empty() } {
            None
        } else {
            Some(Arc::new(ClientHandler { service: service.clone(), callable: callable.clone() }))
        };
        self.entries.push(Entry {
            declared: const { &Declaration::of::<O>() },
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

    /// Declares messages that a service sends.
    pub fn declare_outgoing(&mut self, messages: impl IntoIterator<Item = Outgoing>) {
        self.outgoing.extend(messages);
    }

    /// The messages that services send, in order of declaration.
    pub fn outgoing(&self) -> &[Outgoing] {
        &self.outgoing
    }

    /// Attaches a value of another layer. It replaces a value of the same type.
    pub fn attach<T: Any + Send + Sync>(&mut self, part: T) {
        self.attach_boxed(TypeId::of::<T>(), Box::new(part));
    }

    fn attach_boxed(&mut self, of: TypeId, part: Box<dyn Any + Send + Sync>) {
        self.parts.insert(of, part);
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
            None => failed(unknown_operation(O::NAME)),
        }
    }

    /// Calls an operation as another node would: the operation, its context and the reply are encoded and decoded.
    pub(crate) fn call_encoded<O: Op>(cx: Cx, op: &O) -> BoxFuture<Result<O::Reply, Error>> {
        let wire = O::WIRE.ok_or_else(|| not_callable_by_services(O::NAME));
        match wire.and_then(|wire| Ok(((wire.encode)(op)?, wire.decode_reply))) {
            Ok((op, decode)) => Box::pin(decoded(cx, O::NAME, op, decode)),
            Err(error) => failed(error),
        }
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

/// Work that fails at once.
pub(crate) fn failed<T: Send + 'static>(error: Error) -> BoxFuture<Result<T, Error>> {
    Box::pin(std::future::ready(Err(error)))
}

fn answerer<O: Op>(callable: Callable<O>, wire: Wire<O>) -> Answer {
    Box::new(move |cx, op| match (wire.decode)(op) {
        Ok(op) => Box::pin(encoded((callable.0)(cx, op), wire.encode_reply)),
        Err(error) => Box::pin(std::future::ready(Err(error))),
    })
}

/// Calls the named operation of this node with its encoding, and decodes the reply.
async fn decoded<R>(
    cx: Cx,
    name: &'static str,
    op: Vec<u8>,
    decode: fn(&[u8]) -> Result<R, Error>,
) -> Result<R, Error> {
    decode(&cx.node.registry()?.exchange(&cx, name, &op).await?)
}

/// Waits for a reply and encodes it.
async fn encoded<R>(
    reply: BoxFuture<Result<R, Error>>,
    encode: fn(&R) -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    encode(&reply.await?)
}

/// Registers a list of operations of one service: `register!(registry, service: GetProduct, CreateProduct)`.
#[macro_export]
macro_rules! register {
    ($registry:expr, $service:expr; $($op:ty),+ $(,)?) => {
        $($registry.register::<$op, _>($service);)+
    };
}
