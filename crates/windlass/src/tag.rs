//! What a push says of a job beside its arguments: tags, values, trace context, attempts. Their bounds are checked here, wherever a
//! job comes from.

use crate::envelope::Envelope;
use crate::error::{Error, Result};

/// Most tags of one job.
pub const TAGS_MAX: usize = 16;

/// Longest tag, in bytes.
pub const TAG_LEN_MAX: usize = 64;

/// Most values beside the arguments of one job.
pub const META_MAX: usize = 64;

/// Longest name of such a value, in bytes.
pub const META_NAME_LEN_MAX: usize = 128;

/// How long all of them together may be as JSON, in bytes.
pub const META_LEN_MAX: usize = 16 << 10;

/// How long a `traceparent` of the version that is known is, and at most.
const TRACE_LEN: (usize, usize) = (55, 256);

/// Checks tags, values, trace context and attempts of a job that is to be pushed.
pub(crate) fn check<A>(envelope: &Envelope<'_, A>) -> Result<()> {
    let refuse = |option, problem: String| Err(Error::Push { option, problem });
    if envelope.tags.len() > TAGS_MAX {
        return refuse("tag", format!("is one of {}, more than {TAGS_MAX}", envelope.tags.len()));
    }
    if let Some(tag) = envelope.tags.iter().find(|tag| !is_text(tag, TAG_LEN_MAX)) {
        let shown = shown(tag, TAG_LEN_MAX);
        return refuse(
            "tag",
            format!("is {shown:?}, not 1 to {TAG_LEN_MAX} bytes without control characters"),
        );
    }
    if let Some(meta) = &envelope.meta {
        if meta.len() > META_MAX {
            return refuse("meta", format!("has {} values, more than {META_MAX}", meta.len()));
        }
        if let Some(name) = meta.keys().find(|name| !is_text(name, META_NAME_LEN_MAX)) {
            let shown = shown(name, META_NAME_LEN_MAX);
            let fit = format!("not 1 to {META_NAME_LEN_MAX} bytes without control characters");
            return refuse("meta", format!("has the name {shown:?}, {fit}"));
        }
        let size = serde_json::to_vec(meta)?.len();
        if size > META_LEN_MAX {
            return refuse("meta", format!("takes {size} bytes, more than {META_LEN_MAX}"));
        }
    }
    if envelope.max == 0 {
        return refuse("max_attempts", "is 0, a job has one at least".into());
    }
    match &envelope.trace {
        Some(trace) if !is_traceparent(trace) => {
            let shown = shown(trace, TRACE_LEN.0);
            refuse("trace", format!("is {shown:?}, not a traceparent such as 00-{:032x}-{:016x}-01", 7, 7))
        }
        _ => Ok(()),
    }
}

fn is_text(text: &str, len_max: usize) -> bool {
    (1..=len_max).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn shown(text: &str, len_max: usize) -> String {
    text.chars().take(len_max).collect()
}

/// Whether a text is a `traceparent` of W3C Trace Context: version, trace id, parent id and flags. A later version may
/// have more behind these.
fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_set = |part: &str| part.bytes().any(|byte| byte != b'0');
    let mut parts = text.splitn(5, '-');
    let (Some(version), Some(trace), Some(parent), Some(flags), rest) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let has_fit_end = match rest {
        None => true,
        Some(rest) => version != "00" && rest.bytes().all(|byte| byte.is_ascii_graphic()),
    };
    text.len() <= TRACE_LEN.1
        && is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_set(trace)
        && is_hex(parent, 16)
        && is_set(parent)
        && is_hex(flags, 2)
        && has_fit_end
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn problem(change: impl FnOnce(&mut Envelope<'_, ()>)) -> Option<(&'static str, String)> {
        let mut envelope = Envelope::new("k", ());
        change(&mut envelope);
        match check(&envelope) {
            Ok(()) => None,
            Err(Error::Push { option, problem }) => Some((option, problem)),
            Err(other) => panic!("{other}"),
        }
    }

    fn meta(name: &str, value: impl Into<serde_json::Value>) -> serde_json::Map<String, serde_json::Value> {
        [(name.to_owned(), value.into())].into_iter().collect()
    }

    #[test]
    fn what_is_within_the_bounds_is_let_through() {
        let tags = vec!["x".repeat(TAG_LEN_MAX); TAGS_MAX];
        assert_eq!(problem(|envelope| envelope.tags = tags), None);
        assert_eq!(problem(|envelope| envelope.meta = Some(meta("tenant", "acme"))), None);
        assert_eq!(problem(|envelope| envelope.trace = Some(TRACE.into())), None);
        assert_eq!(problem(|envelope| envelope.trace = Some(format!("01{}-more", &TRACE[2..]))), None);
    }

    #[test]
    fn what_is_not_is_refused_by_its_name() {
        for tags in [vec![String::new()], vec!["a\nb".into()], vec!["x".repeat(TAG_LEN_MAX + 1)]] {
            assert_eq!(problem(|envelope| envelope.tags = tags).unwrap().0, "tag");
        }
        let many = (0..=TAGS_MAX).map(|number| number.to_string()).collect();
        assert_eq!(problem(|envelope| envelope.tags = many).unwrap().1, "is one of 17, more than 16");
        let many = (0..=META_MAX).map(|number| (number.to_string(), 1.into())).collect();
        for meta in [meta("", 1), meta("big", "x".repeat(META_LEN_MAX)), many] {
            assert_eq!(problem(|envelope| envelope.meta = Some(meta)).unwrap().0, "meta");
        }
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for trace in ["", "t", &TRACE[..54], &TRACE.to_uppercase(), zeros, &format!("ff{}", &TRACE[2..])] {
            assert_eq!(
                problem(|envelope| envelope.trace = Some(trace.into())).unwrap().0,
                "trace",
                "{trace}"
            );
        }
        assert_eq!(problem(|envelope| envelope.trace = Some(format!("{TRACE}-more"))).unwrap().0, "trace");
    }
}
