//! Libraries of functions, which belong to no database: they are carried by their sources, whatever the versions are.

use anyhow::{Context, Result};
use redis::Value as Reply;

use super::store::Store;

impl Store {
    /// The sources of all libraries; none from a store that knows no functions.
    pub async fn libraries(&mut self) -> Result<Vec<String>> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("FUNCTION").arg("LIST").arg("WITHCODE");
        let reply = self.send(0, &pipeline).await?.pop().context("FUNCTION LIST was not answered")?;
        let Reply::Array(libraries) = reply else { return Ok(Vec::new()) };
        let source = |library: Reply| {
            let fields: Vec<(String, Reply)> = redis::from_redis_value(library)?;
            let code = fields.into_iter().find(|(name, _)| name == "library_code");
            let (_, code) = code.context("FUNCTION LIST told of a library without its code")?;
            Ok(redis::from_redis_value(code)?)
        };
        libraries.into_iter().map(source).collect()
    }

    /// Loads a library in place of one of its name.
    pub async fn load_library(&mut self, source: &str) -> Result<()> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(source);
        match self.send(0, &pipeline).await?.pop() {
            Some(Reply::ServerError(error)) => Err(redis::RedisError::from(error).into()),
            _ => Ok(()),
        }
    }
}
