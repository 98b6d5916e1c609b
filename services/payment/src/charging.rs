//! Charges: asking a provider, within everybody's patience, and writing down what it said in one transaction.

use std::future::Future;
use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{PaymentAction, PaymentOutcome, ReturnSettlement};
use promox_kernel::{Cx, Error};
use promox_storage::Tx;
use tokio::time::Instant;

use crate::Payments;
use crate::commands::charge::{self, Due, Ending};
use crate::commands::refund::{self, Returned};
use crate::gateway::{Answer, Charge, Failed};
use crate::queries;
use crate::records::{Attempt, AttemptOutcome, Payment, Provider, Settlement};
use crate::reject;
use crate::rules::{self, News};

/// What is left of a request's time for writing the answer down.
const MARGIN: Duration = Duration::from_millis(500);
/// The pauses before each try of a charge while the provider fails.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300)];

impl Payments {
    /// How long a provider may take: the limit, or what the request has left.
    fn patience(&self, cx: &Cx) -> Duration {
        let left = cx.deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
        self.settings.provider_limit.min(left)
    }

    /// What a provider answers in time; `None` when it fails or is silent. Then it may have done what it was asked.
    pub(crate) async fn reach<T>(&self, cx: &Cx, call: impl Future<Output = Result<T, Failed>>) -> Option<T> {
        tokio::select! {
            biased;
            answer = call => answer.ok(),
            () = cx.node.clock.sleep(self.patience(cx)) => None,
        }
    }

    /// Refuses sandbox payments while the sandbox is off, also for orders placed while it was on.
    pub(crate) fn check_sandbox(&self, provider: Provider) -> Result<(), Error> {
        if provider == Provider::Sandbox && !self.settings.sandbox { Err(reject::sandbox_off()) } else { Ok(()) }
    }

    /// Takes an order's money. What was decided before is answered again without asking the provider.
    pub(crate) async fn take(&self, cx: &Cx, due: Due) -> Result<PaymentOutcome, Error> {
        let known = self.db.read(|tx| queries::to_be_paid(tx, due.order_id)).await?;
        if let Some(known) = &known {
            check_same(known, &due)?;
            if !known.undecided() {
                return Ok(queries::outcome(known));
            }
        }
        let asked = Charge {
            key: rules::charge_key(due.order_id),
            token: due.choice.token.clone().unwrap_or_default(),
            tried: known.map_or(0, |known| known.tries),
        };
        let (news, attempts) = match self.check_sandbox(due.choice.provider) {
            Ok(()) => self.charge(cx, due.choice.provider, &asked).await,
            Err(reject) => (News::Declined { code: reject.code().to_owned() }, Vec::new()),
        };
        let payment = self.db.write(cx, move |tx| charge::note(tx, &due, &attempts, &news)).await?;
        self.give_back_late(cx, payment).await
    }

    /// Asks for a charge, again while the provider fails and there is time.
    async fn charge(&self, cx: &Cx, provider: Provider, asked: &Charge) -> (News, Vec<Attempt>) {
        let (clock, gateway) = (&cx.node.clock, self.gateways.of(provider));
        let until = clock.now() + self.patience(cx);
        let mut attempts = Vec::new();
        for pause in PAUSES {
            if !pause.is_zero() {
                clock.sleep(pause).await;
            }
            let answer = tokio::select! {
                biased;
                answer = gateway.charge(clock, asked) => Some(answer),
                () = clock.sleep_until(until) => None,
            };
            if answer != Some(Ok(Answer::Awaited)) {
                attempts.push(attempt(clock.now(), answer.as_ref()));
            }
            match answer {
                Some(Ok(answer)) => return (news(answer), attempts),
                Some(Err(Failed)) => {}
                None => break,
            }
        }
        (News::Silence, attempts)
    }

    /// What was captured after its order ended goes back now; if the provider is silent, a job goes on.
    pub(crate) async fn give_back_late(&self, cx: &Cx, payment: Payment) -> Result<PaymentOutcome, Error> {
        if payment.cancelled_at.is_some()
            && let Some(refund) = self.db.read(|tx| refund::unsettled(tx, payment.id)).await?
        {
            let settled = self.settle(cx, refund).await?;
            return Ok(queries::outcome(&settled.payment));
        }
        Ok(queries::outcome(&payment))
    }

