//! Requests of a client: whether they come whole or byte by byte, they are the same, and so they are written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_resp::{Decoder, Limits, ProtocolError, encode_command};

/// A line of words may have more arguments than this limit, which is for the other form: so it is beyond any input.
const LIMITS: Limits = Limits { args_max: 4_096, bulk_max: 10_000, is_before_auth: false };

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// The requests at the start of `bytes`, of which `step` more are there at each look.
fn requests(bytes: &[u8], step: usize) -> Requests {
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    let (mut start, mut end) = (0, 0);
    loop {
        match decoder.decode(&bytes[start..end], LIMITS) {
            Ok(Some(length)) => {
                found.push(decoder.args(&bytes[start..end]).map(<[u8]>::to_vec).collect());
                start += length;
            }
            Ok(None) if end == bytes.len() => return (found, None),
            Ok(None) => end = bytes.len().min(end + step),
            Err(error) => return (found, Some(error)),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let whole = requests(bytes, bytes.len().max(1));
    assert_eq!(requests(bytes, 1), whole);
    let mut written = Vec::new();
    for request in &whole.0 {
        encode_command(&request.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut written);
    }
    assert_eq!(requests(&written, 7), (whole.0, None));
});
