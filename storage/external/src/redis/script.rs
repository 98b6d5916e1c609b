//! Lua scripts, which are called by their digest.

use ::redis::aio::ConnectionManager;
use ::redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisResult, Script as Digested, ServerErrorKind, ToRedisArgs, cmd,
};

/// A script of the server.
#[derive(Debug)]
pub(super) struct Script {
    code: String,
    digest: String,
}

impl Script {
    /// Creates a script from its parts.
    pub(super) fn new(parts: &[&str]) -> Self {
        let code = parts.concat();
        let digest = Digested::new(&code).get_hash().to_owned();
        Self { code, digest }
    }

    /// Begins a call of the script, which the server must have loaded. Arguments can be added.
    pub(super) fn call<K: ToRedisArgs>(&self, keys: &[K]) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(&self.digest).arg(keys.len()).arg(keys);
        call
    }

    /// Begins a call of the script that does not load it. Arguments can be added.
    pub(super) fn call_once<K: ToRedisArgs>(&self, keys: &[K]) -> Cmd {
        let mut call = cmd("EVAL");
        call.arg(&self.code).arg(keys.len()).arg(keys);
        call
    }

    /// The command that loads the script.
    pub(super) fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(&self.code);
        load
    }
}

/// Calls a script. If the server does not have it, `prepare` returns the commands that load it.
pub(super) async fn invoke<T: FromRedisValue>(
    connection: &mut ConnectionManager,
    call: &Cmd,
    prepare: impl Fn() -> Pipeline,
) -> RedisResult<T> {
    match call.query_async(connection).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            prepare().exec_async(connection).await?;
            call.query_async(connection).await
        }
        result => result,
    }
}
