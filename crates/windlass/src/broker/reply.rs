//! Taking answers apart without panicking on what is not expected.

use redis::Value;

use crate::error::{Error, Result};

/// The items of an array; no items for nil.
pub(crate) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        Value::Nil => Ok(Vec::new()),
        // RESP3 answers pairs as a map where RESP2 has a flat list.
        Value::Map(pairs) => Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        _ => Err(Error::Answer("an array was expected")),
    }
}

/// The bytes of a string.
pub(crate) fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::VerbatimString { text, .. } => Ok(text.into_bytes()),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        Value::Double(number) => Ok(number.to_string().into_bytes()),
        _ => Err(Error::Answer("a string was expected")),
    }
}

/// The text of a string.
pub(crate) fn text(value: Value) -> Result<String> {
    String::from_utf8(bytes(value)?).map_err(|_| Error::Answer("a text was expected"))
}

/// A number, also one written as text.
pub(crate) fn int(value: &Value) -> Result<i64> {
    let wrong = || Error::Answer("a number was expected");
    match value {
        Value::Int(number) => Ok(*number),
        Value::Double(number) => Ok(*number as i64),
        Value::BulkString(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
            text.parse().or_else(|_| text.parse::<f64>().map(|number| number as i64)).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}
