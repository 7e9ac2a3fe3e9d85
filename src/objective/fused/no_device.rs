//! What stands for the pass on a GPU in a build without kernels for one: nothing is served, and none is ever made.

use super::resident::{DeviceGradient, ResidentLimits};
use super::{FusedGradient, Objective};
use crate::data::Features;
use crate::data::batch::{Batch, HostBatch, Source};
use crate::device::OpenDevice;
use burn::tensor::{Device, Tensor};
use std::convert::Infallible;
use std::marker::PhantomData;

/// A batch of dense rows on the device.
#[derive(Debug, Clone)]
pub struct DeviceBatch(Infallible);

/// The pass on a GPU, which this build does not have.
#[derive(Debug)]
pub struct DevicePass<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> DevicePass<'a> {
    /// False.
    #[must_use]
    pub const fn serves(_: &Features, _: &OpenDevice) -> bool {
        false
    }

    /// `None`
    #[must_use]
    pub const fn new(_: Source<'a>, _: usize, _: &'a Objective, _: &Device, _: ResidentLimits) -> Option<Self> {
        None
    }

    /// In how many buffers the rows lie on the device.
    #[must_use]
    pub const fn n_chunks(&self) -> Option<usize> {
        match self.0 {}
    }

    /// 0
    #[must_use]
    pub const fn bytes(_: &Features) -> u64 {
        0
    }

    /// Rows of the data set on the device.
    #[must_use]
    pub const fn gather(&self, _: &[u32]) -> DeviceBatch {
        match self.0 {}
    }

    /// A batch that was gathered on the host.
    #[must_use]
    pub fn upload(&self, _: HostBatch) -> DeviceBatch {
        match self.0 {}
    }

    /// The gradient over a batch.
    #[must_use]
    pub fn gradient(&self, _: &Tensor<2>, _: Option<&Tensor<1>>, _: DeviceBatch, _: bool) -> DeviceGradient {
        match self.0 {}
    }

    /// The gradient over rows of the data set.
    #[must_use]
    pub const fn over(
        &self,
        _: &Tensor<2>,
        _: Option<&Tensor<1>>,
        _: &[u32],
        _: bool,
    ) -> (DeviceGradient, Vec<Tensor<2>>) {
        match self.0 {}
    }

    /// A batch as the composed routes have it.
    #[must_use]
    pub const fn batch(&self, _: &[u32]) -> Batch {
        match self.0 {}
    }

    /// The gradient with values on the host.
    ///
    /// # Errors
    /// None.
    pub const fn at(&self, _: &[f32], _: Option<&[f32]>, _: &[u32]) -> Result<(FusedGradient, Vec<f32>), String> {
        match self.0 {}
    }
}
