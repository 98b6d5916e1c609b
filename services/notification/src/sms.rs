//! Text messages, by an HTTP provider that the configuration describes.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use promox_kernel::Clock;
use promox_outbound::{HttpClient, Reach, check_url};

use crate::transport::Refusal;

/// How long the provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum characters of a message: ten parts of the network's messages.
const MAX_TEXT_LEN: usize = 1_500;
/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// Where text messages go.
#[derive(Clone, Debug, Default)]
pub enum SmsSettings {
    /// Nowhere: they are only listed with the deliveries.
    #[default]
    Log,
    /// To an HTTP provider.
    Http(SmsProvider),
}

/// An HTTP provider of text messages.
#[derive(Clone)]
pub struct SmsProvider {
    /// The URL to which messages are posted.
    pub url: String,
    /// The sender, as the provider knows it.
    pub from: String,
    /// The user and the password for HTTP Basic; both empty for none.
    pub credentials: (String, String),
    /// More headers, a line each: `Name: value`.
    pub headers: String,
    /// The media type of the body, which decides how values are escaped.
    pub content_type: String,
    /// The body, with `{to}`, `{from}` and `{text}` where the values go.
    pub body: String,
}

impl fmt::Debug for SmsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmsProvider").field("url", &self.url).finish_non_exhaustive()
    }
}

impl SmsProvider {
    /// A provider with the interface of Twilio: an account, its token and a number of its own.
    pub fn twilio(account: &str, token: &str, from: &str) -> Self {
        Self {
            url: format!("https://api.twilio.com/2010-04-01/Accounts/{account}/Messages.json"),
            from: from.to_owned(),
            credentials: (account.to_owned(), token.to_owned()),
            headers: String::new(),
            content_type: FORM.to_owned(),
            body: "To={to}&From={from}&Body={text}".to_owned(),
        }
    }
}

/// The transport of text messages.
#[derive(Debug)]
pub(crate) struct Sms(Option<Provider>);

struct Provider {
    client: HttpClient,
    settings: SmsProvider,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Sms {
    /// The error says which setting is wrong.
    pub(crate) fn new(settings: SmsSettings) -> Result<Self, String> {
        let SmsSettings::Http(settings) = settings else { return Ok(Self(None)) };
        check_url(&settings.url, false).map_err(|fault| format!("sms.url: {fault}"))?;
        let mut headers = Vec::new();
        for line in settings.headers.lines().filter(|line| !line.trim().is_empty()) {
            let fault = || "sms.headers: each line must be a header such as X-Key: 123".to_owned();
            let (name, value) = line.split_once(':').ok_or_else(fault)?;
            let name = HeaderName::try_from(name.trim()).map_err(|_| fault())?;
            headers.push((name, HeaderValue::try_from(value.trim()).map_err(|_| fault())?));
        }
        let (user, password) = &settings.credentials;
        if !user.is_empty() {
            let encoded = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            let value = HeaderValue::try_from(encoded).map_err(|_| "sms.user: is not a user".to_owned())?;
            headers.push((http::header::AUTHORIZATION, value));
        }
        Ok(Self(Some(Provider { client: HttpClient::new(Reach::Anywhere)?, settings, headers })))
    }

    /// Sends a text to a number with its country code. Returns what the provider answered.
    pub(crate) async fn send(&self, clock: &Clock, to: &str, text: &str) -> Result<String, Refusal> {
        let refused = |permanent, detail: String| Refusal { permanent, detail };
        let to = number(to).ok_or_else(|| refused(true, "the number has no country code".to_owned()))?;
        let Some(provider) = &self.0 else { return Ok("listed only: sms.mode is log".to_owned()) };
        let text: String = text.chars().take(MAX_TEXT_LEN).collect();
        let request = provider.request(&to, &text).map_err(|error| refused(true, error.to_string()))?;
        let status = tokio::select! {
            biased;
            status = provider.client.status_of(request) => status.map_err(|error| refused(false, error.to_string()))?,
            () = clock.sleep(TIMEOUT) => return Err(refused(false, "the provider did not answer in time".to_owned())),
        };
        let detail = format!("the provider answered {}", status.as_u16());
        match status.as_u16() {
            200..300 => Ok(detail),
            408 | 429 => Err(refused(false, detail)),
            400..500 => Err(refused(true, detail)),
            _ => Err(refused(false, detail)),
        }
    }
}

impl Provider {
    fn request(&self, to: &str, text: &str) -> http::Result<Request<Bytes>> {
        let SmsProvider { url, from, content_type, body, .. } = &self.settings;
        let body = fill(body, content_type, &[("{to}", to), ("{from}", from), ("{text}", text)]);
        let mut request = Request::post(url).header("content-type", content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Bytes::from(body))
    }
}

/// A body with its values, escaped as its media type demands. A value that looks like a place stays as it is.
fn fill(body: &str, content_type: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = body;
    loop {
        let places = values.iter().filter_map(|(place, value)| Some((rest.find(place)?, *place, *value)));
        let Some((start, place, value)) = places.min_by_key(|(start, ..)| *start) else { break };
        filled += rest.get(..start).unwrap_or_default();
        filled += &escaped(value, content_type);
        rest = rest.get(start + place.len()..).unwrap_or_default();
    }
    filled + rest
}

fn escaped(value: &str, content_type: &str) -> String {
    if content_type.starts_with(FORM) {
        form_urlencoded::byte_serialize(value.as_bytes()).collect()
    } else if content_type.contains("json") {
        let quoted = serde_json::Value::from(value).to_string();
        quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
    } else {
        value.to_owned()
    }
}

/// A phone number in the form `+447700900123`; `None` without a country code.
fn number(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let international = if text.trim_start().starts_with('+') { digits } else { digits.strip_prefix("00")?.to_owned() };
    (8..=15).contains(&international.len()).then(|| format!("+{international}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_the_media_type_demands() {
        let values = [("{to}", "+44"), ("{text}", "5 % off & \"more\" {to}")];
        let form = fill("To={to}&Body={text}", FORM, &values);
        assert_eq!(form, "To=%2B44&Body=5+%25+off+%26+%22more%22+%7Bto%7D");
        let json = fill(r#"{"to":"{to}","text":"{text}"}"#, "application/json", &values);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed, serde_json::json!({"to": "+44", "text": "5 % off & \"more\" {to}"}));
    }

    #[test]
    fn numbers_need_a_country_code() {
        for (text, wanted) in [
            ("+44 7700 900123", Some("+447700900123")),
            ("0044 (7700) 900-123", Some("+447700900123")),
            ("07700 900123", None),
            ("+44", None),
            ("+1234567890123456", None),
        ] {
            assert_eq!(number(text).as_deref(), wanted, "{text}");
        }
    }
}
