//! Device names to Burn devices: the only place that knows which backends are compiled in.
//!
//! Imports nothing of this crate. Adding a backend is one Cargo feature, one variant of [`Backend`] and its arms here.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

/// The backends that a build may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// burn-flex: pure Rust on the CPU, the reference.
    Flex,
    /// burn-ndarray: the older CPU backend.
    NdArray,
    /// burn-wgpu with WGSL shaders on any graphics API.
    Wgpu,
    /// burn-wgpu with the SPIR-V compiler on Vulkan.
    Vulkan,
    /// burn-cuda on NVIDIA cards.
    Cuda,
}

impl Backend {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Flex, Self::NdArray, Self::Wgpu, Self::Vulkan, Self::Cuda];

    /// The name in configuration and on the command line; also the Cargo feature.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        }
    }

    /// Whether this build holds it.
    #[must_use]
    pub const fn compiled_in(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::NdArray => cfg!(feature = "ndarray"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    /// Whether it computes on the host's processor.
    #[must_use]
    pub const fn is_cpu(self) -> bool {
        matches!(self, Self::Flex | Self::NdArray)
    }

    /// Whether it runs the kernels of `kernel::cube`, where this build has them.
    #[must_use]
    pub const fn has_kernels(self) -> bool {
        matches!(self, Self::Wgpu | Self::Vulkan | Self::Cuda)
    }
}

/// Which of a backend's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// The best one.
    Default,
    /// The one with this index in the list that `burn-svm devices` prints.
    Index(usize),
    /// The software adapter of a graphics API (`wgpu:cpu`).
    Cpu,
}

/// A device as the user names it: `flex`, `ndarray`, `wgpu`, `wgpu:cpu`, `wgpu:0`, `vulkan`, `cuda:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName {
    /// Which backend.
    pub backend: Backend,
    /// Which of its devices.
    pub selector: Selector,
}

impl Default for DeviceName {
    fn default() -> Self {
        Self { backend: Backend::Flex, selector: Selector::Default }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.backend.name())?;
        match self.selector {
            Selector::Default => Ok(()),
            Selector::Index(i) => write!(f, ":{i}"),
            Selector::Cpu => f.write_str(":cpu"),
        }
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for DeviceName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "`{text}` is not a device: expected `flex`, `ndarray`, `wgpu`, `wgpu:cpu`, `wgpu:0`, `vulkan` or `cuda:0`"
            )
        };
        let (backend, selector) = text.split_once(':').map_or((text, None), |(b, s)| (b, Some(s)));
        let backend = Backend::ALL.into_iter().find(|b| b.name() == backend).ok_or_else(unknown)?;
        let selector = match selector {
            None => Selector::Default,
            Some(_) if backend.is_cpu() => return Err(unknown()),
            Some("cpu") if backend != Backend::Cuda => Selector::Cpu,
            Some(index) => Selector::Index(index.parse().map_err(|_| unknown())?),
        };
        Ok(Self { backend, selector })
    }
}

/// A device that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct DeviceError {
    /// The name that was asked for and the devices that exist.
    pub problem: String,
    /// Advice for the user.
    pub hint: String,
}

/// A device that is there.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// The Burn device, without autodiff.
    pub device: Device,
    /// As the user named it.
    pub name: DeviceName,
    /// The adapter's own name on a GPU backend.
    pub adapter: Option<String>,
}

impl OpenDevice {
    /// The name for reports: `flex`, or `wgpu:cpu (llvmpipe ...)`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.adapter {
            None => self.name.to_string(),
            Some(adapter) => format!("{} ({adapter})", self.name),
        }
    }

    /// True where the work is done by the host's processor behind a graphics API.
    #[must_use]
    pub fn is_software_adapter(&self) -> bool {
        !self.name.backend.is_cpu() && self.adapter.as_deref().is_some_and(is_software)
    }
}

fn is_software(adapter: &str) -> bool {
    let adapter = adapter.to_lowercase();
    ["llvmpipe", "swiftshader", "lavapipe", "basic render"].iter().any(|name| adapter.contains(name))
}

/// The CPU backend of this build, opened: flex, else ndarray, else none.
#[must_use]
pub fn open_cpu() -> Option<OpenDevice> {
    let backend = [Backend::Flex, Backend::NdArray].into_iter().find(|b| b.compiled_in())?;
    let name = DeviceName { backend, selector: Selector::Default };
    cpu().map(|device| OpenDevice { device, name, adapter: None })
}

/// The CPU backend of this build that is the f64 reference: flex, else ndarray, else none.
#[must_use]
pub fn cpu() -> Option<Device> {
    #[cfg(feature = "flex")]
    return Some(Device::flex());
    #[cfg(all(feature = "ndarray", not(feature = "flex")))]
    #[allow(deprecated)]
    return Some(Device::ndarray());
    #[cfg(not(any(feature = "flex", feature = "ndarray")))]
    None
}

