//! Messages of channels, from an embedded database or a server.

use std::future::poll_fn;
use std::pin::pin;

use futures_util::Stream;
use redis::RedisResult;

use crate::config::Config;
use crate::dial::Wire;
use crate::error::Error;
use crate::url::Address;

/// A message that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The channel on which it was published.
    pub channel: Vec<u8>,
    /// The pattern by which it was received, if by one.
    pub pattern: Option<Vec<u8>>,
    /// What was published.
    pub payload: Vec<u8>,
}

/// A subscription with a session of its own, from [`Connection::subscribe`](crate::Connection::subscribe).
///
/// Messages are not kept for who is not there: what matters must be in the store as well.
pub struct Subscription {
    source: Source,
    wanted: Wanted,
    transport: Option<Transport>,
}

/// What a subscription listens to, so that it can be begun again.
#[derive(Default)]
struct Wanted {
    channels: Vec<Vec<u8>>,
    patterns: Vec<Vec<u8>>,
}

/// Where messages come from.
pub(crate) enum Source {
    #[cfg(feature = "embedded")]
    Embedded(std::sync::Arc<crate::home::Home>),
    Remote(Box<(Address, Config)>),
}

enum Transport {
    #[cfg(feature = "embedded")]
    Embedded(windlass_db::Session),
    Remote(Box<redis::aio::PubSub>),
}

/// The four commands that change what is listened to.
#[derive(Clone, Copy)]
enum Change {
    Subscribe,
    Unsubscribe,
    PatternSubscribe,
    PatternUnsubscribe,
}

impl Subscription {
    pub(crate) async fn open(source: Source) -> RedisResult<Self> {
        let transport = source.open().await?;
        Ok(Self { source, wanted: Wanted::default(), transport: Some(transport) })
    }

    /// Listens to a channel as well. When it returns, what is published from now on is received.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn subscribe(&mut self, channel: impl AsRef<[u8]>) -> RedisResult<()> {
        add(&mut self.wanted.channels, channel.as_ref());
        self.change(Change::Subscribe, channel.as_ref()).await
    }

    /// Listens to the channels that match a pattern such as `news.*` as well.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn psubscribe(&mut self, pattern: impl AsRef<[u8]>) -> RedisResult<()> {
        add(&mut self.wanted.patterns, pattern.as_ref());
        self.change(Change::PatternSubscribe, pattern.as_ref()).await
    }

    /// Listens to a channel no more; messages that are on their way may still come.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn unsubscribe(&mut self, channel: impl AsRef<[u8]>) -> RedisResult<()> {
        self.wanted.channels.retain(|other| other != channel.as_ref());
        self.change(Change::Unsubscribe, channel.as_ref()).await
    }

    /// Listens to a pattern no more; messages that are on their way may still come.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn punsubscribe(&mut self, pattern: impl AsRef<[u8]>) -> RedisResult<()> {
        self.wanted.patterns.retain(|other| other != pattern.as_ref());
        self.change(Change::PatternUnsubscribe, pattern.as_ref()).await
    }

    /// The next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once when the connection broke, since messages may be missing; the next call subscribes
    /// again, and fails if the store cannot be reached.
    pub async fn next(&mut self) -> RedisResult<Message> {
        if self.transport.is_none() {
            self.resume().await?;
        }
        let transport = self.transport.as_mut().expect("it was just resumed");
        match transport.next().await {
            Ok(message) => Ok(message),
            Err(reason) => {
                self.transport = None;
                Err(Error::Interrupted { reason }.into())
            }
        }
    }

    async fn change(&mut self, change: Change, name: &[u8]) -> RedisResult<()> {
        match &mut self.transport {
            Some(transport) => transport.change(change, name).await,
            None => self.resume().await,
        }
    }

    /// Begins again with all that is wanted.
    async fn resume(&mut self) -> RedisResult<()> {
        let mut transport = self.source.open().await?;
        for channel in &self.wanted.channels {
            transport.change(Change::Subscribe, channel).await?;
        }
        for pattern in &self.wanted.patterns {
            transport.change(Change::PatternSubscribe, pattern).await?;
        }
        self.transport = Some(transport);
        Ok(())
    }
}

