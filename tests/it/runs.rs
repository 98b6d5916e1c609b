//! Runs: verifications, backups and exports that go on beside the shop's other work.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::process::{Process, promox, promox_with};
use crate::promotions::{activate, percent};
use crate::shop::{PASSWORD, Shop, order_of};

const RUNS: &str = "/api/ops/runs";

/// Starts a run and returns it.
async fn start(admin: &Client, body: Value) -> Value {
    let started = admin.post(RUNS, &body).await;
    let run = started.expect(202);
    assert_eq!(started.headers["location"], path_of(&run));
    run
}

fn path_of(run: &Value) -> String {
    format!("{RUNS}/{}", run["id"])
}

/// Waits until a run is in one of these states and returns it.
async fn wait_for(admin: &Client, run: &Value, states: &[&str]) -> Value {
    loop {
        let run = admin.get(&path_of(run)).await.expect(200);
        if states.iter().any(|state| run["state"] == *state) {
            return run;
        }
        tokio::task::yield_now().await;
    }
}

async fn done(admin: &Client, body: Value) -> Value {
    let run = start(admin, body).await;
    let run = wait_for(admin, &run, &["DONE", "FAILED", "CANCELLED"]).await;
    assert_eq!((&run["state"], &run["error"]), (&json!("DONE"), &Value::Null), "{run}");
    assert_eq!(run["progress"]["done"], run["progress"]["total"], "{run}");
    run
}