/// Opens a device by name.
///
/// # Errors
/// When the backend is not compiled in, or this machine has no such device, driver or adapter.
pub fn open(name: DeviceName) -> Result<OpenDevice, DeviceError> {
    let backend = name.backend;
    if !backend.compiled_in() {
        return Err(DeviceError {
            problem: format!(
                "device `{name}`: the backend `{backend}` is not compiled into this build",
                backend = backend.name()
            ),
            hint: format!("compiled in: {}; build with `--features {}` for this one", compiled_in(), backend.name()),
        });
    }
    match backend {
        Backend::Flex => plain(name, flex()),
        Backend::NdArray => plain(name, ndarray()),
        Backend::Wgpu | Backend::Vulkan | Backend::Cuda => choose(name, adapters(backend)),
    }
}

/// The names of the backends in this build, comma-separated.
#[must_use]
pub fn compiled_in() -> String {
    let names: Vec<_> = Backend::ALL.into_iter().filter(|b| b.compiled_in()).map(Backend::name).collect();
    names.join(", ")
}

/// The devices of one backend on this machine, in the order of their indices, each with the adapter's name.
///
/// Empty for a backend that is not compiled in or finds no device; never panics.
#[must_use]
pub fn adapters(backend: Backend) -> Vec<(Device, String)> {
    quietly(|| enumerate(backend)).unwrap_or_default().into_iter().filter_map(with_identity).collect()
}

fn plain(name: DeviceName, device: Option<Device>) -> Result<OpenDevice, DeviceError> {
    device.map(|device| OpenDevice { device, name, adapter: None }).ok_or_else(|| DeviceError {
        problem: format!("device `{name}` cannot be opened"),
        hint: format!("compiled in: {}", compiled_in()),
    })
}

fn choose(name: DeviceName, adapters: Vec<(Device, String)>) -> Result<OpenDevice, DeviceError> {
    let found: Vec<String> = adapters.iter().enumerate().map(|(i, (_, a))| format!("{i} = {a}")).collect();
    let position = match name.selector {
        Selector::Default => {
            adapters.iter().position(|(_, a)| !is_software(a)).or(if adapters.is_empty() { None } else { Some(0) })
        }
        Selector::Index(i) => Some(i).filter(|&i| i < adapters.len()),
        Selector::Cpu => adapters.iter().position(|(_, a)| is_software(a)),
    };
    if let Some((device, adapter)) = position.and_then(|i| adapters.into_iter().nth(i)) {
        return Ok(OpenDevice { device, name, adapter: Some(adapter) });
    }
    let hint = match (name.backend, found.is_empty()) {
        (Backend::Cuda, true) => {
            "install the NVIDIA driver and the CUDA 12 run-time libraries, or use `--device flex`".into()
        }
        (_, true) => {
            "install a Vulkan driver (Debian: `mesa-vulkan-drivers`, which also brings a software adapter for \
                      `wgpu:cpu`), or use `--device flex`"
                .into()
        }
        (_, false) => format!("found: {}; `burn-svm devices` lists them", found.join(", ")),
    };
    Err(DeviceError { problem: format!("device `{name}`: this machine has no such adapter"), hint })
}

#[allow(clippy::unnecessary_wraps)]
fn flex() -> Option<Device> {
    #[cfg(feature = "flex")]
    return Some(Device::flex());
    #[cfg(not(feature = "flex"))]
    None
}

#[allow(clippy::unnecessary_wraps)]
fn ndarray() -> Option<Device> {
    #[cfg(feature = "ndarray")]
    #[allow(deprecated)]
    return Some(Device::ndarray());
    #[cfg(not(feature = "ndarray"))]
    None
}

fn enumerate(backend: Backend) -> Vec<Device> {
    match backend {
        Backend::Flex => flex().into_iter().collect(),
        Backend::NdArray => ndarray().into_iter().collect(),
        #[cfg(feature = "wgpu")]
        Backend::Wgpu => Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec(),
        #[cfg(feature = "vulkan")]
        Backend::Vulkan => Device::enumerate(burn::tensor::DeviceType::Vulkan).into_vec(),
        #[cfg(feature = "cuda")]
        Backend::Cuda => Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec(),
        #[cfg(not(all(feature = "wgpu", feature = "vulkan", feature = "cuda")))]
        #[allow(unreachable_patterns)]
        Backend::Wgpu | Backend::Vulkan | Backend::Cuda => Vec::new(),
    }
}

