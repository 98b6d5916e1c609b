//! The threads for work that computes for long.

use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::exit::Exit;

/// How much lower the priority of these threads is. Where every core is busy, requests that need little time come first.
const NICE: i32 = 5;
/// How long an idle thread for blocking work is kept.
const IDLE: Duration = Duration::from_secs(1);

/// A runtime with one thread fewer than the machine has cores, but at least one. It ends without waiting for its work.
#[derive(Debug)]
pub(crate) struct ComputeThreads(Option<Runtime>);

impl ComputeThreads {
    pub(crate) fn start() -> Result<Self, Exit> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.saturating_sub(1).max(1))
            .thread_name("compute")
            .thread_keep_alive(IDLE)
            // On Linux a priority belongs to a thread, although POSIX says that it is the process's.
            .on_thread_start(|| {
                let _ = rustix::process::setpriority_process(None, NICE);
            })
            .enable_all()
            .build()
            .map_err(Exit::io)?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for ComputeThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
