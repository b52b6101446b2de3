//! HyperLogLog: about how many different elements were added, in at most 12 KiB.
//!
//! The bytes are those of Redis, since they are the value of a string key that clients read and copy: a header of 16
//! bytes (magic, form, the last count) and 16,384 registers. A register holds the longest run of zeros that the hash of
//! an element began with, plus one. `dense` packs each in six bits; `sparse` codes runs of equal registers.

mod dense;
mod estimate;
mod hash;
mod sparse;

/// How many bits of a hash choose the register.
const INDEX_BITS: u32 = 14;
/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// The bits of a hash in which zeros are counted.
const RUN_BITS: u32 = 64 - INDEX_BITS;

const MAGIC: &[u8] = b"HYLL";
const HEADER_BYTES: usize = 16;
const FORM_AT: usize = 4;
const COUNT_AT: usize = 8;
/// The highest bit of the last count says that it is out of date.
const STALE_BIT: u8 = 0x80;

const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// The value of every register.
pub type Registers = [u8; REGISTERS];

/// The bytes are not those of a HyperLogLog, or its registers are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// An empty one.
pub fn create() -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[FORM_AT] = SPARSE;
    bytes.extend(sparse::EMPTY);
    bytes
}

/// True when a string may be a HyperLogLog: its header is right, and its length as far as the form gives it.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES
        && bytes.starts_with(MAGIC)
        && match bytes[FORM_AT] {
            DENSE => bytes.len() == HEADER_BYTES + dense::BYTES,
            form => form == SPARSE,
        }
}

/// True when it has the dense form.
pub fn is_dense(bytes: &[u8]) -> bool {
    bytes[FORM_AT] == DENSE
}

/// Adds an element; true when a register grew.
///
/// # Errors
/// When the registers are damaged.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_max: usize) -> Result<bool, Corrupt> {
    let (index, run) = hash::place(element);
    raise(bytes, index, run, sparse_max)
}

/// Makes a register at least `run`; true when it grew. A sparse form that would be longer than `sparse_max` bytes
/// becomes dense.
///
/// # Errors
/// When the registers are damaged.
pub fn raise(bytes: &mut Vec<u8>, index: usize, run: u8, sparse_max: usize) -> Result<bool, Corrupt> {
    if !is_dense(bytes) {
        match sparse::raise(bytes, index, run, sparse_max)? {
            sparse::Raised::Done(has_grown) => return Ok(has_grown),
            sparse::Raised::NoRoom => make_dense(bytes)?,
        }
    }
    Ok(dense::raise(&mut bytes[HEADER_BYTES..], index, run))
}

/// Gives it the dense form.
///
/// # Errors
/// When the registers are damaged.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    if is_dense(bytes) {
        return Ok(());
    }
    let registers = registers(bytes)?;
    bytes.truncate(HEADER_BYTES);
    bytes[FORM_AT] = DENSE;
    bytes.extend(dense::encode(&registers));
    Ok(())
}

/// The value of every register.
///
/// # Errors
/// When the registers are damaged.
pub fn registers(bytes: &[u8]) -> Result<Box<Registers>, Corrupt> {
    let content = &bytes[HEADER_BYTES..];
    if is_dense(bytes) { Ok(dense::decode(content)) } else { sparse::decode(content) }
}

/// The codes of a sparse form, in the words of Redis's PFDEBUG DECODE; what is no code ends it.
pub fn describe_sparse(bytes: &[u8]) -> String {
    sparse::describe(&bytes[HEADER_BYTES..])
}

/// Makes each register of `into` as large as that of `from`, if it was smaller.
pub fn merge(into: &mut Registers, from: &Registers) {
    for (into, from) in into.iter_mut().zip(from) {
        *into = (*into).max(*from);
    }
}

/// About how many different elements the registers have seen.
pub fn estimate(registers: &Registers) -> u64 {
    estimate::estimate(registers)
}

/// The count that was last noted; none when registers have grown since.
pub fn noted_count(bytes: &[u8]) -> Option<u64> {
    let noted: [u8; 8] = bytes[COUNT_AT..HEADER_BYTES].try_into().ok()?;
    (noted[7] & STALE_BIT == 0).then(|| u64::from_le_bytes(noted))
}

/// Notes the count.
pub fn note_count(bytes: &mut [u8], count: u64) {
    bytes[COUNT_AT..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Says that the noted count is out of date.
pub fn forget_count(bytes: &mut [u8]) {
    bytes[HEADER_BYTES - 1] |= STALE_BIT;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Redis's `hll-sparse-max-bytes`.
    const SPARSE_MAX: usize = 3000;

    #[test]
    fn both_forms_hold_the_same_registers() {
        let (mut sparse, mut dense) = (create(), create());
        make_dense(&mut dense).expect("an empty one is sound");
        for number in 0..600_u32 {
            let element = number.to_string();
            let grown = add(&mut sparse, element.as_bytes(), SPARSE_MAX);
            assert_eq!(grown, add(&mut dense, element.as_bytes(), SPARSE_MAX));
        }
        assert!(!is_dense(&sparse) && is_dense(&dense));
        assert_eq!(registers(&sparse), registers(&dense));
    }

    #[test]
    fn the_estimate_is_within_two_per_cent() {
        let mut bytes = create();
        for number in 0..100_000_u32 {
            add(&mut bytes, number.to_string().as_bytes(), SPARSE_MAX).expect("it is sound");
        }
        let count = estimate(&registers(&bytes).expect("it is sound"));
        assert!((98_000..102_000).contains(&count), "{count}");
    }

    #[test]
    fn damaged_registers_are_an_error() {
        let mut bytes = create();
        bytes.push(0x3f);
        assert_eq!(registers(&bytes), Err(Corrupt));
        bytes.truncate(HEADER_BYTES + 1);
        assert_eq!(registers(&bytes), Err(Corrupt));
        assert_eq!(add(&mut bytes, b"x", SPARSE_MAX), Err(Corrupt));
    }
}