/// The adapter's name; opening it shows whether the driver works.
fn with_identity(device: Device) -> Option<(Device, String)> {
    #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
    {
        let name = quietly(|| device.identity().map(|identity| identity.name.to_string()))?;
        let name = name.unwrap_or_else(|| "unnamed adapter".to_owned());
        Some((device, name))
    }
    #[cfg(not(any(feature = "wgpu", feature = "vulkan", feature = "cuda")))]
    Some((device, String::new()))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs driver code that may panic inside Burn; `None` when it did. Of a panic in this thread nothing reaches stderr.
fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    caught(work).ok()
}

/// Runs work on a device. Burn panics where a driver fails or an adapter is lost: the first line of its message is the error.
/// A panic on the processor is a mistake of this program, and stays one.
///
/// # Errors
/// The message of the panic.
pub fn guarded<T>(device: &OpenDevice, work: impl FnOnce() -> T) -> Result<T, String> {
    if device.name.backend.is_cpu() {
        return Ok(work());
    }
    caught(work).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let first = text.and_then(|text| text.lines().next().map(str::to_owned));
        first.filter(|line| !line.is_empty()).unwrap_or_else(|| "it does not say why".into())
    })
}

fn caught<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    // One hook for the whole process: taking it out and putting it back would race with other threads.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                previous(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    result
}

/// Threads a core that the environment may ask for.
const MOST_A_CORE: usize = 4;

/// The threads that the system was willing to give, where those were fewer than were asked for.
static GIVEN: AtomicUsize = AtomicUsize::new(usize::MAX);

/// As many threads as are asked for, or as the system has turned out to give.
#[must_use]
pub fn at_most(threads: usize) -> usize {
    threads.min(GIVEN.load(Ordering::Relaxed))
}

/// Sets how many threads the CPU backends use, once a process, before the first tensor. 0 stands for what `RAYON_NUM_THREADS` says, up
/// to four a core, else for all cores. Where the system gives fewer, it is those, and at the least the thread that asks.
///
/// # Errors
/// When the thread pool is already running.
pub fn set_threads(threads: usize) -> Result<(), DeviceError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let of_environment = || std::env::var("RAYON_NUM_THREADS").ok()?.trim().parse().ok().filter(|&n: &usize| n > 0);
    let wanted = match threads {
        0 => of_environment().map_or(cores, |n| n.min(MOST_A_CORE * cores)),
        n => n,
    };
    // Rayon starts its threads itself, and has no pool at all where the system refuses one of them: so they are there before.
    let waiting: Vec<Sender<rayon::ThreadBuilder>> = (0..wanted).map_while(|_| worker()).collect();
    let builder = rayon::ThreadPoolBuilder::new().num_threads(waiting.len().max(1));
    let given = waiting.len();
    let built = if given == 0 {
        builder.use_current_thread().build_global()
    } else {
        let mut waiting = waiting.into_iter();
        let start = move |thread| {
            let worker = waiting.next().and_then(|worker| worker.send(thread).ok());
            worker.ok_or_else(|| std::io::Error::other("there is no thread"))
        };
        builder.spawn_handler(start).build_global()
    };
    if built.is_ok() && given < wanted {
        GIVEN.store(given.max(1), Ordering::Relaxed);
    }
    built.map_err(|error| DeviceError {
        problem: format!("cannot use {threads} threads: {error}"),
        hint: "set the number of threads once, before the first computation".into(),
    })
}

/// A thread that joins the pool on request; `None` if the system gives none.
fn worker() -> Option<Sender<rayon::ThreadBuilder>> {
    let (sender, receiver) = channel::<rayon::ThreadBuilder>();
    let life = move || receiver.recv().map_or((), rayon::ThreadBuilder::run);
    std::thread::Builder::new().spawn(life).ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for text in ["flex", "ndarray", "wgpu", "wgpu:cpu", "wgpu:0", "vulkan", "vulkan:1", "cuda:0"] {
            assert_eq!(text.parse::<DeviceName>().map(|d| d.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_list() {
        for text in ["", "gpu", "flex:0", "cuda:cpu", "wgpu:", "wgpu:-1", "wgpu:x"] {
            let error = text.parse::<DeviceName>().unwrap_err();
            assert!(error.contains("expected `flex`"), "{error}");
        }
    }

    #[test]
    fn a_backend_that_is_not_compiled_in_says_how_to_get_it() {
        let Some(missing) = Backend::ALL.into_iter().find(|b| !b.compiled_in()) else {
            println!("skipped: every backend is compiled in");
            return;
        };
        let error = open(DeviceName { backend: missing, selector: Selector::Default }).unwrap_err();
        assert!(error.problem.contains("not compiled into this build"), "{error}");
        assert!(error.hint.contains(&format!("--features {}", missing.name())), "{}", error.hint);
    }
}