async fn download(admin: &Client, run: &Value) -> Answer {
    admin.with("accept-encoding", "gzip").get(run["file"]["path"].as_str().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_runs_and_its_result_is_kept() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    let run = done(&shop.admin, json!({"kind": "VERIFY"})).await;
    let verdict = &run["verdict"];
    assert_eq!((&verdict["clean"], &verdict["findings"]), (&json!(true), &json!([])));
    assert_eq!(
        (&run["progress"]["unit"], &run["file"], &run["content"]),
        (&json!("ENTRIES"), &Value::Null, &Value::Null)
    );
    assert!(run["progress"]["done"].as_u64().unwrap() > 100, "{run}");
    let times = ["createdAt", "startedAt", "finishedAt"].map(|name| run[name].as_str().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    assert!(run["requestedBy"].as_str().unwrap().starts_with("user:"));
    let now = shop.admin.get("/api/ops/verify").await.expect(200);
    assert_eq!((&now["clean"], &now["state"]), (&json!(true), &json!("DONE")), "{now}");
    let shop = shop.restart().await;
    let listed = shop.all(&format!("{RUNS}?kind=VERIFY&state=DONE")).await;
    assert_eq!(listed.iter().map(|run| &run["id"]).collect::<Vec<_>>(), [&now["runId"], &run["id"]]);
    assert_eq!(listed[1], run);
    assert_eq!(shop.admin.get(&format!("{RUNS}?kind=BACKUP")).await.expect(200)["items"], json!([]));
    let entries = shop.all("/api/audit?action=ops.start_run").await;
    assert_eq!(entries.len(), 1, "a request that only reads is not in the audit log");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_wait_for_each_other_and_can_be_cancelled() {
    let shop = Shop::start_with(&[("PROMOX_SERVER__REQUEST_TIMEOUT_MS", "4000")]).await;
    let kept = done(&shop.admin, json!({"kind": "VERIFY"})).await;
    // The worker waits for a long read while others hold all of them.
    let reads = shop.take_long_reads();
    let verify = start(&shop.admin, json!({"kind": "VERIFY"})).await;
    wait_for(&shop.admin, &verify, &["RUNNING"]).await;
    let refusal = shop.admin.post(RUNS, &json!({"kind": "VERIFY"})).await.refused(409, "RUN_IN_PROGRESS");
    assert_eq!(refusal["runId"], verify["id"]);
    let answer = shop.admin.get("/api/ops/verify").await;
    let pending = answer.expect(202);
    assert_eq!(answer.headers["location"], path_of(&verify));
    assert_eq!((&pending["runId"], &pending["state"]), (&verify["id"], &json!("RUNNING")));
    assert_eq!((&pending["clean"], &pending["verifiedAt"]), (&json!(true), &kept["startedAt"]), "the last result");
    let backup = start(&shop.admin, json!({"kind": "BACKUP"})).await;
    assert_eq!(backup["state"], "QUEUED");
    for run in [&backup, &verify] {
        for _ in 0..2 {
            assert_eq!(shop.admin.delete(&path_of(run)).await.status, 204);
        }
        let cancelled = shop.admin.get(&path_of(run)).await.expect(200);
        assert_eq!((&cancelled["state"], &cancelled["file"]), (&json!("CANCELLED"), &Value::Null), "{cancelled}");
    }
    drop(reads);
    done(&shop.admin, json!({"kind": "BACKUP"})).await;
    for unknown in [format!("{RUNS}/999"), format!("{RUNS}/999/file"), format!("{}/file", path_of(&verify))] {
        shop.admin.get(&unknown).await.refused(404, "NOT_FOUND");
    }
    shop.admin.delete(&format!("{RUNS}/999")).await.refused(404, "NOT_FOUND");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_an_export_equals_the_stream() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    for token in ["tok_visa", "tok_declined"] {
        shop.anyone.post("/api/orders", &order_of(&[("A", 2)], token)).await;
    }
    let promotion = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    let batch = json!({"count": 50, "promotionId": promotion, "pattern": "SAVE-####-####"});
    let batch = shop.admin.post("/api/coupons/bulk", &batch).await.expect(202);
    while shop.admin.get(&format!("/api/coupons/batches/{}", batch["id"])).await.expect(200)["status"] != "COMPLETED" {
        tokio::task::yield_now().await;
    }
    let coupons = format!("/api/coupons/batches/{}/export", batch["id"]);
    let cases = [
        (json!({"content": "ORDERS"}), "/api/orders/export?format=ndjson", "orders.ndjson", 2),
        (json!({"content": "ORDERS", "format": "CSV"}), "/api/orders/export?format=csv", "orders.csv", 2),
        (json!({"content": "PRODUCTS"}), "/api/products/export?format=csv", "products.csv", 1),
        (
            json!({"content": "PRODUCTS", "format": "NDJSON"}),
            "/api/products/export?format=ndjson",
            "products.ndjson",
            1,
        ),
        (json!({"content": "COUPONS", "batchId": batch["id"]}), &coupons, "coupons", 50),
    ];
    for (mut body, stream, name, rows) in cases {
        body["kind"] = json!("EXPORT");
        let run = done(&shop.admin, body).await;
        assert_eq!(run["progress"], json!({"done": rows, "total": rows, "unit": "ROWS"}), "{run}");
        let file = download(&shop.admin, &run).await;
        let streamed = shop.admin.with("accept", "*/*").get(stream).await;
        assert_eq!(streamed.status, 200, "{stream}");
        assert_eq!((file.status, &file.bytes), (200, &streamed.bytes), "{stream}");
        assert_eq!(file.headers["content-type"], streamed.headers["content-type"]);
        assert_eq!(file.headers["content-length"], file.bytes.len().to_string());
        assert_eq!(run["file"]["bytes"], file.bytes.len());
        let disposition = file.headers["content-disposition"].to_str().unwrap();
        assert!(disposition.starts_with(&format!("attachment; filename=\"{name}")), "{disposition}");
        assert!(run["file"]["name"].as_str().unwrap().starts_with(name));
        let path = run["file"]["path"].as_str().unwrap();
        let head = shop.admin.send("HEAD", path, "", Bytes::new()).await.unwrap();
        assert_eq!(head.headers["content-length"], file.headers["content-length"]);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_bounded_and_removed() {
    let shop = Shop::start().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(done(&shop.admin, json!({"kind": "BACKUP"})).await);
    }
    let files = |shop: &Shop| std::fs::read_dir(shop.dir().join("runs")).unwrap().count();
    assert_eq!(shop.admin.get(&path_of(&runs[0])).await.expect(200)["file"], Value::Null, "only two are kept");
    assert_eq!(files(&shop), 2);
    assert_eq!(shop.admin.delete(&path_of(&runs[1])).await.status, 204);
    let state = shop.admin.get(&path_of(&runs[1])).await.expect(200);
    assert_eq!((&state["state"], &state["file"]), (&json!("DONE"), &Value::Null));
    download(&shop.admin, &runs[1]).await.refused(404, "NOT_FOUND");
    assert_eq!(files(&shop), 1);
    let whole = download(&shop.admin, &runs[2]).await;
    std::fs::write(shop.dir().join("runs/9.partial"), "the rest of a killed run").unwrap();
    let shop = shop.restart().await;
    assert_eq!(files(&shop), 1, "remains are removed at the start");
    assert_eq!(download(&shop.admin, &runs[2]).await.bytes, whole.bytes);
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("shop.backup");
    std::fs::write(&file, &whole.bytes).unwrap();
    let restored = elsewhere.path().join("restored");
    assert!(promox(&restored, &["restore", file.to_str().unwrap()]).status.success());
    // The backup contains its own run, whose file does not exist in the restored store.
    let process = Process::start(&restored).await;
    let admin = process.admin().await;
    let run = admin.get(&path_of(&runs[2])).await.expect(200);
    assert_eq!((&run["state"], &run["file"]), (&json!("FAILED"), &Value::Null), "{run}");
    assert_eq!(admin.get(&path_of(&runs[0])).await.expect(200)["file"], Value::Null);
    process.stop().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_stop_interrupts_has_failed() {
    let shop = Shop::start().await;
    let reads = shop.take_long_reads();
    let export = start(&shop.admin, json!({"kind": "EXPORT", "content": "ORDERS"})).await;
    wait_for(&shop.admin, &export, &["RUNNING"]).await;
    let queued = start(&shop.admin, json!({"kind": "VERIFY"})).await;
    let shop = shop.restart().await;
    drop(reads);
    let failed = shop.admin.get(&path_of(&export)).await.expect(200);
    assert_eq!(failed["state"], "FAILED");
    assert!(failed["error"].as_str().unwrap().contains("server stopped"), "{failed}");
    let resumed = wait_for(&shop.admin, &queued, &["DONE", "FAILED"]).await;
    assert_eq!(resumed["state"], "DONE", "a queued run begins after the restart: {resumed}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_no_run_open_and_no_remains() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let process = Process::start(dir.path()).await;
        let admin = process.admin().await;
        let backup = start(&admin, json!({"kind": "BACKUP"})).await;
        process.kill().await;
        let process = Process::start(dir.path()).await;
        let admin = process.admin().await;
        let run = wait_for(&admin, &backup, &["DONE", "FAILED"]).await;
        assert_eq!(run["file"].is_null(), run["state"] == "FAILED", "{run}");
        let again = done(&admin, json!({"kind": "BACKUP"})).await;
        assert_eq!(download(&admin, &again).await.status, 200);
        for entry in std::fs::read_dir(dir.path().join("runs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.parse::<u64>().is_ok(), "{name}");
        }
        process.stop().await;
    }
    crate::process::verify(dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_and_downloading_need_more_than_reading() {
    let shop = Shop::start().await;
    let customer = shop.customer("me@example.com").await;
    let role = json!({"name": "OPERATOR", "permissions": ["ops:read"]});
    shop.admin.post("/api/roles", &role).await.expect(201);
    let me = customer.get("/api/users/me").await.expect(200);
    shop.admin.patch(&format!("/api/users/{}", me["id"]), &json!({"roles": ["OPERATOR"]})).await.expect(200);
    let login = json!({"email": "me@example.com", "password": PASSWORD});
    let token = shop.anyone.post("/api/auth/login", &login).await.expect(200);
    let reader = shop.anyone.bearer(token["accessToken"].as_str().unwrap());
    let run = done(&shop.admin, json!({"kind": "BACKUP"})).await;
    let file = run["file"]["path"].as_str().unwrap();
    let verify = json!({"kind": "VERIFY"});
    for (client, status, code) in [(&reader, 403, "FORBIDDEN"), (&shop.anyone, 401, "UNAUTHENTICATED")] {
        client.post(RUNS, &verify).await.refused(status, code);
        client.delete(&path_of(&run)).await.refused(status, code);
        client.get(file).await.refused(status, code);
        client.get("/api/ops/backup").await.refused(status, code);
    }
    for path in [RUNS, &path_of(&run), "/api/ops/verify"] {
        reader.get(path).await.expect(200);
        shop.anyone.get(path).await.refused(401, "UNAUTHENTICATED");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_makes_no_sense_is_refused() {
    let shop = Shop::start().await;
    let cases = [
        (json!({}), vec!["/kind"]),
        (json!({"kind": "SLEEP"}), vec!["/kind"]),
        (json!({"kind": "EXPORT"}), vec!["/content"]),
        (json!({"kind": "EXPORT", "content": "COUPONS", "format": "NDJSON"}), vec!["/batchId", "/format"]),
        (
            json!({"kind": "VERIFY", "content": "ORDERS", "format": "CSV", "batchId": 1}),
            vec!["/batchId", "/content", "/format"],
        ),
    ];
    for (body, pointers) in cases {
        let refusal = shop.admin.post(RUNS, &body).await.refused(422, "VALIDATION_FAILED");
        let mut found: Vec<&str> =
            refusal["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, pointers, "{refusal}");
    }
    let coupons = json!({"kind": "EXPORT", "content": "COUPONS", "batchId": 999});
    let refusal = shop.admin.post(RUNS, &coupons).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refusal["errors"][0]["pointer"], "/batchId", "{refusal}");
    assert_eq!(shop.admin.get(RUNS).await.expect(200)["items"], json!([]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_verifies_and_backs_up_a_running_shop() {
    let shop = Shop::start().await;
    let token = shop.anyone.post("/api/auth/login", &json!({"email": crate::shop::EMAIL, "password": PASSWORD})).await;
    let token = token.expect(200)["accessToken"].as_str().unwrap().to_owned();
    let url = shop.url();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("shop.backup");
    let arguments = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let commands =
        [arguments(&["verify", "--url", &url]), arguments(&["backup", file.to_str().unwrap(), "--url", &url])];
    for command in commands {
        let (dir, token) = (elsewhere.path().to_owned(), token.clone());
        let finished = tokio::task::spawn_blocking(move || {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            promox_with(&dir, &words, &[("PROMOX_TOKEN", &token)])
        });
        let finished = finished.await.unwrap();
        let (out, err) = (String::from_utf8_lossy(&finished.stdout), String::from_utf8_lossy(&finished.stderr));
        assert!(finished.status.success(), "{out}{err}");
        assert!(out.contains(" 0 violations") || out.contains("Wrote "), "{out}");
    }
    let runs = shop.all(RUNS).await;
    let kinds: Vec<&Value> = runs.iter().map(|run| &run["kind"]).collect();
    assert_eq!(kinds, ["BACKUP", "VERIFY"]);
    assert_eq!(runs[0]["file"], Value::Null, "the server keeps no copy of a file that was downloaded");
    assert!(promox(&elsewhere.path().join("restored"), &["restore", file.to_str().unwrap()]).status.success());
    let ambiguous = ["verify", "--url", &url, "--token", "unused", "--data-dir", "shop"];
    assert_eq!(promox(elsewhere.path(), &ambiguous).status.code(), Some(64));
    shop.close().await;
}
