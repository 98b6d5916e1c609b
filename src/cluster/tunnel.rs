//! A connection that has switched to another protocol: bytes are passed both ways.

use std::future::Future;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;

use crate::http::wire::activity::{Activity, Tracked};

/// The size of the buffer in each direction.
const BUFFER: usize = 8 << 10;

/// Passes bytes between a client and an instance until either closes, nothing was sent for `idle`, or `ended` completes.
pub(crate) async fn join(client: OnUpgrade, instance: Upgraded, idle: Duration, ended: impl Future<Output = ()>) {
    let Ok(client) = client.await else { return };
    let activity = Activity::of_tunnel();
    let mut client = Tracked::new(TokioIo::new(client), activity.clone());
    let mut instance = TokioIo::new(instance);
    let passing = copy_bidirectional_with_sizes(&mut client, &mut instance, BUFFER, BUFFER);
    let overdue = async {
        let mut moved = activity.moved();
        loop {
            tokio::time::sleep(idle).await;
            let now = activity.moved();
            if now == moved {
                return;
            }
            moved = now;
        }
    };
    tokio::select! {
        result = passing => {
            if let Err(error) = result {
                tracing::debug!(%error, "a tunnel was cut");
            }
        }
        () = overdue => {}
        () = ended => {}
    }
}
