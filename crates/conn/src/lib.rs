//! One connection, to an embedded database or to a Redis server.

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};

/// A connection that clones; a clone shares the same session.
#[derive(Clone)]
pub struct Connection {
    client: redis::Client,
    manager: ConnectionManager,
}

impl Connection {
    /// Connects to the store that `url` names.
    ///
    /// # Errors
    /// When the URL is malformed or nothing answers.
    pub async fn open(url: &str) -> RedisResult<Self> {
        Self::connect(redis::Client::open(url)?).await
    }

    /// Another session of the same store, fit for commands that block.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn session(&self) -> RedisResult<Self> {
        Self::connect(self.client.clone()).await
    }

    async fn connect(client: redis::Client) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new().set_response_timeout(None);
        let manager = ConnectionManager::new_with_config(client.clone(), config).await?;
        Ok(Self { client, manager })
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.manager.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.manager.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.manager.get_db()
    }
}
