//! Manual payments: money that staff receive and record themselves. There is no provider, so every request succeeds.

use std::future::ready;

use promox_kernel::Node;

use super::{Answer, Answering, CaptureRequest, Gateway, RefundRequest};
use crate::charge::Charge;
use crate::rules;

/// Cash on delivery and bank transfers.
#[derive(Debug)]
pub(super) struct Manual;

/// The reference of an operation on a manual payment.
fn reference(key: &str) -> String {
    format!("manual:{key}")
}

/// The answer that a charge was captured.
fn captured(charge: &Charge) -> Answering<'static, Answer> {
    Box::pin(ready(Ok(Answer::Captured { reference: reference(&charge.key) })))
}

impl Gateway for Manual {
    fn charge<'a>(&'a self, _node: &'a Node, _charge: &'a Charge, _earlier_tries: u32) -> Answering<'a, Answer> {
        Box::pin(ready(Ok(Answer::Awaited)))
    }

    fn resume<'a>(&'a self, _node: &'a Node, charge: &'a Charge) -> Answering<'a, Answer> {
        captured(charge)
    }

    fn capture<'a>(&'a self, _node: &'a Node, request: &'a CaptureRequest) -> Answering<'a, Answer> {
        captured(&request.charge)
    }

    fn void<'a>(&'a self, _node: &'a Node, _charge: &'a Charge) -> Answering<'a, Answer> {
        Box::pin(ready(Ok(Answer::Cancelled)))
    }

    fn refund<'a>(&'a self, _node: &'a Node, refund: &'a RefundRequest) -> Answering<'a, String> {
        Box::pin(ready(Ok(reference(&rules::refund_key(refund.id)))))
    }
}
