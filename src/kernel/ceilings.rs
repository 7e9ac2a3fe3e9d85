//! Ceilings of the processor: bytes read and floats multiplied a second, the two numbers that bound every pass over rows.

// Index loops over arrays of known length, which the compiler keeps in registers.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};
use std::hint::black_box;
use std::time::Instant;

/// Floats of the array that is read: 512 MB, far more than the caches hold.
const FLOATS: usize = 1 << 27;
/// Multiply-adds that do not wait for each other.
const CHAINS: usize = 16;
/// Links of each chain in one measurement.
const LINKS: usize = 20_000_000;
/// Measurements, of which the best counts.
const ROUNDS: usize = 5;

/// Rates of all threads together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceilings {
    /// Threads that worked at once.
    pub threads: usize,
    /// Bytes a second, read in order from an array of [`Ceilings::BYTES`].
    pub read: f64,
    /// Operations in f32 a second; a multiply-add counts as two.
    pub flops: f64,
}

impl Ceilings {
    /// The size of the array that is read.
    pub const BYTES: usize = 4 * FLOATS;

    /// Measures this processor for a second or two; the best of five rounds of each.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn measure(threads: usize) -> Self {
        let threads = threads.max(1);
        let array = vec![1.0f32; FLOATS];
        let share = FLOATS.div_ceil(threads);
        let best = |work: &(dyn Fn(usize) -> f64 + Sync)| {
            let round = |_| {
                let start = Instant::now();
                let done: f64 = std::thread::scope(|scope| {
                    // Fewer threads, if the system gives no more.
                    let start = |i| std::thread::Builder::new().spawn_scoped(scope, move || work(i)).ok();
                    let running: Vec<_> = (0..threads).map_while(start).collect();
                    running.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
                });
                done / start.elapsed().as_secs_f64()
            };
            (0..ROUNDS).map(round).fold(0.0, f64::max)
        };
        let read = best(&|thread| {
            let part = &array[(thread * share).min(FLOATS)..((thread + 1) * share).min(FLOATS)];
            black_box(pulp::Arch::new().dispatch(ReadLoop(part)));
            4.0 * part.len() as f64
        });
        let flops = best(&|_| pulp::Arch::new().dispatch(MultiplyAdd));
        Self { threads, read, flops }
    }
}

struct ReadLoop<'a>(&'a [f32]);

impl WithSimd for ReadLoop<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let vectors = S::as_simd_f32s(self.0).0;
        let mut sums = [simd.splat_f32s(0.0); 8];
        let mut at = 0;
        while at + 8 <= vectors.len() {
            for l in 0..8 {
                sums[l] = simd.add_f32s(sums[l], vectors[at + l]);
            }
            at += 8;
        }
        let mut total = sums[0];
        for sum in &sums[1..] {
            total = simd.add_f32s(total, *sum);
        }
        simd.reduce_sum_f32s(total)
    }
}

struct MultiplyAdd;

impl WithSimd for MultiplyAdd {
    type Output = f64;

    /// The operations that were made.
    #[inline(always)]
    #[allow(clippy::cast_precision_loss)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        // As many chains as there are registers for, and fewer than half of them on sixteen.
        const FEW: usize = 10;
        let lanes = size_of::<S::f32s>() / size_of::<f32>();
        let (factor, term) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(1e-3)));
        if S::REGISTER_COUNT >= 32 {
            chains::<S, CHAINS>(simd, factor, term);
            return (2 * LINKS * CHAINS * lanes) as f64;
        }
        chains::<S, FEW>(simd, factor, term);
        (2 * LINKS * FEW * lanes) as f64
    }
}

#[inline(always)]
fn chains<S: Simd, const N: usize>(simd: S, factor: S::f32s, term: S::f32s) {
    let mut values = [term; N];
    for _ in 0..LINKS {
        for c in 0..N {
            values[c] = simd.mul_add_e_f32s(values[c], factor, term);
        }
    }
    for c in 0..N {
        black_box(simd.reduce_sum_f32s(values[c]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_reads_and_multiplies() {
        let found = Ceilings::measure(1);
        assert!(found.threads == 1 && found.read > 1e7 && found.flops > 1e7, "{found:?}");
    }
}
