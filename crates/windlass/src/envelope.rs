//! What is stored of a job: one JSON object, readable and writable from any language.
//!
//! `docs/protocol.md` describes it field by field. Whatever has its default value is absent.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::flow::Flow;
use crate::limit::Lane;

/// Version of the envelope.
pub const ENVELOPE_VERSION: u8 = 1;

/// Attempts of a job whose envelope says nothing else.
pub const MAX_ATTEMPTS_DEFAULT: u32 = 25;

/// Deepest nesting of a job's arguments and of its result. The scripts' library of JSON reads up to 1,000 levels, and a job
/// that it cannot read would be lost to its lane and its batch; what is put around an argument takes some.
pub const DEPTH_MAX: usize = 500;

/// Refuses a job that the scripts could not read.
pub(crate) fn check_depth(envelope: &[u8]) -> Result<()> {
    if is_deep(envelope) {
        let problem = format!("are nested deeper than {DEPTH_MAX} levels");
        return Err(Error::Push { option: "args", problem });
    }
    Ok(())
}

/// Whether JSON is nested deeper than [`DEPTH_MAX`].
pub(crate) fn is_deep(json: &[u8]) -> bool {
    // Each level takes two bytes, and one that opens it: most jobs are known by that, at next to no cost.
    if json.len() <= 2 * DEPTH_MAX || openings(json) <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut is_text, mut is_escaped) = (0usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// How many bytes open a level or stand for that within a text, counted so that the compiler takes many at once.
fn openings(json: &[u8]) -> usize {
    let count = |part: &[u8]| part.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    json.chunks(255).map(|part| usize::from(count(part))).sum()
}

/// A job as it is stored. Read it with [`Envelope::parse`]; `A` is what holds the arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "A: Deserialize<'de>"))]
#[non_exhaustive]
pub struct Envelope<'a, A = &'a RawValue> {
    /// Version of this format.
    pub v: u8,
    /// Kind of the job: which code runs it.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// Version of the kind's arguments.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub kv: u32,
    /// The arguments.
    pub args: A,
    /// What the push adds beside the arguments: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<serde_json::Map<String, serde_json::Value>>,
    /// Words by which jobs are found and told apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How many attempts may fail before the job is dead.
    #[serde(default = "max_attempts", skip_serializing_if = "is_max_attempts")]
    pub max: u32,
    /// How long one attempt may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// After how many milliseconds an attempt is asked to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft: Option<u64>,
    /// When the job is of no use any more if it has not begun, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// When its last attempt must have ended, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// Where a reply is awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Trace context, as in a `traceparent` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// How long the result is kept, in milliseconds; without it no result is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<u64>,
    /// The enqueue key that the job was pushed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The lock that is of no use any more once the job has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<String>,
    /// Where in its queue it waits, when that is not simply at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Box<Lane>>,
    /// What the job before it answered, for one that follows.
    #[serde(borrow, default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub prev: Option<Raw<'a>>,
    /// What it has to do with other jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Box<Flow>>,
}

/// JSON as it stands in an envelope; equal when it is the same text.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(transparent)]
pub struct Raw<'a>(pub &'a RawValue);

impl PartialEq for Raw<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// A null that is there is a value.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Raw<'a>>, D::Error> {
    <&'a RawValue>::deserialize(deserializer).map(|json| Some(Raw(json)))
}

fn one() -> u32 {
    1
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn max_attempts() -> u32 {
    MAX_ATTEMPTS_DEFAULT
}

fn is_max_attempts(number: &u32) -> bool {
    *number == MAX_ATTEMPTS_DEFAULT
}

impl<'a, A> Envelope<'a, A> {
    /// An envelope with defaults only.
    pub fn new(kind: impl Into<Cow<'a, str>>, args: A) -> Self {
        Self {
            v: ENVELOPE_VERSION,
            kind: kind.into(),
            kv: 1,
            args,
            meta: None,
            tags: Vec::new(),
            max: MAX_ATTEMPTS_DEFAULT,
            timeout: None,
            soft: None,
            expires: None,
            deadline: None,
            reply: None,
            trace: None,
            result: None,
            key: None,
            unique: None,
            lane: None,
            prev: None,
            flow: None,
        }
    }

    /// The same with other arguments, and with nothing borrowed. What a job follows on is left out: a job that is yet
    /// to be pushed follows on nothing.
    pub(crate) fn with_args<B>(self, args: B) -> Envelope<'static, B> {
        let Self { v, kind, kv, args: _, meta, tags, max, timeout, soft, expires, deadline, reply, .. } =
            self;
        let Self { trace, result, key, unique, flow, lane, .. } = self;
        Envelope {
            v,
            kind: Cow::Owned(kind.into_owned()),
            kv,
            args,
            meta,
            tags,
            max,
            timeout,
            soft,
            expires,
            deadline,
            reply,
            trace,
            result,
            key,
            unique,
            prev: None,
            flow,
            lane,
        }
    }
}

