//! RESP2 and RESP3: the values of the Redis protocol and their codec.
//!
//! What it is: [`Value`], the one reply type of the whole workspace, its [encoder](encode), and an
//! incremental [decoder](Decoder) for requests. What it is not: a client; nothing here reads a socket.
//!
//! ```
//! use windlass_resp::{Protocol, Value, encode};
//!
//! let mut out = Vec::new();
//! encode(&Value::Bulk(b"hi".to_vec()), Protocol::Resp2, &mut out);
//! assert_eq!(out, b"$2\r\nhi\r\n");
//! ```

mod decode;
mod double;
mod encode;
mod inline;
mod value;

pub use decode::{Decoder, LINE_MAX, Limits, ProtocolError};
pub use double::{format_double, format_general};
pub use encode::{Protocol, encode, encode_command};
pub use value::Value;
