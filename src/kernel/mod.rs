//! Host kernels: products of rows with the weights of all classes, on the vector units of the processor.
//!
//! Everything here works in f32 or f64 ([`Real`]) and is dispatched once a call to AVX-512, AVX2, NEON or scalar code by
//! `pulp`. Dense rows live in a [`RowBlock`], weights for them in [`TiledWeights`], weights for sparse rows in
//! [`FeatureWeights`]; [`in_place`] reads dense rows without a copy; `cube`, where the build has it, holds kernels for GPUs. Nothing
//! here but [`Ceilings`], which measures the processor, starts threads. Imports nothing of the crate.

mod ceilings;
#[cfg(all(feature = "cube", not(feature = "fusion")))]
pub mod cube;
mod dense;
pub mod in_place;
pub(crate) mod rounding;
mod sparse;
mod widen;

pub use ceilings::Ceilings;
pub use dense::{RowBlock, TiledWeights};
pub use sparse::FeatureWeights;
pub use widen::{Reach, Widen};

use branches::prefetch_read_data;
use pulp::Simd;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Prefetches a value into the first-level cache.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    prefetch_read_data::<T, 0>(value);
}

/// Asks for all of some values, a cache line after the other.
#[inline(always)]
pub fn prefetch_all<T>(values: &[T]) {
    let per_line = const { if size_of::<T>() == 0 || size_of::<T>() > LINE { 1 } else { LINE / size_of::<T>() } };
    let mut at = 0;
    while at < values.len() {
        prefetch(&values[at]);
        at += per_line;
    }
    values.last().into_iter().for_each(prefetch);
}

/// Single or double precision, with the vectors of an instruction set.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + Into<f64>
    + 'static
{
    /// A vector of the instruction set.
    type Lanes<S: Simd>: Copy;

    /// The values as vectors; those that do not fill one are left out.
    fn lanes<S: Simd>(values: &[Self]) -> &[Self::Lanes<S>];
    /// The values as vectors; those that do not fill one are left out.
    fn lanes_mut<S: Simd>(values: &mut [Self]) -> &mut [Self::Lanes<S>];
    /// The value in every lane.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Lanes<S>;
    /// `a·b + c`
    fn mul_add<S: Simd>(simd: S, a: Self::Lanes<S>, b: Self::Lanes<S>, c: Self::Lanes<S>) -> Self::Lanes<S>;
    /// The sum of the lanes.
    fn sum<S: Simd>(simd: S, value: Self::Lanes<S>) -> Self;
    /// Rounded to this precision.
    fn from_f64(value: f64) -> Self;
    /// In double precision.
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    type Lanes<S: Simd> = S::f32s;

    #[inline(always)]
    fn lanes<S: Simd>(values: &[Self]) -> &[S::f32s] {
        S::as_simd_f32s(values).0
    }

    #[inline(always)]
    fn lanes_mut<S: Simd>(values: &mut [Self]) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(values).0
    }

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f32s {
        simd.splat_f32s(value)
    }

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, c)
    }

    #[inline(always)]
    fn sum<S: Simd>(simd: S, value: S::f32s) -> Self {
        simd.reduce_sum_f32s(value)
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    type Lanes<S: Simd> = S::f64s;

    #[inline(always)]
    fn lanes<S: Simd>(values: &[Self]) -> &[S::f64s] {
        S::as_simd_f64s(values).0
    }

    #[inline(always)]
    fn lanes_mut<S: Simd>(values: &mut [Self]) -> &mut [S::f64s] {
        S::as_mut_simd_f64s(values).0
    }

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f64s {
        simd.splat_f64s(value)
    }

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        simd.mul_add_e_f64s(a, b, c)
    }

    #[inline(always)]
    fn sum<S: Simd>(simd: S, value: S::f64s) -> Self {
        simd.reduce_sum_f64s(value)
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
}

/// Plain loops to be compiled for the instruction set of the processor. Implement `run` with `#[inline(always)]`, and call only what is
/// inlined as surely: a call to a function of its own falls back to the instruction set of the build.
pub trait Work {
    /// Result of the loops.
    type Output;

    /// The loops.
    fn run(self) -> Self::Output;
}

struct DispatchedWork<W>(W);

impl<W: Work> pulp::WithSimd for DispatchedWork<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> W::Output {
        self.0.run()
    }
}

/// Runs loops on the vector units of the processor.
#[inline]
pub fn vectorized<W: Work>(work: W) -> W::Output {
    pulp::Arch::new().dispatch(DispatchedWork(work))
}

/// A buffer of numbers that starts on a cache line.
#[derive(Debug, Clone)]
struct AlignedBuffer<T> {
    values: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Real> AlignedBuffer<T> {
    fn zeros(len: usize) -> Self {
        let spare = 64 / size_of::<T>();
        let values = vec![T::default(); len + spare];
        let start = values.as_ptr().align_offset(64).min(spare);
        Self { values, start, len }
    }

    #[inline(always)]
    fn get(&self) -> &[T] {
        &self.values[self.start..self.start + self.len]
    }

    #[inline(always)]
    fn get_mut(&mut self) -> &mut [T] {
        &mut self.values[self.start..self.start + self.len]
    }
}

/// `n` rounded up to whole cache lines of f32.
const fn padded(n: usize) -> usize {
    n.next_multiple_of(16)
}
