//! Kernels for Burn's GPU backends, written once in CubeCL: rows that stay on the device, and the part of a step that is not a
//! matrix product.
//!
//! | kernel | reads | writes |
//! |---|---|---|
//! | [`ResidentRows::gather`] | rows of the resident matrix by index | a batch, preprocessed, in f32 |
//! | `charge` | scores, bias, labels, weights of rows | the loss of each row and its gradient Q |
//! | `finish` | XᵀQ, Q, W, b | the gradients of W and b, penalty included |
//!
//! All sums are added up in an order that depends on shapes alone. In f32; labels in i32. Imports nothing of the crate.

mod charge;
mod finish;
mod gather;

pub use charge::{ChargeKind, Charges, LabelBuffers, RowFactors, charge};
pub use finish::{PenaltyFactors, finish};
pub use gather::{HostCells, Preprocessing, ResidentRows};

use burn::tensor::{DType, Device, Int, Shape, Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Memory limits of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Bytes that one buffer may have.
    pub buffer: u64,
    /// Bytes of all, where the driver says so.
    pub total: Option<u64>,
}

impl MemoryLimits {
    /// Of a device; `None` for one that these kernels do not run on.
    #[must_use]
    pub fn of(device: &Device) -> Option<Self> {
        let probe = Tensor::<1>::empty([1], &device.clone().without_autodiff());
        let probe = probe.try_into_primitive::<CubeBackend>().ok()?;
        let memory = &probe.client.properties().memory;
        Some(Self { buffer: memory.max_page_size, total: memory.max_memory() })
    }
}

/// The primitive of a tensor that lies on one of these devices.
///
/// # Panics
/// For a tensor of another device.
#[must_use]
pub fn float<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    match tensor.try_into_primitive::<CubeBackend>() {
        Ok(tensor) => tensor,
        Err(error) => panic!("a tensor of another device: {error:?}"),
    }
}

/// Values in f32 on a device.
///
/// # Panics
/// When these kernels do not run there.
#[must_use]
pub fn floats(values: Vec<f32>, device: &Device) -> CubeTensor {
    let len = values.len();
    float(Tensor::<1>::from_data(TensorData::new(values, [len]), (device, DType::F32)))
}

/// Places in a table, or any words, on a device.
///
/// # Panics
/// When these kernels do not run there.
#[must_use]
pub fn places(values: Vec<u32>, device: &Device) -> CubeTensor {
    let len = values.len();
    int(Tensor::<1, Int>::from_data(TensorData::new(values, [len]), (device, DType::U32)))
}

/// The same of integers.
///
/// # Panics
/// For a tensor of another device.
#[must_use]
pub fn int<const D: usize>(tensor: Tensor<D, Int>) -> CubeTensor {
    match tensor.try_into_primitive::<CubeBackend>() {
        Ok(tensor) => tensor,
        Err(error) => panic!("a tensor of another device: {error:?}"),
    }
}

/// A new buffer of f32 values on the device of a tensor.
fn room(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let (client, device): (Client, _) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), DType::F32)
}
