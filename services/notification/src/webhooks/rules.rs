//! The rules of webhooks: which events there are, how they are signed, and when they are retried. No storage, no clock.

use std::time::Duration;

use promox_kernel::Timestamp;
use promox_outbound::standard_webhooks;

use super::records::Secret;

/// The type of the event that an endpoint receives for a test.
pub(crate) const TEST: &str = "TEST";
/// Maximum endpoints of a store.
pub(crate) const MAX_ENDPOINTS: usize = 50;
/// How long an earlier secret signs besides a new one.
pub(crate) const ROTATION: Duration = Duration::from_hours(24);
/// Maximum attempts stored with a delivery.
pub(crate) const MAX_STORED_ATTEMPTS: usize = 30;
/// How long an endpoint may fail before it is disabled.
const PATIENCE: Duration = Duration::from_hours(3 * 24);
/// The pauses between attempts, just over three days together.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// When the next attempt is due after `failures`; `None` if the delivery is given up.
pub(crate) fn next_attempt_at(now: Timestamp, failures: u32) -> Option<Timestamp> {
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    PAUSES.get(index).map(|pause| now + *pause)
}

/// Whether an endpoint that fails since `since` is disabled.
pub(crate) fn is_out_of_patience(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_some_and(|since| now.since(since) >= PATIENCE)
}

/// The header `webhook-signature`: a signature by each secret that signs at this time.
pub(crate) fn signatures(secrets: &[Secret], message: &str, at: Timestamp, body: &str) -> String {
    let current = secrets.iter().filter(|secret| secret.until.is_none_or(|until| until > at));
    standard_webhooks::signatures(current.map(|secret| secret.text.as_str()), message, at, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_the_scheme_says() {
        // The example of the specification.
        let secret = |text: &str, until| Secret { text: text.into(), until };
        let at = Timestamp::from_seconds(1_614_265_330);
        let own = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None);
        let body = r#"{"test": 2432232314}"#;
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let message = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        assert_eq!(signatures(std::slice::from_ref(&own), message, at, body), signature);
        let until = |seconds| Some(Timestamp::from_seconds(at.seconds() + seconds));
        let old = |seconds| secret("whsec_AAAA", until(seconds));
        assert_eq!(signatures(&[own.clone(), old(1)], message, at, body).split(' ').count(), 2);
        assert_eq!(signatures(&[own, old(0)], message, at, body), signature, "an earlier secret has ended");
    }

    #[test]
    fn retries_last_three_days() {
        let now = Timestamp::EPOCH;
        let mut at = now;
        let mut attempts = 1;
        while let Some(next) = next_attempt_at(at, attempts) {
            (at, attempts) = (next, attempts + 1);
        }
        assert_eq!(attempts, 10);
        let hours = at.since(now).as_secs() / 3600;
        assert!((72..80).contains(&hours), "{hours}");
        assert!(is_out_of_patience(Some(now), at) && !is_out_of_patience(None, at));
    }
}
