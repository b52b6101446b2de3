//! Libraries of functions, which belong to no database: they are carried by their sources, whatever the versions are.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use redis::Value as Reply;
use windlass_db::carry::Library;

use super::store::Store;

/// How an error begins that says that there is no such command: a store before Redis 7, or one that does not let
/// anybody have it.
const UNKNOWN_COMMAND: &str = "unknown command";
/// What to do about a store that has no place for libraries.
const WITHOUT: &str = "--match '*' carries the keys without libraries";

impl Store {
    /// All libraries; none from a store that knows no functions.
    pub async fn libraries(&mut self) -> Result<Option<Vec<Library>>> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("FUNCTION").arg("LIST").arg("WITHCODE");
        let libraries = match self.send(0, &pipeline).await?.pop() {
            Some(Reply::Array(libraries)) => libraries,
            Some(Reply::ServerError(error)) if says(&error, UNKNOWN_COMMAND) => return Ok(None),
            Some(Reply::ServerError(error)) => {
                let about = format!("{} does not tell its libraries of functions; {WITHOUT}", self.url);
                return Err(anyhow::Error::from(redis::RedisError::from(error)).context(about));
            }
            _ => bail!("FUNCTION LIST was not answered by {}", self.url),
        };
        let library = |library: Reply| {
            let fields: Vec<(String, Reply)> = redis::from_redis_value(library)?;
            let code = fields.into_iter().find(|(name, _)| name == "library_code");
            let (_, code) = code.context("FUNCTION LIST told of a library without its code")?;
            Ok(Library::new(redis::from_redis_value(code)?)?)
        };
        libraries.into_iter().map(library).collect::<Result<_>>().map(Some)
    }

    /// Loads a library in place of one of its name.
    pub async fn load_library(&mut self, library: &Library) -> Result<()> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(library.source());
        match self.send(0, &pipeline).await?.pop() {
            Some(Reply::ServerError(error)) => {
                let name = library.name();
                let about =
                    format!("{} does not take the library of functions `{name}`; {WITHOUT}", self.url);
                Err(anyhow::Error::from(redis::RedisError::from(error)).context(about))
            }
            _ => Ok(()),
        }
    }
}

fn says(error: &redis::ServerError, text: &str) -> bool {
    error.details().is_some_and(|said| said.contains(text))
}

/// The libraries of a store by their names. It is asked for them when the first is looked for: a store that gets none
/// need not know functions.
#[derive(Default)]
pub struct Named(Option<BTreeMap<String, Library>>);

impl Named {
    /// True when `store` has the library, false when it has another one of its name, none when it has none.
    ///
    /// # Errors
    /// When it knows no functions.
    pub async fn compare(&mut self, library: &Library, store: &mut Store) -> Result<Option<bool>> {
        if self.0.is_none() {
            let libraries = store.libraries().await?.ok_or_else(|| {
                anyhow!(
                    "{} knows no functions, which Redis has since 7.0, and there is the library `{}`; {WITHOUT}",
                    store.url,
                    library.name()
                )
            })?;
            let named = libraries.into_iter().map(|library| (library.name().to_owned(), library));
            self.0 = Some(named.collect());
        }
        let there = self.0.as_ref().and_then(|named| named.get(library.name()));
        Ok(there.map(|there| there == library))
    }
}
