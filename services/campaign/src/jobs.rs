//! Scheduled jobs: start and end campaigns at their times, including times that passed while the node was down.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Job;

use crate::Campaigns;
use crate::commands::transitions;
use crate::records::CampaignByDue;

/// Makes due transitions, in bounded batches.
pub(crate) fn run_due_transitions(campaigns: &Arc<Campaigns>) -> Job {
    let campaigns = campaigns.clone();
    Job::new("campaign.keep_time", Duration::from_millis(500), move |cx| {
        let db = campaigns.db.clone();
        async move {
            let soon = Some(cx.now + Duration::from_micros(1));
            let due = db.read(|tx| tx.scan_by::<CampaignByDue>().before(soon).first()).await?;
            if due.is_none() {
                return Ok(false);
            }
            Ok(db.write(&cx, transitions::run_due_transitions).await?)
        }
    })
}