impl<'a> Envelope<'a> {
    /// Reads an envelope without copying its arguments.
    ///
    /// ```
    /// let envelope = windlass::Envelope::parse(br#"{"v":1,"kind":"greet","args":{"name":"Ada"}}"#)?;
    /// assert_eq!((envelope.kind.as_ref(), envelope.args.get()), ("greet", r#"{"name":"Ada"}"#));
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let envelope: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("the envelope cannot be read: {error}"))?;
        if envelope.v != ENVELOPE_VERSION {
            return Err(format!("the envelope has version {}, not {ENVELOPE_VERSION}", envelope.v));
        }
        Ok(envelope)
    }
}

impl<A: Serialize> Envelope<'_, A> {
    /// Writes the envelope.
    ///
    /// # Errors
    /// When the arguments cannot be JSON.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_are_no_depth() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let text = format!(r#"{{"a":"\\\"{}"}}"#, nested(2 * DEPTH_MAX));
        for (json, deep) in [(nested(DEPTH_MAX), false), (nested(DEPTH_MAX + 1), true), (text, false)] {
            assert_eq!(is_deep(json.as_bytes()), deep, "{json}");
        }
        let many = format!("[{}1]", "[],{},".repeat(DEPTH_MAX));
        assert!(!is_deep(many.as_bytes()));
    }

    #[test]
    fn defaults_are_absent() {
        let bytes = Envelope::new("nop", ()).to_bytes().unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"{"v":1,"kind":"nop","args":null}"#);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut envelope = Envelope::new("nop", vec![1, 2]);
        (envelope.kv, envelope.max, envelope.timeout) = (2, 3, Some(4));
        (envelope.expires, envelope.deadline, envelope.result) = (Some(5), Some(6), Some(7));
        envelope.soft = Some(8);
        (envelope.reply, envelope.trace, envelope.key) =
            (Some("r".into()), Some("t".into()), Some("k".into()));
        envelope.unique = Some("u".into());
        envelope.lane = Some(Box::new(Lane { p: Some(0), front: true, key: Some("g".into()) }));
        envelope.meta = Some([("a".to_owned(), 1.into())].into_iter().collect());
        envelope.tags = vec!["a".into(), "b".into()];
        let nothing = RawValue::from_string("null".into()).unwrap();
        envelope.prev = Some(Raw(&nothing));
        envelope.flow = Some(Box::new(Flow { batch: Some("b".into()), n: Some(8), ..Flow::default() }));
        let bytes = envelope.to_bytes().unwrap();
        let read = Envelope::parse(&bytes).unwrap();
        assert_eq!(read.args.get(), "[1,2]");
        assert_eq!(Envelope { args: vec![1, 2], ..clone_without_args(&read) }, envelope);
    }

    fn clone_without_args<'a>(read: &Envelope<'a>) -> Envelope<'a, Vec<i32>> {
        Envelope {
            v: read.v,
            kind: read.kind.clone(),
            kv: read.kv,
            args: vec![],
            meta: read.meta.clone(),
            tags: read.tags.clone(),
            max: read.max,
            timeout: read.timeout,
            soft: read.soft,
            expires: read.expires,
            deadline: read.deadline,
            reply: read.reply.clone(),
            trace: read.trace.clone(),
            result: read.result,
            key: read.key.clone(),
            unique: read.unique.clone(),
            lane: read.lane.clone(),
            prev: read.prev,
            flow: read.flow.clone(),
        }
    }

    #[test]
    fn garbage_is_an_error_and_not_a_panic() {
        for garbage in [&b""[..], b"{}", b"null", b"\xff", b"[", br#"{"v":2,"kind":"a","args":1}"#] {
            assert!(Envelope::parse(garbage).is_err());
        }
    }
}
