//! The official files of known data sets: where they are, how long, their sums, and how they are downloaded.
//!
//! A file is downloaded as `NAME.part`, resumes from there after an interruption, and gets its name only when its length and
//! SHA-256 are right. One process at a time downloads into a folder; others wait. Imports `durable` only.

#[cfg(feature = "fetch")]
mod download;
#[cfg(feature = "fetch")]
mod unpack;

#[cfg(feature = "fetch")]
pub use download::Fetcher;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A data set that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FetchName {
    /// Handwritten digits: Y. LeCun, C. Cortes, C. Burges.
    Mnist,
    /// Articles of clothing: Zalando Research.
    FashionMnist,
    /// Photographs of ten kinds of things, binary version: A. Krizhevsky.
    Cifar10,
}

/// One file as its publisher keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name, also below each address.
    pub name: &'static str,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal digits.
    pub sha256: &'static str,
}

/// A data set: its folder below `data`, the addresses of its files in the order in which they are tried, and the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteSet {
    /// The folder that `fetch` makes, as the configurations name it.
    pub folder: &'static str,
    /// Each holds all files.
    pub addresses: &'static [&'static str],
    /// Files to download.
    pub files: &'static [RemoteFile],
    /// Files in an archive that are unpacked to `folder`, with lengths (0: any); empty if the files are used as they are.
    pub unpacked: &'static [(&'static str, u64)],
}

const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> RemoteFile {
    RemoteFile { name, bytes, sha256 }
}

const MNIST: RemoteSet = RemoteSet {
    folder: "mnist",
    addresses: &["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"],
    files: &[
        file(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        file("train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        file(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        file("t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ],
    unpacked: &[],
};

const FASHION_MNIST: RemoteSet = RemoteSet {
    folder: "fashion-mnist",
    addresses: &[
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    ],
    files: &[
        file(
            "train-images-idx3-ubyte.gz",
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        file("train-labels-idx1-ubyte.gz", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        file(
            "t10k-images-idx3-ubyte.gz",
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        file("t10k-labels-idx1-ubyte.gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ],
    unpacked: &[],
};

/// 10,000 records of a label and 3,072 pixels.
const CIFAR_BATCH: u64 = 10_000 * 3_073;

const CIFAR10: RemoteSet = RemoteSet {
    folder: "cifar-10-batches-bin",
    addresses: &["https://www.cs.toronto.edu/~kriz"],
    files: &[file(
        "cifar-10-binary.tar.gz",
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    )],
    unpacked: &[
        ("batches.meta.txt", 0),
        ("data_batch_1.bin", CIFAR_BATCH),
        ("data_batch_2.bin", CIFAR_BATCH),
        ("data_batch_3.bin", CIFAR_BATCH),
        ("data_batch_4.bin", CIFAR_BATCH),
        ("data_batch_5.bin", CIFAR_BATCH),
        ("test_batch.bin", CIFAR_BATCH),
    ],
};

impl FetchName {
    /// Addresses and expected files.
    #[must_use]
    pub const fn set(self) -> &'static RemoteSet {
        match self {
            Self::Mnist => &MNIST,
            Self::FashionMnist => &FASHION_MNIST,
            Self::Cifar10 => &CIFAR10,
        }
    }

    /// The data set whose files a path that is not there asks for, by the folder's name as `fetch` makes it.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let folders = path.components().rev().take(2).filter_map(|part| part.as_os_str().to_str());
        let mut folders =
            folders.map(|part| Self::value_variants().iter().copied().find(|name| name.set().folder == part));
        folders.find_map(|name| name)
    }
}

impl fmt::Display for FetchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().as_ref().map_or("", PossibleValue::get_name))
    }
}

/// Why a data set could not be fetched. Nothing stands under a final name that is not whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No address gave the file.
    #[error("{name}: {reasons}")]
    Remote {
        /// The file.
        name: String,
        /// The failure at each address.
        reasons: String,
    },
    /// A file of that name is there, but it is another one.
    #[error("{file}: is there already, but {problem}")]
    Other {
        /// The file.
        file: PathBuf,
        /// The difference.
        problem: String,
    },
    /// The program cannot download.
    #[error("{name}: this program was built without the feature `fetch`")]
    NotCompiledIn {
        /// The data set that was asked for.
        name: FetchName,
    },
    /// The system refused.
    #[error("{file}: {source}")]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
}

impl FetchError {
    /// Advice for the user.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Remote { .. } => "is the network there? The same command resumes where this one ended",
            Self::Other { .. } => "move it away, or name another folder with --dir",
            Self::NotCompiledIn { .. } => "build it with `--features fetch`, which is on by default",
            Self::Io { .. } => "--dir is a folder that can be written; `data` by default",
        }
    }
}

/// Progress of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent<'a> {
    /// Another process is downloading into the folder; this one waits for it.
    Waiting(&'a Path),
    /// The file is there already, and is right.
    Present(&'a Path),
    /// The first bytes arrive, or those behind `done` that were there.
    Begin {
        /// Its name.
        name: &'a str,
        /// Bytes that are there.
        done: u64,
        /// Its length.
        total: u64,
        /// The address of the download.
        address: &'a str,
    },
    /// So many bytes are there now.
    Bytes(u64),
    /// An address failed; the next one is tried, if there is one.
    Failed(&'a str),
    /// An archive is being unpacked.
    Unpacking(&'a Path),
    /// The file or folder is complete under its name.
    Complete(&'a Path),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        for name in FetchName::value_variants() {
            assert_eq!(FetchName::from_str(&name.to_string(), false), Ok(*name));
            let set = name.set();
            assert!(set.addresses.iter().all(|a| a.starts_with("https://") && !a.ends_with('/')));
            for file in set.files {
                assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
                assert!(file.bytes > 0 && !file.name.contains('/'));
            }
        }
    }

    #[test]
    fn a_missing_path_names_its_data_set() {
        let of = |path: &str| FetchName::of_path(Path::new(path));
        assert_eq!(of("data/mnist/train-images-idx3-ubyte.gz"), Some(FetchName::Mnist));
        assert_eq!(of("/x/fashion-mnist/t10k-labels-idx1-ubyte.gz"), Some(FetchName::FashionMnist));
        assert_eq!(of("data/cifar-10-batches-bin"), Some(FetchName::Cifar10));
        assert_eq!(of("data/my-mnist/train"), None);
        assert_eq!(of("mnist/a/b"), None);
        assert_eq!(of(""), None);
    }
}