    /// Ends an order's payment: voids it, or gives back what is left.
    pub(crate) async fn cancel(&self, cx: &Cx, order_id: OrderId, reason: String) -> Result<(), Error> {
        match self.db.write(cx, move |tx| charge::cancel(tx, order_id, &reason)).await? {
            Ending::Done => Ok(()),
            Ending::Void(payment) => self.void(cx, &payment).await,
            Ending::GiveBack(refund) => {
                let settled = self.settle(cx, refund).await?;
                if settled.waiting { Err(reject::no_answer()) } else { Ok(()) }
            }
        }
    }

    /// Has the provider end a charge and enters that. What it captured meanwhile goes back.
    pub(crate) async fn void(&self, cx: &Cx, payment: &Payment) -> Result<(), Error> {
        self.end_charge(cx, payment).await?;
        let id = payment.id;
        let payment = self.db.write(cx, move |tx| hear(tx, id, &News::Voided)).await?;
        self.give_back_late(cx, payment).await.map(drop)
    }

    /// Gives what a return gives. A refund that the provider does not answer goes on by itself.
    pub(crate) async fn settle_return(&self, cx: &Cx, asked: Returned) -> Result<ReturnSettlement, Error> {
        let order_id = asked.order_id;
        let decided = self.db.write(cx, move |tx| refund::for_return(tx, &asked)).await?;
        match decided.next {
            Ending::Done => {}
            Ending::Void(payment) => self.void(cx, &payment).await?,
            Ending::GiveBack(refund) => drop(self.settle(cx, refund).await?),
        }
        let payment = self.db.read(|tx| queries::of_order(tx, order_id)).await?;
        let payment = payment.as_ref().map(queries::outcome).ok_or_else(|| Error::not_found("payment"))?;
        let Settlement { refund, voided, fee, .. } = decided.settlement;
        Ok(ReturnSettlement { refund, voided, fee, payment })
    }

    /// Has the provider end a charge.
    async fn end_charge(&self, cx: &Cx, payment: &Payment) -> Result<(), Error> {
        let key = rules::charge_key(payment.order_id);
        let call = self.gateways.of(payment.provider).void(&cx.node.clock, &key);
        self.reach(cx, call).await.ok_or_else(reject::no_answer)
    }
}

/// Hears news of a payment that is there.
pub(crate) fn hear(tx: &mut Tx<'_>, id: PaymentId, news: &News) -> Result<Payment, Error> {
    let payment = queries::payment(tx, id)?;
    Ok(charge::hear(tx, payment, news)?)
}

/// One order, one payment: it is not asked for again with another amount, nor once the order has ended.
fn check_same(known: &Payment, due: &Due) -> Result<(), Error> {
    if (known.amount, known.currency) != (due.amount, due.currency) {
        return Err(reject::mismatch(known.amount, known.currency));
    }
    if known.undecided() && known.cancelled_at.is_some() {
        return Err(reject::cancelled());
    }
    Ok(())
}

fn attempt(at: promox_kernel::Timestamp, answer: Option<&Result<Answer, Failed>>) -> Attempt {
    let (outcome, code) = match answer {
        Some(Ok(Answer::Declined { code })) => (AttemptOutcome::Declined, Some((*code).to_owned())),
        Some(Ok(_)) => (AttemptOutcome::Answered, None),
        Some(Err(Failed)) => (AttemptOutcome::ProviderError, None),
        None => (AttemptOutcome::NoAnswer, None),
    };
    Attempt { at, outcome, code }
}

fn news(answer: Answer) -> News {
    match answer {
        Answer::Awaited => News::Silence,
        Answer::Captured { reference } => News::Captured { reference },
        Answer::NeedsAction { reference, url } => {
            News::NeedsAction { reference, action: PaymentAction { kind: "REDIRECT".to_owned(), url } }
        }
        Answer::Declined { code } => News::Declined { code: code.to_owned() },
    }
}
