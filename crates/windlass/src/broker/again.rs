//! Calls that are made again when their answer was lost.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The most attempts: who has a directory may be followed by another that ends as soon.
const ATTEMPTS_MAX: usize = 5;
/// After so long there is no further one: a server that does not answer is not asked for minutes.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Makes a call, and again while it is unknown whether it happened. Only for what does no harm when it happens twice.
pub(crate) async fn again<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) -> Result<T> {
    let begun = Instant::now();
    for _ in 1..ATTEMPTS_MAX {
        match call().await {
            Err(Error::Store(error))
                if windlass_conn::may_have_happened(&error) && begun.elapsed() < TIME_MAX => {}
            outcome => return outcome,
        }
    }
    call().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn only_what_may_have_happened_is_called_again_and_not_for_ever() {
        let lost = || {
            Error::from(redis::RedisError::from(windlass_conn::Error::OutcomeUnknown { reason: "x".into() }))
        };
        let calls = Cell::new(0);
        let call = async |fails: usize, error: fn() -> Error| {
            calls.set(calls.get() + 1);
            if calls.get() > fails { Ok(calls.get()) } else { Err(error()) }
        };
        assert_eq!(again(|| call(2, lost)).await.unwrap(), 3);
        calls.set(0);
        assert!(again(|| call(usize::MAX, lost)).await.is_err());
        assert_eq!(calls.replace(0), ATTEMPTS_MAX);
        assert!(again(|| call(1, || Error::Answer("x"))).await.is_err());
        assert_eq!(calls.get(), 1);
    }
}
