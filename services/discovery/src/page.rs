//! The registry as a page without scripts.

use std::fmt::Write as _;

use promox_contract::discovery::InstanceStatus;
use promox_contract::gateway::{BreakerState, Reachability, TrafficStates};
use promox_kernel::Timestamp;

use crate::registry::{Entry, Registry};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}\
table{border-collapse:collapse;margin:1rem 0}th,td{border-bottom:1px solid #ccc;padding:.3rem 1.2rem .3rem 0;\
text-align:left;vertical-align:top}.warn{color:#a40000;font-weight:600}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}.warn{color:#ff8080}}";

/// The page at this time.
pub(crate) fn page(registry: &Registry, traffic: &TrafficStates, now: Timestamp) -> String {
    let totals = registry.totals(now);
    let state = if totals.preserves {
        "<span class=\"warn\">Self-preservation: too few instances renew their leases, so none is evicted.</span>"
    } else {
        "Instances whose leases expire are evicted."
    };
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Discovery</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><h1>Discovery</h1>\
         <table><tr><th>Registered instances</th><td>{}</td></tr>\
         <tr><th>Renewals in the last minute</th><td>{}</td></tr>\
         <tr><th>Renewals threshold</th><td>{}</td></tr><tr><th>State</th><td>{state}</td></tr></table>\
         <table><tr><th>Application</th><th>Instance</th><th>Address</th><th>Status</th><th>Last renewal</th>\
         <th>Requests</th><th>Breaker</th></tr>",
        totals.instances, totals.renewals_last_minute, totals.threshold,
    );
    for (app, instances) in registry.all() {
        for entry in instances.values() {
            row(&mut html, app, entry, registry.is_own(app), now);
            traffic_cells(&mut html, traffic, app, &entry.registration.id, registry.is_own(app));
        }
    }
    html.push_str("</table></body></html>");
    html
}

fn row(html: &mut String, app: &str, entry: &Entry, is_own: bool, now: Timestamp) {
    let registration = &entry.registration;
    let class = if entry.status() == InstanceStatus::Up { "" } else { " class=\"warn\"" };
    let (port, renewed) = (registration.port.open().or(registration.secure_port.open()), entry.renewed_at);
    let renewed = if is_own { "this server".to_owned() } else { format!("{} s ago", now.since(renewed).as_secs()) };
    let address = port.map_or_else(|| registration.host.clone(), |port| format!("{}:{port}", registration.host));
    let overridden = if entry.overridden.is_some() { " (overridden)" } else { "" };
    let _ = write!(
        html,
        "<tr><td>{}</td><td>{}</td><td>{}</td><td{class}>{}{overridden}</td><td>{renewed}</td>",
        escaped(app),
        escaped(&registration.id),
        escaped(&address),
        entry.status(),
    );
}

/// Whether the gateway sends requests to an instance, and the state of its breaker; of a service of promox, that of the
/// service.
fn traffic_cells(html: &mut String, traffic: &TrafficStates, app: &str, id: &str, is_own: bool) {
    let cell = |text: &str, is_well: bool| {
        let class = if is_well { "" } else { " class=\"warn\"" };
        format!("<td{class}>{text}</td>")
    };
    let breaker = |state: BreakerState| cell(state.as_str(), state == BreakerState::Closed);
    let service = app.strip_suffix("-SERVICE").unwrap_or(app).replace('-', "").to_lowercase();
    let whole = if is_own { traffic.services.get(&service) } else { traffic.apps.get(app) };
    let Some(whole) = whole else {
        let _ = write!(html, "{}{}</tr>", cell(if is_own { "" } else { "no route" }, true), cell("", true));
        return;
    };
    let instance = traffic.instances.iter().find(|it| it.app == app && it.id == id);
    let reachability = instance.map_or(Reachability::In, |it| it.reachability);
    // An open breaker of the application spares all of its instances.
    let state = instance.filter(|_| *whole == BreakerState::Closed).map_or(*whole, |it| it.breaker);
    let (requests, breaker) = (cell(reachability.as_str(), reachability == Reachability::In), breaker(state));
    let _ = write!(html, "{requests}{breaker}</tr>");
}

/// Text for HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