fn add(names: &mut Vec<Vec<u8>>, name: &[u8]) {
    if !names.iter().any(|other| other == name) {
        names.push(name.to_vec());
    }
}

impl Source {
    async fn open(&self) -> RedisResult<Transport> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(home) => Ok(Transport::Embedded(home.database().session("embedded subscription"))),
            Self::Remote(server) => {
                let (address, config) = &**server;
                let wire = Wire::open(&address.place, config).await?;
                // redis-rs receives messages apart from replies in RESP2 only.
                let settings = address.redis.clone().set_protocol(redis::ProtocolVersion::RESP2);
                let opened = redis::aio::PubSub::new(&settings, wire);
                let reason = match tokio::time::timeout(config.connect_time, opened).await {
                    Ok(Ok(pubsub)) => return Ok(Transport::Remote(Box::new(pubsub))),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("no answer within {:?}", config.connect_time),
                };
                let hint = "check user and password in the URL, and that the server does not hang";
                Err(Error::Connect { address: address.place.to_string(), reason, hint }.into())
            }
        }
    }
}

impl Transport {
    async fn change(&mut self, change: Change, name: &[u8]) -> RedisResult<()> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(session) => {
                let command: &[u8] = match change {
                    Change::Subscribe => b"SUBSCRIBE",
                    Change::Unsubscribe => b"UNSUBSCRIBE",
                    Change::PatternSubscribe => b"PSUBSCRIBE",
                    Change::PatternUnsubscribe => b"PUNSUBSCRIBE",
                };
                match session.call(&[command, name]) {
                    windlass_db::Called::Reply(windlass_resp::Value::Error(text), _) => {
                        Err(Error::Store(text.into_owned()).into())
                    }
                    _ => Ok(()),
                }
            }
            Self::Remote(pubsub) => match change {
                Change::Subscribe => pubsub.subscribe(name).await,
                Change::Unsubscribe => pubsub.unsubscribe(name).await,
                Change::PatternSubscribe => pubsub.psubscribe(name).await,
                Change::PatternUnsubscribe => pubsub.punsubscribe(name).await,
            },
        }
    }

    async fn next(&mut self) -> Result<Message, String> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(session) => loop {
                match session.next_delivery().await {
                    Ok(windlass_db::Message::Push(value)) => {
                        if let Some(message) = message_of(value) {
                            return Ok(message);
                        }
                    }
                    Ok(windlass_db::Message::Reply(_) | windlass_db::Message::Silent) => {}
                    Ok(windlass_db::Message::Close) => {
                        return Err("too many messages were left unread, or the database was stopped".into());
                    }
                    Err(error) => return Err(error.to_string()),
                }
            },
            Self::Remote(pubsub) => {
                let mut messages = pin!(pubsub.on_message());
                let message = poll_fn(|context| messages.as_mut().poll_next(context)).await;
                let message = message.ok_or_else(|| "the connection was closed".to_owned())?;
                Ok(Message {
                    channel: message.get_channel().map_err(|error| error.to_string())?,
                    pattern: message.get_pattern().map_err(|error| error.to_string())?,
                    payload: message.get_payload_bytes().to_vec(),
                })
            }
        }
    }
}

/// The message that a push carries, unless it confirms a subscription.
#[cfg(feature = "embedded")]
fn message_of(value: windlass_resp::Value) -> Option<Message> {
    use windlass_resp::Value;

    let (Value::Push(items) | Value::Array(items)) = value else { return None };
    let mut items = items.into_iter().map(|item| match item {
        Value::Bulk(bytes) => bytes,
        Value::Simple(text) => text.into_owned().into_bytes(),
        _ => Vec::new(),
    });
    let mut next = || items.next();
    match next()?.as_slice() {
        b"message" => Some(Message { pattern: None, channel: next()?, payload: next()? }),
        b"pmessage" => Some(Message { pattern: Some(next()?), channel: next()?, payload: next()? }),
        _ => None,
    }
}
