//! Requests that came in one piece, read before the first of them runs: the memory that they are about to look at is
//! fetched for all of them at once then, where each would wait for its own.

use std::cell::RefCell;

use windlass_engine::Head;
use windlass_resp::{Decoder, Limits, ProtocolError};

/// So many requests are read together; as many run with the lock taken once.
const REQUESTS_MAX: usize = 16;

thread_local! {
    static AHEAD: RefCell<Ahead> = RefCell::default();
}

/// Requests and where they end, in bytes that somebody else keeps.
#[derive(Default)]
pub struct Ahead {
    decoders: [Decoder; REQUESTS_MAX],
    ends: [usize; REQUESTS_MAX],
    len: usize,
}

/// One of them.
pub struct Request<'a> {
    pub bytes: &'a [u8],
    pub decoder: &'a Decoder,
}

impl Ahead {
    /// Lends the one of this thread, so that no client needs memory for it.
    pub fn with<R>(run: impl FnOnce(&mut Self) -> R) -> R {
        AHEAD.with_borrow_mut(run)
    }

    /// Reads the whole requests at the start of `input`, the first of which `decoder` may have begun; it then goes on
    /// behind them. An error behind whole requests is found again when these have run.
    pub fn read(&mut self, decoder: &mut Decoder, input: &[u8], limits: Limits) -> Result<(), ProtocolError> {
        self.len = 0;
        // Who has not given the password may be another after the first.
        let max = if limits.is_before_auth { 1 } else { REQUESTS_MAX };
        let mut start = 0;
        while self.len < max {
            match decoder.decode(&input[start..], limits) {
                Ok(Some(length)) => {
                    std::mem::swap(decoder, &mut self.decoders[self.len]);
                    start += length;
                    self.ends[self.len] = start;
                    self.len += 1;
                }
                Ok(None) => break,
                Err(error) if self.len == 0 => return Err(error),
                Err(_) => {
                    *decoder = Decoder::default();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Gives back memory that only unusual requests needed. For who is done with them.
    pub fn shrink(&mut self) {
        self.decoders[..self.len].iter_mut().for_each(Decoder::shrink);
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn request<'a>(&'a self, index: usize, input: &'a [u8]) -> Request<'a> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Request { bytes: &input[start..self.ends[index]], decoder: &self.decoders[index] }
    }

    /// How the requests begin, for those that are to know what is looked at next.
    pub fn with_heads<R>(&self, input: &[u8], run: impl FnOnce(&[Head<'_>]) -> R) -> R {
        let mut heads = [Head::default(); REQUESTS_MAX];
        for (index, head) in heads[..self.len].iter_mut().enumerate() {
            let Request { bytes, decoder } = self.request(index, input);
            head.iter_mut().zip(decoder.args(bytes)).for_each(|(place, arg)| *place = arg);
        }
        run(&heads[..self.len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Words = Vec<Vec<u8>>;

    fn read(input: &[u8], limits: Limits) -> Result<(Vec<Words>, usize), ProtocolError> {
        let (mut ahead, mut decoder) = (Ahead::default(), Decoder::default());
        ahead.read(&mut decoder, input, limits)?;
        let args = |index| {
            let Request { bytes, decoder } = ahead.request(index, input);
            decoder.args(bytes).map(<[u8]>::to_vec).collect()
        };
        let requests = (0..ahead.len()).map(args).collect();
        let end = ahead.ends[..ahead.len()].last().copied().unwrap_or_default();
        Ok((requests, end))
    }

    #[test]
    fn whole_requests_are_read_up_to_what_is_none() {
        let whole = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nSET k v\r\n*1\r\n$4\r\nPING\r\n";
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Words>();
        let expected = ["GET k", "SET k v", "PING"].map(words).to_vec();
        for behind in [&b""[..], b"*2\r\n$3\r\nGE", b"*1\r\nx\r\n"] {
            let input = [&whole[..], behind].concat();
            assert_eq!(read(&input, Limits::DEFAULT), Ok((expected.clone(), whole.len())), "{behind:?}");
        }
        assert_eq!(read(b"*1\r\nx\r\n", Limits::DEFAULT), Err(ProtocolError::ExpectedBulk(b'x')));
        assert_eq!(read(whole, Limits::BEFORE_AUTH).map(|(requests, _)| requests.len()), Ok(1));
        let many = b"PING\r\n".repeat(REQUESTS_MAX + 1);
        assert_eq!(read(&many, Limits::DEFAULT).map(|(requests, _)| requests.len()), Ok(REQUESTS_MAX));
    }

    #[test]
    fn no_memory_is_kept_of_requests_with_many_arguments() {
        let many = [b"*5000\r\n".to_vec(), b"$1\r\nx\r\n".repeat(5_000)].concat().repeat(2);
        let (mut ahead, mut decoder) = (Ahead::default(), Decoder::default());
        ahead.read(&mut decoder, &many, Limits::DEFAULT).expect("requests");
        assert_eq!(ahead.len(), 2);
        assert_eq!(ahead.request(1, &many).decoder.args(ahead.request(1, &many).bytes).len(), 5_000);
        ahead.shrink();
        assert!(ahead.decoders.iter().all(|decoder| decoder.ranges().len() == 0));
    }
}
