//! The embedded engine passes the common conformance suite, with checkpoints of various sizes.

use std::sync::Arc;

use promox_embedded::disk::MemoryDisk;
use promox_embedded::{EmbeddedEngine, Options};
use promox_storage::{Schema, conformance};

use crate::rows::options;

/// The bytes of journal after which a checkpoint starts: after nearly every group, sometimes, and never.
const CHECKPOINTS: [u64; 3] = [256, 64 << 10, 1 << 40];

#[tokio::test]
async fn the_embedded_engine_conforms() {
    for checkpoint_bytes in CHECKPOINTS {
        for case in conformance::cases() {
            let options = Options { checkpoint_bytes, ..options(Arc::new(MemoryDisk::new())) };
            let schema = Schema::new([conformance::TABLES]).unwrap();
            case.run(EmbeddedEngine::open(options, schema).unwrap()).await;
        }
    }
}
