//! The reply type. A new RESP3 type gets a variant here and an arm in `encode.rs`.

use std::borrow::Cow;

/// A reply of the Redis protocol, in RESP3's terms; RESP2 is a down-conversion in the encoder.
///
/// ```
/// use windlass_resp::Value;
///
/// assert_eq!(Value::from("hi"), Value::Bulk(b"hi".to_vec()));
/// assert_eq!(Value::OK, Value::Simple("OK".into()));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value: `_` in RESP3, a null bulk string in RESP2.
    Nil,
    /// No array: `_` in RESP3, a null array in RESP2.
    NilArray,
    /// A status line such as `OK`.
    Simple(Cow<'static, str>),
    /// An error line with its prefix, without CR or LF.
    Error(Cow<'static, str>),
    /// A signed 64-bit integer.
    Integer(i64),
    /// A floating-point number; a bulk string in RESP2.
    Double(f64),
    /// True or false; `1` or `0` in RESP2.
    Boolean(bool),
    /// Bytes of any kind.
    Bulk(Vec<u8>),
    /// Text with a three-letter format; a bulk string in RESP2.
    Verbatim(&'static str, String),
    /// A list of values.
    Array(Vec<Value>),
    /// Pairs; a flat array in RESP2.
    Map(Vec<(Value, Value)>),
    /// Values without order; an array in RESP2.
    Set(Vec<Value>),
    /// A message that answers no request; an array in RESP2.
    Push(Vec<Value>),
    /// The head of an array whose items are sent by themselves, if they are.
    Head(usize),
}

impl Value {
    /// The status `OK`.
    pub const OK: Self = Self::Simple(Cow::Borrowed("OK"));
    /// The status `QUEUED`, the answer to a command inside MULTI.
    pub const QUEUED: Self = Self::Simple(Cow::Borrowed("QUEUED"));

    /// A bulk string that copies `bytes`.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(bytes.as_ref().to_vec())
    }

    /// True for [`Value::Error`].
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::bulk(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    /// Redis answers its yes-or-no commands with an integer in both protocols.
    fn from(yes: bool) -> Self {
        Self::Integer(i64::from(yes))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}
