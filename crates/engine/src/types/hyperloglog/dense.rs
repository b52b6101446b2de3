//! The dense form: six bits for each register, the first in the lowest bits of the first byte.

use super::{REGISTERS, Registers};

const REGISTER_BITS: usize = 6;
const REGISTER_MAX: u16 = (1 << REGISTER_BITS) - 1;

/// The length of the registers.
pub const BYTES: usize = REGISTERS * REGISTER_BITS / 8;

fn get(content: &[u8], index: usize) -> u8 {
    let (byte, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let low = u16::from(content[byte]);
    let high = content.get(byte + 1).map_or(0, |byte| u16::from(*byte));
    ((low | high << 8) >> shift & REGISTER_MAX) as u8
}

fn set(content: &mut [u8], index: usize, value: u8) {
    let (byte, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let (mask, value) = (REGISTER_MAX << shift, u16::from(value) << shift);
    content[byte] = content[byte] & !(mask as u8) | value as u8;
    if mask >> 8 != 0 {
        content[byte + 1] = content[byte + 1] & !((mask >> 8) as u8) | (value >> 8) as u8;
    }
}

/// Makes a register at least `run`; true when it grew.
pub fn raise(content: &mut [u8], index: usize, run: u8) -> bool {
    let grows = run > get(content, index);
    if grows {
        set(content, index, run);
    }
    grows
}

pub fn decode(content: &[u8]) -> Box<Registers> {
    let mut registers = Box::new([0; REGISTERS]);
    registers.iter_mut().enumerate().for_each(|(index, register)| *register = get(content, index));
    registers
}

pub fn encode(registers: &Registers) -> Vec<u8> {
    let mut content = vec![0; BYTES];
    registers.iter().enumerate().for_each(|(index, register)| set(&mut content, index, *register));
    content
}
