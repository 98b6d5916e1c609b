//! The event stream of a sale.

use promox_contract::ids::FlashSaleId;
use promox_kernel::{BodyReader, Content};

use super::market::{Market, item};
use crate::api::{CancelSale, FollowSale};

async fn follow(market: &Market, id: FlashSaleId) -> BodyReader {
    let reply = market.call(FollowSale { id }).await.unwrap();
    assert_eq!(reply.media_type, "text/event-stream");
    let Content::Stream(_, reader) = reply.content else { panic!("the reply is not a stream") };
    reader
}

/// The name and status of the next event, and the remaining units of the first item.
async fn next_event(reader: &mut BodyReader) -> Option<(String, String, i64)> {
    let chunk = reader.next().await?.unwrap();
    let text = std::str::from_utf8(&chunk).unwrap();
    let (name, data) = text.trim_end().strip_prefix("event: ")?.split_once("\ndata: ")?;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let status = data["status"].as_str()?.to_owned();
    Some((name.to_owned(), status, data["items"][0]["remaining"].as_i64()?))
}

fn event(name: &str, status: &str, remaining: i64) -> (String, String, i64) {
    (name.into(), status.into(), remaining)
}

#[tokio::test]
async fn listeners_get_start_remaining_and_end() {
    let market = Market::open();
    let id = market.make(vec![item("A", 5, None)]).await;
    let mut reader = follow(&market, id).await;
    assert_eq!(next_event(&mut reader).await.unwrap(), event("remaining", "SCHEDULED", 5));
    market.wait(60).await;
    assert_eq!(next_event(&mut reader).await.unwrap(), event("start", "ACTIVE", 5));
    for user in 1..=5 {
        market.granted(id, user, 1).await;
    }
    market.wait(1).await;
    assert_eq!(next_event(&mut reader).await.unwrap(), event("remaining", "SOLD_OUT", 0), "five changes, one event");
    market.call(CancelSale { id }).await.unwrap();
    market.wait(1).await;
    assert_eq!(next_event(&mut reader).await.unwrap(), event("end", "CANCELLED", 5));
    assert_eq!(next_event(&mut reader).await, None);
    let mut late = follow(&market, id).await;
    assert_eq!(next_event(&mut late).await.unwrap(), event("end", "CANCELLED", 5));
    assert_eq!(next_event(&mut late).await, None);
    assert!(market.call(FollowSale { id: FlashSaleId(9) }).await.is_err());
}
