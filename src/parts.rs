//! The health of a node's parts beside the engine: the disk, consumers, sagas and mail.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use promox_contract::notification::GetMailQueue;
use promox_contract::order::ListRunningSagas;
use promox_kernel::{Cx, Error, Node};
use serde_json::{Value, json};

use crate::config::{MailMode, Settings};
use crate::engine;
use crate::http::Server;
use crate::ops::Ops;

/// How long a check may take.
const LIMIT: Duration = Duration::from_secs(2);
/// Running sagas that are counted at most.
const MAX_SAGAS: usize = 200;

/// Adds the parts to the server's health.
pub(crate) fn observe(server: &Server, node: &Arc<Node>, settings: &Settings, ops: Option<Arc<Ops>>) {
    let (health, dir) = (server.health(), settings.data.dir.clone());
    // Below what the engine keeps free, writes are refused.
    let least = engine::options(settings).reserve_bytes;
    health.add("disk", Box::new(move || disk(&dir, least)));
    if let Some(ops) = ops {
        let consumers = move |_: Cx| {
            let ops = ops.clone();
            async move {
                let totals = ops.consumer_totals().await?;
                Ok(json!({"consumers": totals.consumers, "deadLetters": totals.dead_letters}))
            }
        };
        add(server, node, "consumers", consumers);
    }
    add(server, node, "sagas", |cx| async move {
        let running = cx.call(ListRunningSagas { after: None, limit: MAX_SAGAS }).await?;
        let failing = running.items.iter().filter(|saga| saga.tries > 0).count();
        Ok(json!({"running": running.items.len(), "failing": failing, "more": running.next.is_some()}))
    });
    let mode = if settings.mail.mode == MailMode::Smtp { "smtp" } else { "file" };
    add(server, node, "mail", move |cx| async move {
        let queue = cx.call(GetMailQueue {}).await?;
        Ok(json!({"mode": mode, "waiting": queue.waiting, "failing": queue.failing}))
    });
}

/// Adds a part whose check calls services.
fn add<F, R>(server: &Server, node: &Arc<Node>, name: &'static str, check: F)
where
    F: Fn(Cx) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Value, Error>> + Send + 'static,
{
    let node = Arc::downgrade(node);
    let component = move || {
        let checked = node.upgrade().map(|node| check(Cx::system(&node, "health", LIMIT)));
        let result = async move {
            match checked {
                Some(checked) => checked.await.map_err(|error| error.message().to_owned()),
                None => Err("the node is closed".to_owned()),
            }
        };
        Box::pin(result) as promox_kernel::BoxFuture<Result<Value, String>>
    };
    server.health().add_async(name, Box::new(component));
}

/// The space of the file system with the data, of which `least` bytes must be free.
fn disk(dir: &std::path::Path, least: u64) -> Result<Value, String> {
    let space = rustix::fs::statvfs(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let (total, free) = (space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize);
    if free < least {
        return Err(format!("only {free} of {total} bytes are free"));
    }
    Ok(json!({"total": total, "free": free, "threshold": least}))
}
