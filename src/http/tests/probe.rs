//! Operations that show what the edge does with a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use promox_contract::user::{Authenticate, Authenticated};
use promox_kernel::{Body, BodyReader, Cx, Download, Error, Handle, Kind, Registry, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

pub(crate) struct Probe {
    pub(crate) made: AtomicU64,
    /// Gets a permit when a slow operation begins.
    pub(crate) entered: Semaphore,
    /// A slow operation waits for a permit of this one.
    pub(crate) released: Semaphore,
    /// Gets a permit when a slow operation is done.
    pub(crate) done: Semaphore,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GetThing {
    id: u32,
    tag: Option<String>,
}
promox_kernel::operation! { GetThing => Thing, "probe.get", Get "/things/{id}", Anyone, 200, "A thing." }

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetNamed {
    name: String,
}
promox_kernel::operation! {
    GetNamed => Thing, "probe.named", Get "/things/named/{name}", Anyone, 200,
    "A thing by name."
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetSecret {}
promox_kernel::operation! {
    GetSecret => Thing, "probe.secret", Get "/secret", Permission("probe:read"), 200,
    "A secret."
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MakeThing {
    name: String,
}
promox_kernel::operation! { MakeThing => Thing, "probe.make", Post "/things", Anyone, 201, "Makes a thing.", keyed }

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ChangeThing {
    id: u32,
}
promox_kernel::operation! {
    ChangeThing => Thing, "probe.change", Patch "/things/{id}", Anyone, 200,
    "Changes a thing."
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct SlowThing {}
promox_kernel::operation! { SlowThing => (), "probe.slow", Post "/slow", Anyone, 204, "Takes its time.", keyed }

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Fail {}
promox_kernel::operation! { Fail => (), "probe.fail", Get "/fail", Anyone, 204, "Panics." }

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Long {}
promox_kernel::operation! { Long => Download, "probe.long", Get "/long", Anyone, 200, "A long text.", sends ["text/plain"] }

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Trickle {}
promox_kernel::operation! { Trickle => Download, "probe.trickle", Get "/trickle", Anyone, 200, "A text in pieces.", sends ["text/csv"] }

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Upload {
    #[serde(skip)]
    #[schemars(skip)]
    body: Body,
}
promox_kernel::operation! {
    Upload => Received, "probe.upload", Post "/upload", Anyone, 200, "Counts bytes.", stream ["text/csv"], body
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Thing {
    id: u64,
    name: String,
    version: i64,
}
promox_kernel::json_reply!(Thing, etag version);

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Received {
    bytes: usize,
    media_type: String,
}
promox_kernel::json_reply!(Received);

impl Probe {
    pub(crate) fn new() -> Arc<Self> {
        let none = || Semaphore::new(0);
        Arc::new(Self { made: AtomicU64::new(0), entered: none(), released: none(), done: none() })
    }

    pub(crate) fn register(self: &Arc<Self>, registry: &mut Registry) {
        promox_kernel::register!(registry, self;
            GetThing, GetNamed, GetSecret, MakeThing, ChangeThing, SlowThing, Fail, Long, Trickle, Upload, Authenticate);
    }
}

fn thing(id: u64, name: impl Into<String>) -> Thing {
    Thing { id, name: name.into(), version: 3 }
}

impl Handle<GetThing> for Probe {
    async fn handle(&self, _: &Cx, op: GetThing) -> Result<Thing, Error> {
        Ok(thing(op.id.into(), op.tag.unwrap_or_default()))
    }
}

impl Handle<GetNamed> for Probe {
    async fn handle(&self, _: &Cx, op: GetNamed) -> Result<Thing, Error> {
        Ok(thing(0, op.name))
    }
}

impl Handle<GetSecret> for Probe {
    async fn handle(&self, cx: &Cx, _: GetSecret) -> Result<Thing, Error> {
        Ok(thing(0, cx.principal.name()))
    }
}

impl Handle<MakeThing> for Probe {
    async fn handle(&self, _: &Cx, op: MakeThing) -> Result<Thing, Error> {
        match op.name.as_str() {
            "taken" => Err(Error::conflict("NAME_TAKEN", "There is already a thing with this name.")),
            "broken" => Err(Error::internal("the secret cause")),
            _ => Ok(thing(self.made.fetch_add(1, Ordering::Relaxed) + 1, op.name)),
        }
    }
}

impl Handle<ChangeThing> for Probe {
    async fn handle(&self, cx: &Cx, op: ChangeThing) -> Result<Thing, Error> {
        cx.check_version(3)?;
        Ok(thing(op.id.into(), "changed"))
    }
}

impl Handle<SlowThing> for Probe {
    async fn handle(&self, _: &Cx, _: SlowThing) -> Result<(), Error> {
        self.entered.add_permits(1);
        self.released.acquire().await.map_err(Error::internal)?.forget();
        self.done.add_permits(1);
        Ok(())
    }
}

impl Handle<Fail> for Probe {
    async fn handle(&self, _: &Cx, _: Fail) -> Result<(), Error> {
        panic!("a deliberate panic");
    }
}

impl Handle<Long> for Probe {
    async fn handle(&self, _: &Cx, _: Long) -> Result<Download, Error> {
        Ok(Download::bytes("text/plain", "a long text ".repeat(1_000)))
    }
}

impl Handle<Trickle> for Probe {
    async fn handle(&self, _: &Cx, _: Trickle) -> Result<Download, Error> {
        let (sender, reader) = BodyReader::pair();
        for piece in ["one ", "two ", "three"] {
            sender.send(Ok(piece.into())).await;
        }
        Ok(Download::stream("text/csv", reader))
    }
}

impl Handle<Upload> for Probe {
    async fn handle(&self, _: &Cx, op: Upload) -> Result<Received, Error> {
        let reader = op.body.reader.ok_or_else(|| Error::internal("no body"))?;
        Ok(Received { bytes: reader.collect(1 << 20).await?.len(), media_type: op.body.media_type })
    }
}

impl Handle<Authenticate> for Probe {
    async fn handle(&self, _: &Cx, op: Authenticate) -> Result<Authenticated, Error> {
        let permissions = match op.token.as_str() {
            "reader" => ["probe:read".to_owned()].into(),
            "operator" => ["ops:read".to_owned(), "ops:write".to_owned()].into(),
            "nobody" => [].into(),
            _ => return Err(Error::new(Kind::Unauthenticated, "INVALID_TOKEN", "The token is not valid.")),
        };
        Ok(Authenticated::User { user: UserId(7), session: 1, permissions: Arc::new(permissions) })
    }
}
