//! Parts of strings.

use windlass_resp::Value;

use super::check_length;
use crate::blob::Blob;
use crate::command::Answer;
use crate::error::Error;
use crate::state::Call;

pub fn strlen(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.get::<Blob>(call.args[1])?.map_or(0, |text| text.len())))
}

pub fn append(call: &mut Call<'_>) -> Answer {
    let (key, more) = (call.args[1], call.args[2]);
    let length = call.get::<Blob>(key)?.map_or(0, |text| text.len()) + more.len();
    check_length(length)?;
    call.make::<Blob>(key)?.edit(|text| {
        text.reserve_exact(more.len());
        text.extend_from_slice(more);
    });
    call.changed(key);
    call.log();
    Ok(Value::from(length))
}

pub fn getrange(call: &mut Call<'_>) -> Answer {
    let (start, end) = (call.args.integer(2)?, call.args.integer(3)?);
    let Some(text) = call.get::<Blob>(call.args[1])? else { return Ok(Value::from("")) };
    Ok(Value::bulk(clip(start, end, text.len()).map_or(&[][..], |(from, to)| &text[from..=to])))
}

/// The indices that an inclusive range means in `length` items, negative ones counted from the end; none for an empty
/// range.
pub fn clip(start: i64, end: i64, length: usize) -> Option<(usize, usize)> {
    // Redis tests this before it counts from the end: two negative indices in the wrong order are empty even where
    // both would be clipped to the first item.
    if start < 0 && end < 0 && start > end {
        return None;
    }
    clip_each(start, end, length)
}

/// As [`clip`], but each index by itself, as BITPOS has it: two negative ones in the wrong order may both be clipped to
/// the first item.
pub fn clip_each(start: i64, end: i64, length: usize) -> Option<(usize, usize)> {
    let length = length as i64;
    let resolve = |index: i64| if index < 0 { (length.saturating_add(index)).max(0) } else { index };
    let (start, end) = (resolve(start), resolve(end).min(length - 1));
    (length > 0 && start <= end).then_some((start as usize, end as usize))
}

pub fn setrange(call: &mut Call<'_>) -> Answer {
    let (key, part) = (call.args[1], call.args[3]);
    let offset =
        usize::try_from(call.args.integer(2)?).map_err(|_| Error::new("ERR offset is out of range"))?;
    let length = call.get::<Blob>(key)?.map_or(0, |text| text.len());
    if part.is_empty() {
        return Ok(Value::from(length));
    }
    let end = offset.saturating_add(part.len());
    check_length(end)?;
    let mut text = call.make::<Blob>(key)?;
    // What is written in places is likely to be again.
    text.edit_in_place(|text| {
        text.resize(end.max(length), 0);
        text[offset..end].copy_from_slice(part);
    });
    drop(text);
    call.changed(key);
    call.log();
    Ok(Value::from(length.max(end)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::clip;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_range_is_what_its_indices_say(start in -12..12_i64, end in -12..12_i64, length in 0..8_usize) {
            let resolve = |index: i64| if index < 0 { index + length as i64 } else { index };
            // Counted from the end beyond the first item is the first item, but not for two that are in the wrong order.
            let end_at = if start < 0 && end < 0 && start > end { -1 } else { resolve(end).max(if end < 0 { 0 } else { end }) };
            let wanted: Vec<usize> = (0..length)
                .filter(|index| (resolve(start)..=end_at).contains(&(*index as i64)))
                .collect();
            let got: Vec<usize> = clip(start, end, length).map_or_else(Vec::new, |(from, to)| (from..=to).collect());
            prop_assert_eq!(got, wanted);
        }
    }

    #[test]
    fn the_largest_indices_do_not_overflow() {
        assert_eq!(clip(i64::MIN, i64::MAX, 3), Some((0, 2)));
        assert_eq!(clip(i64::MAX, i64::MIN, 3), None);
    }
}
