//! Import of codes that were issued elsewhere.

use bytes::Bytes;
use promox_contract::ids::PromotionId;
use promox_contract::import::ImportReport;
use promox_kernel::{Body, BodyReader};
use serde_json::json;

use super::{Shop, open};
use crate::{GetCoupon, ImportCoupons};

async fn import(shop: &Shop, media_type: &str, text: &str, promotion: Option<i64>) -> ImportReport {
    let (sender, reader) = BodyReader::pair();
    assert!(sender.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).await);
    drop(sender);
    let body = Body { media_type: media_type.into(), reader: Some(reader), headers: Vec::new() };
    shop.call(ImportCoupons { promotion_id: promotion.map(PromotionId), body }).await.unwrap()
}

fn counts(report: &ImportReport) -> (u64, u64, u64, u64) {
    (report.created, report.updated, report.skipped, report.failed)
}

#[tokio::test]
async fn a_faulty_row_does_not_affect_others() {
    let shop = open();
    let csv = "code,promotionId,maxRedemptions,endsAt\r\nOLD-1,1,5,2030-01-01T00:00:00Z\nOLD-2,,,\n\nSUMMER,1,,\nOLD-3,9,,\nOLD-4,1\nOLD-5,1,many,\n\"a/b\",1,,\nold 1,1,5,\n";
    let report = import(&shop, "text/csv", csv, Some(2)).await;
    assert_eq!(counts(&report), (2, 0, 1, 5), "{report:?}");
    let errors: Vec<_> = report.errors.iter().map(|error| (error.row, error.code.as_str())).collect();
    let expected =
        [(3, "CODE_TAKEN"), (4, "UNKNOWN_PROMOTION"), (5, "FIELD_COUNT"), (6, "INVALID_VALUE"), (7, "INVALID_CODE")];
    assert_eq!(errors, expected);
    assert_eq!(shop.ask::<GetCoupon>(json!({"code": "OLD2"})).await.unwrap()["promotionId"], 2);
    shop.verify();
}

#[tokio::test]
async fn json_lines_create_and_update_coupons() {
    let shop = open();
    let lines = "{\"code\":\"VIP-1\",\"promotionId\":1,\"userId\":7}\n{\"code\":\"VIP-2\"}\n{\"code\":\"VIP-3\",\"promotionId\":1,\"limit\":1}\n";
    let report = import(&shop, "application/x-ndjson", lines, None).await;
    let errors: Vec<_> = report.errors.iter().map(|error| (error.row, error.code.as_str())).collect();
    assert_eq!((counts(&report), errors), ((1, 0, 0, 2), vec![(2, "MISSING"), (3, "UNKNOWN_MEMBER")]));
    let again = "{\"code\":\"vip1\",\"maxRedemptions\":3}\n{\"code\":\"VIP1\",\"promotionId\":2}";
    let report = import(&shop, "application/x-ndjson", again, Some(1)).await;
    assert_eq!(counts(&report), (0, 1, 0, 1), "{report:?}");
    let shown = shop.ask::<GetCoupon>(json!({"code": "VIP1"})).await.unwrap();
    assert_eq!((shown["userId"].as_i64(), shown["maxRedemptions"].as_i64()), (Some(7), Some(3)));
    shop.verify();
}

#[tokio::test]
async fn an_invalid_header_is_one_error() {
    let shop = open();
    for bad in ["", "promotionId\n1\n", "code,colour\nA,red\n"] {
        let report = import(&shop, "text/csv", bad, Some(1)).await;
        assert_eq!((report.failed, report.errors[0].code.as_str()), (1, "BAD_HEADER"), "{bad}");
    }
    let report = import(&shop, "text/csv", "code;maxRedemption\nSAVE-10;3\n", Some(1)).await;
    let detail = &report.errors[0].detail;
    assert!(detail.starts_with("there is no column \"maxRedemption\": did you mean \"maxRedemptions\"?;"), "{detail}");
    let report = import(&shop, "text/csv", "code;maxRedemptions\n\"SAVE-10;3\nSAVE-11;4\n", Some(1)).await;
    assert_eq!((counts(&report), report.errors[0].code.as_str()), ((1, 0, 0, 1), "UNCLOSED_QUOTE"), "{report:?}");
}
