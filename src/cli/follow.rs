//! Follows a run of a running server to its end.

use std::time::Duration;

use serde_json::{Value, json};

use super::progress;
use super::remote::{Remote, refusal};
use crate::exit::Exit;

/// The path of runs.
const PATH: &str = "/api/ops/runs";
/// The pause between two looks at the progress.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts a run of this kind, or joins the one in progress, and shows its progress until it is done. Returns the run.
/// One that this command did not start remains the server's: `bool` says whether it was started here.
pub(super) async fn follow(remote: &Remote, kind: &str, label: &'static str) -> Result<(Value, bool), Exit> {
    let (status, started) = remote.call("POST", PATH, Some(&json!({"kind": kind}))).await?;
    let (id, is_ours) = match status {
        202 => (member(&started, "id")?, true),
        409 => (member(&started, "runId").map_err(|_| refusal(status, &started))?, false),
        _ => return Err(refusal(status, &started)),
    };
    let path = format!("{PATH}/{id}");
    let bar = progress::items(0, label);
    let run = loop {
        let (status, run) = remote.call("GET", &path, None).await?;
        if status != 200 {
            return Err(refusal(status, &run));
        }
        let number = |name: &str| run.pointer(name).and_then(Value::as_u64).unwrap_or(0);
        bar.set_length(number("/progress/total"));
        bar.set_position(number("/progress/done"));
        if !matches!(run.get("state").and_then(Value::as_str), Some("QUEUED" | "RUNNING")) {
            break run;
        }
        tokio::time::sleep(PAUSE).await;
    };
    bar.finish_and_clear();
    match run.get("state").and_then(Value::as_str) {
        Some("DONE") => Ok((run, is_ours)),
        Some("CANCELLED") => Err(Exit::busy("the run was cancelled")),
        _ => Err(Exit::io(run.get("error").and_then(Value::as_str).unwrap_or("the run failed"))),
    }
}

/// Removes the file of a run from the server.
pub(super) async fn forget(remote: &Remote, run: &Value) -> Result<(), Exit> {
    let (status, answer) = remote.call("DELETE", &format!("{PATH}/{}", member(run, "id")?), None).await?;
    if status == 204 { Ok(()) } else { Err(refusal(status, &answer)) }
}

fn member(value: &Value, name: &str) -> Result<i64, Exit> {
    let id = value.get(name).and_then(Value::as_i64);
    id.ok_or_else(|| Exit::io(format_args!("the server's response has no \"{name}\"; is it a promox server?")))
}
