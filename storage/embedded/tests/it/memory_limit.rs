//! The rows in memory stay within their limit.

use std::sync::Arc;
use std::time::Duration;

use promox_embedded::disk::MemoryDisk;
use promox_embedded::{Options, Turn};

use crate::rows::{account, options};
use crate::stepped::Stepped;

const LIMIT: usize = 8 << 10;

#[tokio::test]
async fn a_full_memory_table_makes_the_writer_wait_for_a_checkpoint() {
    let options = Options { table_bytes: LIMIT, checkpoint_bytes: 1 << 40, ..options(Arc::new(MemoryDisk::new())) };
    let mut store = Stepped::open_with(options).unwrap();
    let mut waited = 0;
    for id in 1..=200 {
        while store.parts.writer.turn(Duration::ZERO) == Turn::Blocked {
            waited += 1;
            store.checkpoint();
        }
        store.write(move |tx| tx.insert(&account(id, 1))).await.unwrap();
        let bytes = store.parts.engine.metrics().memory_table_bytes;
        assert!(bytes <= LIMIT as u64 + 1_024, "{bytes} bytes");
    }
    assert!(waited > 2, "the writer waited {waited} times");
    assert_eq!(store.balances().await.len(), 200);
}
