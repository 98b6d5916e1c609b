//! Tests of reading and changing settings.

use promox_contract::store::{GetCurrentSettings, SettingsCache};
use promox_kernel::{Handle as _, Patch};

use super::open;
use crate::{PatchStore, StorePatch};

#[tokio::test]
async fn a_cache_reloads_the_settings_after_a_change() {
    let shop = open();
    let cx = shop.cx();
    shop.service.begin(&cx).await.unwrap();
    let cache = SettingsCache::default();
    assert_eq!(cache.get(&cx).await.unwrap().store.return_days, 14);
    let known_epoch = Some(cx.call(GetCurrentSettings { known_epoch: None }).await.unwrap().epoch);
    assert!(
        cx.call(GetCurrentSettings { known_epoch }).await.unwrap().changed.is_none(),
        "unchanged settings are not sent again"
    );
    let patch = StorePatch { return_days: Patch::Set(30), ..StorePatch::default() };
    shop.service.handle(&cx, PatchStore(patch)).await.unwrap();
    assert_eq!(cache.get(&cx).await.unwrap().store.return_days, 30);
}

#[tokio::test]
async fn the_settings_of_a_new_store_are_written_once() {
    let shop = open();
    let cx = shop.cx();
    assert_eq!(shop.service.currency().await.unwrap(), None);
    shop.service.begin(&cx).await.unwrap();
    let epoch = cx.call(GetCurrentSettings { known_epoch: None }).await.unwrap().epoch;
    shop.service.begin(&cx).await.unwrap();
    assert_eq!(cx.call(GetCurrentSettings { known_epoch: None }).await.unwrap().epoch, epoch);
    assert!(shop.service.currency().await.unwrap().is_some());
}
