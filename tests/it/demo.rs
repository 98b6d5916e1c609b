//! `promox demo`: runs the command lines of the tour as they are printed.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The line before the four calls of the tour.
const TOUR: &str = "An order with a promotion code and a coupon, the points it earned, and the dashboard:";
/// Separates the responses of a script's lines.
const SEPARATOR: &str = "--8<--";

/// A running sample shop and the lines that it printed.
struct Demo {
    child: Child,
    printed: Vec<String>,
}

impl Demo {
    async fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_promox"));
        command.args(["demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let last = line.starts_with("Every operation");
            printed.push(line);
            if last {
                return Self { child, printed };
            }
        }
        panic!("the sample shop did not start: {printed:?}");
    }

    /// The command lines of the tour.
    fn tour(&self) -> Vec<&str> {
        let after = self.printed.iter().skip_while(|line| *line != TOUR).skip(2);
        after.take_while(|line| !line.is_empty()).map(|line| line.trim()).collect()
    }

    /// Runs lines in one shell with environment variables, and returns the JSON of each line that prints a response.
    async fn run(&self, lines: &[&str], variables: &[(&str, String)]) -> Vec<Value> {
        let each: Vec<String> = lines.iter().map(|line| format!("{line}\necho; echo '{SEPARATOR}'\n")).collect();
        let script = each.concat();
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &script]).envs(variables.iter().cloned());
        let output = shell.output().await.unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{stdout} {stderr}");
        let answers = stdout.split(SEPARATOR).map(str::trim).filter(|answer| !answer.is_empty());
        answers.map(|answer| serde_json::from_str(answer).unwrap_or_else(|_| panic!("{answer}"))).collect()
    }

    /// Runs a line repeatedly until its response satisfies `done`, as effects of an order arrive with a delay.
    async fn run_until(&self, line: &str, variables: &[(&str, String)], done: impl Fn(&Value) -> bool) -> Value {
        loop {
            let answer = self.run(&[line], variables).await.pop().unwrap();
            if done(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_calls_of_the_tour_run_as_they_are_printed() {
    let mut demo = Demo::start().await;
    let tour = demo.tour();
    let calls: Vec<&str> = tour.iter().copied().filter(|line| line.starts_with("curl")).collect();
    let logins: Vec<&str> = tour.iter().copied().filter(|line| !line.starts_with("curl")).collect();
    for (call, expected) in
        calls.iter().zip(["/api/products'", "/api/orders ", "/rewards/account/1 ", "/dashboard/summary "])
    {
        assert!(call.contains(expected), "{call}");
    }
    assert_eq!((calls.len(), logins.len()), (4, 2), "{tour:?}");
    let tokens = [r#"echo "\"$BUYER\"""#, r#"echo "\"$TOKEN\"""#];
    let before = demo.run(&[&logins[..], &[calls[2], calls[3]], &tokens].concat(), &[]).await;
    let token = |at: usize| before[at].as_str().unwrap().to_owned();
    let held = [("BUYER", token(2)), ("TOKEN", token(3))];
    assert_eq!(before[0]["userId"], 1);
    let points = before[0]["balance"].as_i64().unwrap();
    assert!(points > 0, "the customer has ordered before: {before:?}");

    let answers = demo.run(&tour, &[]).await;
    assert_eq!((answers[0]["items"].as_array().unwrap().len(), &answers[0]["total"]), (20, &json!(68)));
    check_order(&answers[1]);

    // The goods cost 13.16 including 2.19 of tax, so 10.97 without: one point for each whole pound.
    let account = demo.run_until(calls[2], &held, |item| item["balance"] != points).await;
    assert_eq!((&account["userId"], &account["tier"]), (&json!(1), &json!("BRONZE")));
    assert_eq!(account["balance"], points + 10);
    let orders = before[1]["orders"].as_i64().unwrap();
    let redeemed = before[1]["coupons"]["redeemed"].as_i64().unwrap();
    let counted = |it: &Value| it["orders"] != orders && it["coupons"]["redeemed"] != redeemed;
    let summary = demo.run_until(calls[3], &held, counted).await;
    assert_eq!((&summary["orders"], &summary["currency"]), (&json!(orders + 1), &json!("GBP")));
    let cents = |it: &Value| it.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
    for (member, more) in [("revenue", 1_097), ("discounts", 454)] {
        assert_eq!(cents(&summary[member]), cents(&before[1][member]) + more, "{member}");
    }
    assert_eq!(summary["coupons"]["redeemed"], redeemed + 1);
    // The lines send an idempotency key, so running them again places no second order.
    let again = demo.run(&tour, &[]).await;
    assert_eq!(again[1], answers[1]);
    let verify = demo.printed.iter().find(|line| line.contains("/api/ops/verify")).unwrap().trim();
    assert_eq!(demo.run(&[verify], &held).await[0]["findings"], json!([]));
    demo.child.kill().await.unwrap();
}

/// Checks the order: six hearts at 2.95, 20 % and 1.00 off, shipping at 3.95; a sixth of each amount is tax.
fn check_order(order: &Value) {
    assert_eq!((&order["status"], &order["userId"]), (&json!("CONFIRMED"), &json!(1)), "{order}");
    let totals = json!({"subtotal": "17.70", "discount": "4.54", "shipping": "3.95", "shippingDiscount": "0.00",
        "tax": "2.85", "pointsRedeemed": 0, "pointsValue": "0.00", "total": "17.11"});
    assert_eq!(order["totals"], totals);
    let applied = order["appliedPromotions"].as_array().unwrap();
    let of = |member: &str, code: &str| {
        applied.iter().find(|discount| discount[member] == code).map(|discount| discount["amount"].clone())
    };
    assert_eq!(of("code", "SUMMER2024"), Some(json!("3.54")));
    assert_eq!(of("couponCode", "WELCOME100"), Some(json!("1.00")));
    assert_eq!((applied.len(), &order["pointsEarned"]), (2, &json!(10)));
    assert_eq!((&order["lines"][0]["total"], &order["payment"]["status"]), (&json!("13.16"), &json!("CAPTURED")));
}
