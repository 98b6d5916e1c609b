//! Scheduled jobs: campaigns start and end at their times, also those that passed while the node was down.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Job;

use crate::Campaigns;
use crate::commands::moves;
use crate::records::CampaignByDue;

/// Makes the transitions that are due, in bounded batches.
pub(crate) fn keep_time(campaigns: &Arc<Campaigns>) -> Job {
    let campaigns = campaigns.clone();
    Job::new("campaign.keep_time", Duration::from_millis(500), move |cx| {
        let db = campaigns.db.clone();
        async move {
            let soon = Some(cx.now + Duration::from_micros(1));
            let due = db.read(|tx| tx.scan_by::<CampaignByDue>().before(soon).first()).await?;
            if due.is_none() {
                return Ok(false);
            }
            Ok(db.write(&cx, moves::keep_time).await?)
        }
    })
}
