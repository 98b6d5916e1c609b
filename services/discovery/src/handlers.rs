//! The handlers: each checks the caller, reads or changes the registry once, and converts the result.

use promox_contract::discovery::{ListInstances, RegisteredInstances};
use promox_contract::gateway::GetTrafficStates;
use promox_kernel::{Cx, Download, Error, Handle};

use crate::api::{
    Cancel, ClearOverride, Done, GetApplication, GetApplications, GetDelta, GetInstance, GetInstanceById, GetPage,
    GetSecureVip, GetVip, OverrideStatus, Register, Renew, UpdateMetadata,
};
use crate::registry::Vip;
use crate::rules::format::Format;
use crate::rules::registration::{self, Registration};
use crate::{Discovery, page, reject};

/// Maximum bytes of an instance that registers.
const MAX_BODY: usize = 64 * 1024;

impl Handle<Register> for Discovery {
    async fn handle(&self, cx: &Cx, op: Register) -> Result<(), Error> {
        let app = self.check_writer(cx, &op.app)?;
        let bytes = match op.body.reader {
            Some(reader) => reader.collect(MAX_BODY).await?,
            None => Vec::new(),
        };
        let registration = Registration::read(&app, &op.body.media_type, &bytes, cx.now)?;
        // Clients resolve a virtual address like a name, so it is guarded like one.
        for address in registration.virtual_addresses() {
            self.check_writer(cx, address)?;
        }
        self.check_address(cx, &app, registration.address()).await?;
        self.registry.lock().register(cx.now, registration)
    }
}

impl Handle<Renew> for Discovery {
    async fn handle(&self, cx: &Cx, op: Renew) -> Result<Done, Error> {
        let app = self.check_writer(cx, &op.app)?;
        let renewed = self.registry.lock().renew(cx.now, &app, &op.id, op.last_dirty_timestamp);
        if renewed { Ok(Done) } else { Err(reject::no_instance()) }
    }
}

impl Handle<Cancel> for Discovery {
    async fn handle(&self, cx: &Cx, op: Cancel) -> Result<Done, Error> {
        let app = self.check_writer(cx, &op.app)?;
        if self.registry.lock().cancel(cx.now, &app, &op.id) { Ok(Done) } else { Err(reject::no_instance()) }
    }
}

impl Handle<OverrideStatus> for Discovery {
    async fn handle(&self, cx: &Cx, op: OverrideStatus) -> Result<Done, Error> {
        let app = self.check_writer(cx, &op.app)?;
        let changed = self.registry.lock().change(cx.now, &app, &op.id, |entry| entry.overridden = Some(op.value));
        if changed { Ok(Done) } else { Err(reject::no_instance()) }
    }
}

impl Handle<ClearOverride> for Discovery {
    async fn handle(&self, cx: &Cx, op: ClearOverride) -> Result<Done, Error> {
        let app = self.check_writer(cx, &op.app)?;
        let changed = self.registry.lock().change(cx.now, &app, &op.id, |entry| {
            entry.overridden = None;
            entry.registration.status = op.value.unwrap_or(entry.registration.status);
        });
        if changed { Ok(Done) } else { Err(reject::no_instance()) }
    }
}

impl Handle<UpdateMetadata> for Discovery {
    async fn handle(&self, cx: &Cx, op: UpdateMetadata) -> Result<Done, Error> {
        let app = self.check_writer(cx, &op.app)?;
        let mut registry = self.registry.lock();
        let metadata = registry.metadata(&app, &op.id).ok_or_else(reject::no_instance)?;
        let metadata = registration::merged_metadata(metadata, &op.values)?;
        registry.change(cx.now, &app, &op.id, |entry| entry.registration.metadata.clone_from(&metadata));
        Ok(Done)
    }
}

impl Handle<GetApplications> for Discovery {
    async fn handle(&self, cx: &Cx, _: GetApplications) -> Result<Download, Error> {
        self.check_reader(cx)?;
        let format = Format::preferred(cx)?;
        Ok(format.download(self.registry.lock().applications(format, |_| true)))
    }
}

impl Handle<GetDelta> for Discovery {
    async fn handle(&self, cx: &Cx, _: GetDelta) -> Result<Download, Error> {
        self.check_reader(cx)?;
        let format = Format::preferred(cx)?;
        Ok(format.download(self.registry.lock().delta(cx.now, format)))
    }
}

impl Handle<GetApplication> for Discovery {
    async fn handle(&self, cx: &Cx, op: GetApplication) -> Result<Download, Error> {
        self.check_reader(cx)?;
        let format = Format::preferred(cx)?;
        let found = self.registry.lock().application(format, &op.app.to_uppercase());
        found.map(|text| format.download(text)).ok_or_else(|| Error::not_found("application"))
    }
}

impl Handle<GetInstance> for Discovery {
    async fn handle(&self, cx: &Cx, op: GetInstance) -> Result<Download, Error> {
        self.check_reader(cx)?;
        let format = Format::preferred(cx)?;
        let found = self.registry.lock().instance(format, Some(&op.app.to_uppercase()), &op.id);
        found.map(|text| format.download(text)).ok_or_else(reject::no_instance)
    }
}

impl Handle<GetInstanceById> for Discovery {
    async fn handle(&self, cx: &Cx, op: GetInstanceById) -> Result<Download, Error> {
        self.check_reader(cx)?;
        let format = Format::preferred(cx)?;
        let found = self.registry.lock().instance(format, None, &op.id);
        found.map(|text| format.download(text)).ok_or_else(reject::no_instance)
    }
}

impl Handle<GetVip> for Discovery {
    async fn handle(&self, cx: &Cx, op: GetVip) -> Result<Download, Error> {
        self.by_vip(cx, Vip::Plain, &op.vip)
    }
}

impl Handle<GetSecureVip> for Discovery {
    async fn handle(&self, cx: &Cx, op: GetSecureVip) -> Result<Download, Error> {
        self.by_vip(cx, Vip::Secure, &op.vip)
    }
}

impl Discovery {
    fn by_vip(&self, cx: &Cx, kind: Vip, vip: &str) -> Result<Download, Error> {
        self.check_reader(cx)?;
        let format = Format::preferred(cx)?;
        let found = self.registry.lock().by_vip(format, kind, vip);
        found.map(|text| format.download(text)).ok_or_else(|| Error::not_found("virtual address"))
    }
}

impl Handle<GetPage> for Discovery {
    async fn handle(&self, cx: &Cx, _: GetPage) -> Result<Download, Error> {
        self.check_reader(cx)?;
        // Without the gateway in reach, the page shows the registry alone.
        let traffic = cx.call(GetTrafficStates {}).await.unwrap_or_default();
        let html = page::page(&self.registry.lock(), &traffic, cx.now);
        Ok(Download::bytes("text/html; charset=utf-8", html))
    }
}

impl Handle<ListInstances> for Discovery {
    async fn handle(&self, _: &Cx, op: ListInstances) -> Result<RegisteredInstances, Error> {
        Ok(self.registry.lock().list(op.app.as_deref(), op.known_epoch))
    }
}
