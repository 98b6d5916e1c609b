//! Compares random orders and cancellations with a simple model of which buyers are the same person.

use std::time::Duration;

use promox_contract::buyer::Buyer;
use promox_kernel::UserId;
use promox_testkit::Dice;
use serde_json::json;

use super::neighbours::Shop;

/// Addresses as written, in normal form, and in normal form without their tag.
const ADDRESSES: [(&str, &str, &str); 8] = [
    ("user1@example.com", "user1@example.com", "user1@example.com"),
    ("USER1@Example.com", "user1@example.com", "user1@example.com"),
    ("user2@example.com", "user2@example.com", "user2@example.com"),
    ("user2+a@example.com", "user2+a@example.com", "user2@example.com"),
    ("User2+B@example.com", "user2+b@example.com", "user2@example.com"),
    ("ada@münchen.example", "ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
    ("ada@mu\u{308}nchen.example", "ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
    ("ada+1@XN--MNCHEN-3YA.example", "ada+1@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
];
/// Seconds per day.
const DAY: i64 = 24 * 3600;

/// A use in the model: the account, the indexes of the addresses, and the day.
struct Used {
    order: i64,
    account: Option<i64>,
    addresses: Vec<usize>,
    day: i64,
}

fn same_address(one: usize, other: usize, ignore_plus_tags: bool) -> bool {
    let ((_, normal, mailbox), (_, other_normal, other_mailbox)) = (ADDRESSES[one], ADDRESSES[other]);
    if ignore_plus_tags { mailbox == other_mailbox } else { normal == other_normal }
}

#[tokio::test]
async fn limits_per_person_hold_for_random_orders_and_cancellations() {
    for seed in 0..60 {
        let (mut dice, mut used) = (Dice::new(seed), Vec::<Used>::new());
        let shop = Shop::open();
        let (in_total, daily) = (1 + dice.roll(4), 1 + dice.roll(2));
        let periods = json!([{"per": "USER", "period": "DAY", "count": daily}]);
        let id = shop.active(json!({"limits": {"perUser": in_total, "periods": periods}})).await;
        for order in 1..80 {
            match dice.roll(8) {
                0 if !used.is_empty() => {
                    let cancelled = used.remove(dice.roll(used.len()));
                    shop.release(cancelled.order).await;
                    continue;
                }
                1 => {
                    shop.advance(Duration::from_hours(u64::try_from(dice.roll(20)).unwrap()));
                    continue;
                }
                _ => {}
            }
            // Accounts 1 to 3 have the addresses 0, 2 and 5.
            let account = Some(dice.roll(4)).filter(|account| *account > 0);
            let of_account = account.map(|account| [0, 2, 5][account - 1]);
            let given = Some(dice.roll(ADDRESSES.len() + 2)).filter(|given| *given < ADDRESSES.len());
            let given = if account.is_none() { Some(given.unwrap_or(1)) } else { given };
            let ignore_plus_tags = dice.roll(3) == 0;
            let email = |place: usize| ADDRESSES[place].0.parse().unwrap();
            let account = account.map(|account| i64::try_from(account).unwrap());
            let buyer = Buyer {
                user_id: account.map(UserId),
                account_email: of_account.map(email),
                given_email: given.map(email),
                ignore_plus_tags,
            };
            let addresses: Vec<usize> = of_account.into_iter().chain(given).collect();
            let same_person = |used: &&Used| {
                let by_account = account.is_some() && used.account == account;
                let by_address =
                    |one: &usize| used.addresses.iter().any(|other| same_address(*one, *other, ignore_plus_tags));
                by_account || addresses.iter().any(by_address)
            };
            let today = shop.now().seconds() / DAY;
            let mine: Vec<&Used> = used.iter().filter(same_person).collect();
            let fits = mine.len() < in_total && mine.iter().filter(|item| item.day == today).count() < daily;
            let held = shop.hold_for(order, buyer, &[(id, "1.00")]).await;
            assert_eq!(held.is_ok(), fits, "seed {seed}, order {order}: {held:?}");
            if fits {
                used.push(Used { order, account, addresses, day: today });
            }
        }
        shop.verify();
    }
}
