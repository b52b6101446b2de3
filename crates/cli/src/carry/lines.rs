//! Libraries and keys as lines of JSON: a header, an object for each, and an end that tells their numbers and digest.
//!
//! `docs/data.md` has the form. Bytes that are no text are `{"base64": …}`, wherever they stand.

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use windlass_db::carry::{Content, Digest, Library};

use super::base64;
use super::stream;

/// The version of the form that is written, and the latest that is read.
pub const FORMAT: u64 = 1;

/// A line of such a file.
#[derive(Debug, PartialEq)]
pub enum Line {
    /// The first.
    Header,
    /// A library of functions.
    Library(Library),
    /// A key.
    Key(Box<Key>),
    /// The last. Files that were written when libraries were not carried do not tell of any.
    End { keys: u64, libraries: u64, digest: Digest },
}

/// A key with its content.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub db: u64,
    pub key: Vec<u8>,
    pub expires_ms: Option<u64>,
    pub content: Content,
}

/// The first line.
pub fn header() -> Value {
    json!({
        "windlass": "export", "format": FORMAT, "version": env!("CARGO_PKG_VERSION"),
        "time_ms": jiff::Timestamp::now().as_millisecond(),
    })
}

/// The last line.
pub fn end(keys: u64, libraries: u64, digest: Digest) -> Value {
    json!({ "end": true, "keys": keys, "libraries": libraries, "digest": digest.to_string() })
}

/// The line of a library, which its source says all about.
pub fn encode_library(library: &Library) -> Value {
    json!({ "library": text(library.source()) })
}

/// The line of a key.
pub fn encode(key: &Key) -> Value {
    let mut line = json!({ "db": key.db, "key": text(&key.key), "type": key.content.kind() });
    if let Some(at) = key.expires_ms {
        line["expires_ms"] = json!(at);
    }
    line["value"] = match &key.content {
        Content::String(value) => text(value),
        Content::List(items) | Content::Set(items) => items.iter().map(|item| text(item)).collect(),
        Content::Hash(fields) => {
            fields.iter().map(|(field, value)| json!([text(field), text(value)])).collect()
        }
        Content::SortedSet(members) => {
            members.iter().map(|(member, score)| json!([text(member), score_text(*score)])).collect()
        }
        Content::Stream(stream) => stream::encode(stream),
    };
    line
}

/// Reads a line.
///
/// # Errors
/// A sentence that names the field; the caller adds the line's number.
pub fn decode(line: &str) -> Result<Line> {
    let value: Value = serde_json::from_str(line).context("it is no JSON")?;
    if value.get("windlass").is_some() {
        let format = value.get("format").and_then(Value::as_u64).context("`format` is not a number")?;
        if format > FORMAT {
            bail!("a later version of Windlass wrote it (format {format}; this one reads up to {FORMAT})");
        }
        return Ok(Line::Header);
    }
    if value.get("end").is_some() {
        let digest = value.get("digest").and_then(Value::as_str).and_then(|digest| digest.parse().ok());
        return Ok(Line::End {
            keys: number(&value, "keys")?,
            libraries: optional_number(&value, "libraries")?.unwrap_or(0),
            digest: digest.context("`digest` is not one")?,
        });
    }
    if let Some(source) = value.get("library") {
        let source = bytes(source).context("`library` is not text or base64")?;
        return Ok(Line::Library(Library::new(source).context("`library` is not the source of one")?));
    }
    let expires_ms = optional_number(&value, "expires_ms")?;
    let kind = value.get("type").and_then(Value::as_str).context("`type` is missing")?;
    let inner = value.get("value").context("`value` is missing")?;
    let content = content(kind, inner).with_context(|| format!("`value` is not that of a {kind}"))?;
    let key = bytes(value.get("key").context("`key` is missing")?).context("`key` is not text or base64")?;
    Ok(Line::Key(Box::new(Key { db: number(&value, "db")?, key, expires_ms, content })))
}

fn content(kind: &str, value: &Value) -> Result<Content> {
    let items = || value.as_array().context("it is not an array");
    let pair = |item: &Value| -> Result<(Vec<u8>, Value)> {
        match item.as_array().map(Vec::as_slice) {
            Some([first, second]) => Ok((bytes(first)?, second.clone())),
            _ => Err(anyhow!("{item} is not a pair")),
        }
    };
    let content = match kind {
        "string" => Content::String(bytes(value)?),
        "list" => Content::List(items()?.iter().map(bytes).collect::<Result<_>>()?),
        "set" => Content::Set(items()?.iter().map(bytes).collect::<Result<_>>()?),
        "hash" => {
            let field = |item| pair(item).and_then(|(field, value)| Ok((field, bytes(&value)?)));
            Content::Hash(items()?.iter().map(field).collect::<Result<_>>()?)
        }
        "zset" => {
            let member = |item| pair(item).and_then(|(member, value)| Ok((member, score(&value)?)));
            Content::SortedSet(items()?.iter().map(member).collect::<Result<_>>()?)
        }
        "stream" => Content::Stream(stream::decode(value)?),
        other => bail!("there is no type `{other}`"),
    };
    let is_empty = match &content {
        Content::List(items) | Content::Set(items) => items.is_empty(),
        Content::Hash(fields) => fields.is_empty(),
        Content::SortedSet(members) => members.is_empty(),
        Content::String(_) | Content::Stream(_) => false,
    };
    if is_empty { Err(anyhow!("it has no member, and no store keeps such a key")) } else { Ok(content) }
}

