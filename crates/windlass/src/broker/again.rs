//! Calls that are made again when their answer was lost, or nobody was there to answer.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The most attempts: who has a directory may be followed by another that ends as soon.
const ATTEMPTS_MAX: usize = 5;
/// After so long there is no further one: a server that does not answer is not asked for minutes.
const TIME_MAX: Duration = Duration::from_secs(5);

/// The pause before a store is looked for again that is not there: it may be starting.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes a call, and again while it is unknown whether it happened, or the store is not reached. Only for what does no harm
/// when it happens twice.
pub(crate) async fn again<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) -> Result<T> {
    let (begun, mut attempts) = (Instant::now(), 0);
    loop {
        let outcome = call().await;
        let Err(Error::Store(error)) = &outcome else { return outcome };
        attempts += 1;
        if begun.elapsed() >= TIME_MAX {
            return outcome;
        } else if windlass_conn::is_unreachable(error) {
            tokio::time::sleep(PAUSE).await;
        } else if !windlass_conn::may_have_happened(error) || attempts >= ATTEMPTS_MAX {
            return outcome;
        }
    }
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
        assert_eq!(calls.replace(0), 1);
        let away = || {
            let error =
                windlass_conn::Error::Connect { address: "x".into(), reason: "refused".into(), hint: "x" };
            Error::from(redis::RedisError::from(error))
        };
        assert_eq!(again(|| call(2 * ATTEMPTS_MAX, away)).await.unwrap(), 2 * ATTEMPTS_MAX + 1);
    }
}
