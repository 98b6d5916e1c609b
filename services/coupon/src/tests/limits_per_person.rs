//! Compares random redemptions and releases with a simple model of which buyers are the same person.

use promox_contract::buyer::Buyer;
use promox_contract::coupon::{HoldCoupons, ReleaseCoupons};
use promox_contract::ids::OrderId;
use promox_kernel::UserId;
use promox_testkit::Dice;
use serde_json::json;

use super::open;
use crate::CreateCoupon;

/// Addresses as written, in normal form, and in normal form without their tag.
const ADDRESSES: [(&str, &str, &str); 6] = [
    ("user1@example.com", "user1@example.com", "user1@example.com"),
    ("USER1@Example.com", "user1@example.com", "user1@example.com"),
    ("user2+a@example.com", "user2+a@example.com", "user2@example.com"),
    ("user2@example.com", "user2@example.com", "user2@example.com"),
    ("ada@münchen.example", "ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
    ("ada@XN--MNCHEN-3YA.example", "ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
];

/// A redemption in the model: the order, the account, and the indexes of the addresses.
struct Redeemed(i64, Option<i64>, Vec<usize>);

fn same_address(one: usize, other: usize, ignore_plus_tags: bool) -> bool {
    let ((_, normal, mailbox), (_, other_normal, other_mailbox)) = (ADDRESSES[one], ADDRESSES[other]);
    if ignore_plus_tags { mailbox == other_mailbox } else { normal == other_normal }
}

#[tokio::test]
async fn limits_per_person_hold_for_random_redemptions_and_releases() {
    for seed in 0..60_u64 {
        let mut dice = Dice::new(seed);
        let (shop, mut live) = (open(), Vec::<Redeemed>::new());
        let most = 1 + dice.roll(4);
        shop.ask::<CreateCoupon>(json!({"code": "MANY", "promotionId": 1, "perUserLimit": most})).await.unwrap();
        for order in 1..80 {
            if dice.roll(6) == 0 && !live.is_empty() {
                let Redeemed(order, ..) = live.remove(dice.roll(live.len()));
                shop.call(ReleaseCoupons { order_id: OrderId(order) }).await.unwrap();
                continue;
            }
            // Accounts 1 to 3 have the addresses 0, 3 and 4.
            let account = Some(dice.roll(4)).filter(|account| *account > 0);
            let of_account = account.map(|account| [0, 3, 4][account - 1]);
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
            let same_person = |Redeemed(_, other, others): &&Redeemed| {
                let by_address = |one: &usize| others.iter().any(|other| same_address(*one, *other, ignore_plus_tags));
                account.is_some() && *other == account || addresses.iter().any(by_address)
            };
            let fits = live.iter().filter(same_person).count() < most;
            let held = shop.call(HoldCoupons { order_id: OrderId(order), buyer, codes: vec!["many".to_owned()] }).await;
            assert_eq!(held.is_ok(), fits, "seed {seed}, order {order}: {held:?}");
            if fits {
                live.push(Redeemed(order, account, addresses));
            }
        }
        shop.verify();
    }
}