/// Bytes as text where they are text.
pub fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": base64::encode(bytes) }),
    }
}

/// The bytes of a text or of its base64.
pub fn bytes(value: &Value) -> Result<Vec<u8>> {
    if let Some(text) = value.as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    let text = value.get("base64").and_then(Value::as_str);
    text.and_then(base64::decode).with_context(|| format!("{value} is neither text nor base64"))
}

/// A score as a text, which keeps every bit of it; numbers of JSON do not.
fn score_text(score: f64) -> String {
    match score {
        f64::INFINITY => "inf".into(),
        f64::NEG_INFINITY => "-inf".into(),
        score => score.to_string(),
    }
}

fn score(value: &Value) -> Result<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        other => other.as_str().and_then(|text| text.parse().ok()),
    };
    number.filter(|number: &f64| !number.is_nan()).with_context(|| format!("{value} is not a score"))
}

fn number(value: &Value, field: &str) -> Result<u64> {
    value.get(field).and_then(Value::as_u64).with_context(|| format!("`{field}` is not a whole number"))
}

fn optional_number(value: &Value, field: &str) -> Result<Option<u64>> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => number(value, field).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use windlass_db::carry::{Consumer, Group, Pending, Stream};

    use super::*;

    #[test]
    fn every_type_reads_back_from_its_line() {
        let raw = vec![0, 159, 255];
        let pending = Pending { id: "1-1".into(), delivered_ms: 5, deliveries: 2 };
        let consumer = Consumer { name: raw.clone(), pending: vec![pending] };
        let group = Group {
            name: b"g".to_vec(),
            last_id: "1-1".into(),
            entries_read: None,
            consumers: vec![consumer],
        };
        let stream = Stream {
            last_id: "2-0".into(),
            entries_added: Some(2),
            max_deleted_id: Some("0-0".into()),
            entries: vec![("1-1".into(), vec![b"f".to_vec(), raw.clone()])],
            groups: vec![group],
        };
        let contents = [
            Content::String("grün".into()),
            Content::List(vec![raw.clone(), b"b".to_vec()]),
            Content::Set(vec![b"a".to_vec()]),
            Content::Hash(vec![(raw.clone(), b"v".to_vec())]),
            Content::SortedSet(vec![(b"m".to_vec(), 0.1 + 0.2), (b"n".to_vec(), f64::INFINITY)]),
            Content::Stream(stream),
        ];
        for content in contents {
            let key = Key { db: 3, key: raw.clone(), expires_ms: Some(1_700_000_000_000), content };
            let line = encode(&key).to_string();
            assert_eq!(decode(&line).expect(&line), Line::Key(Box::new(key)), "{line}");
        }
        assert_eq!(decode(&header().to_string()).expect("a header"), Line::Header);
        let digest = Digest::of(&Content::String(raw));
        let line = end(7, 2, digest).to_string();
        assert_eq!(decode(&line).expect("an end"), Line::End { keys: 7, libraries: 2, digest });
        for code in [&b"-- gr\xc3\xbcn"[..], b"-- \xff"] {
            let library = Library::new([b"#!lua name=a\n", code].concat()).expect("a library");
            let line = encode_library(&library).to_string();
            assert_eq!(decode(&line).expect(&line), Line::Library(library), "{line}");
        }
    }

    #[test]
    fn an_end_of_before_libraries_were_carried_reads() {
        let line = r#"{"digest":"0000000000000000000000000000002a","end":true,"keys":5}"#;
        let digest = "2a".parse().expect("a digest");
        assert_eq!(decode(line).expect("an end"), Line::End { keys: 5, libraries: 0, digest });
    }

    #[test]
    fn a_wrong_line_names_the_field() {
        let cases = [
            ("{oops", "it is no JSON"),
            (r#"{"windlass":"export","format":2}"#, "a later version of Windlass wrote it"),
            (r#"{"key":"k","type":"string","value":"v"}"#, "`db` is not a whole number"),
            (r#"{"db":0,"type":"string","value":"v"}"#, "`key` is missing"),
            (r#"{"db":0,"key":"k","value":"v"}"#, "`type` is missing"),
            (r#"{"db":0,"key":"k","type":"tree","value":"v"}"#, "there is no type `tree`"),
            (r#"{"db":0,"key":"k","type":"list","value":[]}"#, "it has no member"),
            (r#"{"db":0,"key":"k","type":"hash","value":[["f"]]}"#, "is not a pair"),
            (r#"{"db":0,"key":"k","type":"zset","value":[["m","x"]]}"#, "is not a score"),
            (r#"{"library":5}"#, "`library` is not text or base64"),
            (r#"{"library":"return 1"}"#, "`library` is not the source of one: ERR Missing library metadata"),
            (r#"{"end":true,"keys":5,"libraries":"a","digest":"2a"}"#, "`libraries` is not a whole number"),
            (r#"{"db":0,"key":{"base64":"?"},"type":"string","value":"v"}"#, "neither text nor base64"),
            (r#"{"db":0,"key":"k","type":"stream","value":{"entries":[]}}"#, "`last_id`"),
        ];
        for (line, text) in cases {
            let error = format!("{:#}", decode(line).expect_err(line));
            assert!(error.contains(text), "{line} said {error}");
        }
    }
}
