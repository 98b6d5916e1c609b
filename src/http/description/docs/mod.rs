//! The API description and a page that renders it. The page is self-contained: it loads no script, style or font from
//! elsewhere.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use promox_kernel::{Cx, Download, Error, Handle, Registry};
use schemars::JsonSchema;
use serde::Deserialize;

use super::openapi;
use crate::config::Settings;

/// The service `docs`.
pub(crate) struct Docs {
    title: String,
    url: String,
    description: OnceLock<Bytes>,
}

/// The API description.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetDescription {}
promox_kernel::operation! {
    GetDescription => Download, "docs.openapi", Get "/openapi.json", Anyone, 200, "This description, OpenAPI 3.1.",
    sends ["application/json"]
}

/// The page.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetPage {}
promox_kernel::operation! {
    GetPage => Download, "docs.page", Get "/docs", Anyone, 200,
    "A page that renders this description.", sends ["text/html"]
}

/// The page's script.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetScript {}
promox_kernel::operation! {
    GetScript => Download, "docs.script", Get "/docs/page.js", Anyone, 200,
    "The page's script.", sends ["text/javascript"]
}

/// The page's style sheet.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetStyle {}
promox_kernel::operation! {
    GetStyle => Download, "docs.style", Get "/docs/page.css", Anyone, 200,
    "The page's style sheet.", sends ["text/css"]
}

impl Docs {
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        let (title, url) = (settings.store.name.clone(), settings.server.public_url.clone());
        Arc::new(Self { title, url, description: OnceLock::new() })
    }

    pub(crate) fn register(self: &Arc<Self>, registry: &mut Registry) {
        promox_kernel::register!(registry, self; GetDescription, GetPage, GetScript, GetStyle);
    }
}

impl Handle<GetDescription> for Docs {
    async fn handle(&self, cx: &Cx, _: GetDescription) -> Result<Download, Error> {
        if self.description.get().is_none() {
            let document = openapi::document(cx.node.registry()?, &self.title, &self.url)?;
            let _ = self.description.set(document);
        }
        Ok(Download::bytes("application/json", self.description.get().cloned().unwrap_or_default()))
    }
}

impl Handle<GetPage> for Docs {
    async fn handle(&self, _: &Cx, _: GetPage) -> Result<Download, Error> {
        Ok(Download::bytes("text/html; charset=utf-8", &include_bytes!("page.html")[..]))
    }
}

impl Handle<GetScript> for Docs {
    async fn handle(&self, _: &Cx, _: GetScript) -> Result<Download, Error> {
        Ok(Download::bytes("text/javascript; charset=utf-8", &include_bytes!("page.js")[..]))
    }
}

impl Handle<GetStyle> for Docs {
    async fn handle(&self, _: &Cx, _: GetStyle) -> Result<Download, Error> {
        Ok(Download::bytes("text/css; charset=utf-8", &include_bytes!("page.css")[..]))
    }
}
