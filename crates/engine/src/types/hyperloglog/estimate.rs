//! From registers to a count, by Otmar Ertl's improved estimator ("New cardinality estimation algorithms for
//! HyperLogLog sketches", 2017).

use super::{REGISTERS, RUN_BITS, Registers};

/// 0.5 / ln 2.
const ALPHA: f64 = 0.721_347_520_444_481_7;

pub fn estimate(registers: &Registers) -> u64 {
    // Registers of a damaged dense form may be larger than any run.
    let mut counts = [0_u32; 64];
    registers.iter().for_each(|register| counts[usize::from(*register)] += 1);
    let m = REGISTERS as f64;
    let longest = RUN_BITS as usize;
    let mut z = m * tau((m - f64::from(counts[longest + 1])) / m);
    for count in counts[1..=longest].iter().rev() {
        z = (z + f64::from(*count)) * 0.5;
    }
    z += m * sigma(f64::from(counts[0]) / m);
    (ALPHA * m * m / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if before == z {
            return z / 3.0;
        }
    }
}
