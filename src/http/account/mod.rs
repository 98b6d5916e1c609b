//! The pages behind the links in messages: a new password, the confirmation of an address, the end of a kind of message,
//! and the first administrator.
//!
//! Each sends its form to the API. A link alone changes nothing, because programs that scan mail open links too.

mod texts;

use std::sync::Arc;

use promox_contract::store::GetStoreProfile;
use promox_kernel::{Cx, Download, Error, Handle, Language, Locale, Registry};
use schemars::JsonSchema;
use serde::Deserialize;

/// The service `account`.
#[derive(Debug)]
pub(crate) struct AccountPages;

/// The page for a new password. The link in the message has the token.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetResetPage {
    /// The token from the message, which the page's script sends.
    #[allow(dead_code, reason = "read in the browser only")]
    pub token: Option<String>,
}
promox_kernel::operation! {
    GetResetPage => Download, "account.reset_page", Get "/reset-password", Anyone, 200,
    "The page on which a new password is set.", sends ["text/html"]
}

/// The page that confirms an e-mail address. The link in the message has the token.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetVerifyPage {
    /// The token from the message, which the page's script sends.
    #[allow(dead_code, reason = "read in the browser only")]
    pub token: Option<String>,
}
promox_kernel::operation! {
    GetVerifyPage => Download, "account.verify_page", Get "/verify-email", Anyone, 200,
    "The page on which an e-mail address is confirmed.", sends ["text/html"]
}

/// The page that creates the first administrator. The server prints its link at the first start.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetSetupPage {
    /// The token that the server printed, which the page's script sends.
    #[allow(dead_code, reason = "read in the browser only")]
    pub token: Option<String>,
}
promox_kernel::operation! {
    GetSetupPage => Download, "account.setup_page", Get "/setup", Anyone, 200,
    "The page on which the first administrator is created.", sends ["text/html"]
}

/// The page that ends a kind of message. The link in such a message has the token.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetUnsubscribePage {
    /// The token from the message, which the page's script sends.
    #[allow(dead_code, reason = "read in the browser only")]
    pub token: Option<String>,
}
promox_kernel::operation! {
    GetUnsubscribePage => Download, "account.unsubscribe_page", Get "/unsubscribe", Anyone, 200,
    "The page on which a recipient ends a kind of message.", sends ["text/html"]
}

/// The pages' script.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetAccountScript {}
promox_kernel::operation! {
    GetAccountScript => Download, "account.script", Get "/account/page.js", Anyone, 200,
    "The script of these pages.", sends ["text/javascript"]
}

impl AccountPages {
    pub(crate) fn register(registry: &mut Registry) {
        let pages = Arc::new(Self);
        promox_kernel::register!(registry, &pages; GetResetPage, GetVerifyPage, GetSetupPage, GetUnsubscribePage);
        promox_kernel::register!(registry, &pages; GetAccountScript);
    }
}

/// The page in the first language that the browser accepts, as a message to it would be, else in the store's.
async fn page(cx: &Cx) -> Result<Download, Error> {
    let accepted = cx.languages().iter().find_map(Language::of);
    let language = if let Some(language) = accepted {
        language
    } else {
        let store = cx.call(GetStoreProfile {}).await?.locale;
        let locale = store.parse::<Locale>().ok();
        locale.and_then(|locale| Language::of(&locale)).unwrap_or(Language::English)
    };
    Ok(Download::bytes("text/html; charset=utf-8", texts::pages(language)))
}

impl Handle<GetResetPage> for AccountPages {
    async fn handle(&self, cx: &Cx, _: GetResetPage) -> Result<Download, Error> {
        page(cx).await
    }
}

impl Handle<GetVerifyPage> for AccountPages {
    async fn handle(&self, cx: &Cx, _: GetVerifyPage) -> Result<Download, Error> {
        page(cx).await
    }
}

impl Handle<GetSetupPage> for AccountPages {
    async fn handle(&self, cx: &Cx, _: GetSetupPage) -> Result<Download, Error> {
        page(cx).await
    }
}

impl Handle<GetUnsubscribePage> for AccountPages {
    async fn handle(&self, cx: &Cx, _: GetUnsubscribePage) -> Result<Download, Error> {
        page(cx).await
    }
}

impl Handle<GetAccountScript> for AccountPages {
    async fn handle(&self, _: &Cx, _: GetAccountScript) -> Result<Download, Error> {
        Ok(Download::bytes("text/javascript; charset=utf-8", &include_bytes!("page.js")[..]))
    }
}
