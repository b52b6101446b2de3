//! What a client sent and was not executed yet. Memory is taken for bytes that have arrived, never ahead of them: a
//! client that says nothing costs none, and one that announces much costs no more than it sends.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// The bytes that one read asks for.
const READ_BYTES: usize = 16 << 10;
/// A buffer that was larger than this for once gives its memory back when it is empty.
const KEPT_BYTES: usize = 2 << 10;

thread_local! {
    /// Where reads go first: one for all clients of a thread, so that nobody needs memory while nothing arrives.
    static ARRIVED: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Puts bytes that have arrived at the end of `input`; answers how many, 0 at the end.
pub fn poll_read(
    stream: Pin<&mut impl AsyncRead>,
    input: &mut Vec<u8>,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    // In the midst of something long they go to their place at once. The buffer grows with what is there.
    if input.len() >= READ_BYTES {
        input.reserve(READ_BYTES);
        let mut stream = stream;
        return pin!(stream.read_buf(input)).poll(context);
    }
    ARRIVED.with_borrow_mut(|arrived| {
        let mut buffer = ReadBuf::new(arrived);
        ready!(stream.poll_read(context, &mut buffer))?;
        input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
}

/// Gives the memory of an empty buffer back, unless it is little.
pub fn give_back(buffer: &mut Vec<u8>) {
    if buffer.is_empty() && buffer.capacity() > KEPT_BYTES {
        *buffer = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn read_more(stream: &mut &[u8], input: &mut Vec<u8>) -> usize {
        poll_fn(|context| poll_read(Pin::new(&mut *stream), input, context)).await.expect("bytes")
    }

    #[tokio::test]
    async fn memory_grows_with_what_arrives() {
        let mut input = Vec::new();
        let announced = b"*2\r\n$3\r\nGET\r\n$536870912\r\n";
        assert_eq!(read_more(&mut &announced[..], &mut input).await, announced.len());
        assert!(input.capacity() < 2 * announced.len(), "{}", input.capacity());
        let long = vec![b'x'; 1 << 20];
        let mut reader = &long[..];
        while read_more(&mut reader, &mut input).await > 0 {
            assert!(input.capacity() <= 2 * input.len() + 2 * READ_BYTES);
        }
        assert_eq!(input.len(), announced.len() + long.len());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_long_request() {
        let mut input = vec![0; KEPT_BYTES + 1];
        input.clear();
        give_back(&mut input);
        assert_eq!(input.capacity(), 0);
    }
}
