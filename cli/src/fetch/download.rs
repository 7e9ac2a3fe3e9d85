//! One file after another over HTTPS, resumed where it ended, under its name only when its sum is right.

use super::{FetchError, FetchEvent, FetchName, RemoteFile, RemoteSet, unpack};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::{StatusCode, header};

/// Rounds over the addresses; the bytes received are kept between them.
const ROUNDS: usize = 2;
const BLOCK: usize = 1 << 16;
/// Bytes a second below which a server stalls, however regularly it sends.
const SLOWEST: u64 = 64;

/// Downloads data sets.
#[derive(Debug)]
pub struct Fetcher {
    agent: Agent,
    /// Time for which a server may send nothing, or next to nothing.
    patience: Duration,
    /// Instead of the official addresses; tests only.
    addresses: Option<Vec<String>>,
}

/// Why one address did not give a file.
enum AttemptError {
    /// The address is to blame: another one may do.
    Remote(String),
    /// This machine is to blame.
    Local(FetchError),
}

impl From<String> for AttemptError {
    fn from(reason: String) -> Self {
        Self::Remote(reason)
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        let patience = Duration::from_secs(30);
        Self { agent: agent(patience, true), patience, addresses: None }
    }
}

fn agent(patience: Duration, https_only: bool) -> Agent {
    let config = Agent::config_builder()
        .https_only(https_only)
        .http_status_as_error(false)
        .max_redirects(5)
        .user_agent(concat!("burn-svm/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_per_read(Some(patience));
    let config = if https_only { config } else { config.proxy(None) };
    config.build().into()
}

fn io_error(file: &Path) -> impl Fn(io::Error) -> FetchError + '_ {
    move |source| FetchError::Io { file: file.to_path_buf(), source }
}

impl Fetcher {
    /// Over the official addresses, HTTPS only, redirects included.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From servers of a test, without TLS, waiting for `patience` at most.
    #[doc(hidden)]
    #[must_use]
    pub fn from_test_servers(addresses: Vec<String>, patience: Duration) -> Self {
        Self { agent: agent(patience, false), patience, addresses: Some(addresses) }
    }

    /// Fetches a data set into its folder below `dir` and gives that folder.
    ///
    /// # Errors
    /// [`FetchError`]; the bytes received stay next to the final name as `.part`, and the next call resumes there.
    pub fn fetch(
        &self,
        name: FetchName,
        dir: &Path,
        observer: &mut dyn FnMut(FetchEvent<'_>),
    ) -> Result<PathBuf, FetchError> {
        self.fetch_set(name.set(), dir, observer)
    }

    /// As [`Fetcher::fetch`], for any table of files.
    ///
    /// # Errors
    /// As there.
    #[doc(hidden)]
    pub fn fetch_set(
        &self,
        set: &RemoteSet,
        dir: &Path,
        observer: &mut dyn FnMut(FetchEvent<'_>),
    ) -> Result<PathBuf, FetchError> {
        let folder = dir.join(set.folder);
        if !set.unpacked.is_empty() && unpack::check(set, &folder)? {
            observer(FetchEvent::Present(&folder));
            return Ok(folder);
        }
        let into = if set.unpacked.is_empty() { folder.as_path() } else { dir };
        fs::create_dir_all(into).map_err(io_error(into))?;
        let _held = hold(into, observer).map_err(io_error(into))?;
        // It may have been unpacked while this process waited.
        if !set.unpacked.is_empty() && unpack::check(set, &folder)? {
            observer(FetchEvent::Present(&folder));
            return Ok(folder);
        }
        for file in set.files {
            self.fetch_file(set, file, into, observer)?;
        }
        if !set.unpacked.is_empty() {
            for file in set.files {
                let archive = into.join(file.name);
                observer(FetchEvent::Unpacking(&archive));
                unpack::unpack(set, &archive, &folder)?;
                fs::remove_file(&archive).map_err(io_error(&archive))?;
            }
            observer(FetchEvent::Complete(&folder));
        }
        Ok(folder)
    }

    fn fetch_file(
        &self,
        set: &RemoteSet,
        file: &RemoteFile,
        into: &Path,
        observer: &mut dyn FnMut(FetchEvent<'_>),
    ) -> Result<(), FetchError> {
        let path = into.join(file.name);
        if path.exists() {
            if let Some(problem) = differs(&path, file)? {
                return Err(FetchError::Other { file: path, problem });
            }
            observer(FetchEvent::Present(&path));
            return Ok(());
        }
        let part = into.join(format!("{}.part", file.name));
        of_one_name(&part)?;
        let official: Vec<String> = set.addresses.iter().map(|&a| a.to_owned()).collect();
        let addresses = self.addresses.as_ref().unwrap_or(&official);
        let mut reasons: Vec<String> = Vec::new();
        for address in (0..ROUNDS).flat_map(|_| addresses) {
            let tried = self.download(address, file, &part, observer).and_then(|()| {
                match differs(&part, file).map_err(AttemptError::Local)? {
                    None => Ok(()),
                    Some(problem) => {
                        fs::remove_file(&part).map_err(io_error(&part)).map_err(AttemptError::Local)?;
                        Err(AttemptError::Remote(problem))
                    }
                }
            });
            match tried {
                Ok(()) => {
                    fs::rename(&part, &path).map_err(io_error(&path))?;
                    observer(FetchEvent::Complete(&path));
                    return Ok(());
                }
                Err(AttemptError::Local(error)) => return Err(error),
                Err(AttemptError::Remote(reason)) => {
                    let reason = format!("{}: {reason}", host(address));
                    observer(FetchEvent::Failed(&reason));
                    if !reasons.contains(&reason) {
                        reasons.push(reason);
                    }
                }
            }
        }
        Err(FetchError::Remote { name: file.name.into(), reasons: reasons.join("; ") })
    }

    /// Downloads the rest of `part`.
    fn download(
        &self,
        address: &str,
        file: &RemoteFile,
        part: &Path,
        observer: &mut dyn FnMut(FetchEvent<'_>),
    ) -> Result<(), AttemptError> {
        let local = |source| AttemptError::Local(FetchError::Io { file: part.to_path_buf(), source });
        let there = fs::metadata(part).map_or(0, |m| m.len());
        if there == file.bytes {
            return Ok(());
        }
        let done = if there > file.bytes { 0 } else { there };
        let mut request = self.agent.get(format!("{address}/{}", file.name));
        if done > 0 {
            request = request.header(header::RANGE, format!("bytes={done}-"));
        }
        let response = request.call().map_err(|e| e.to_string())?;
        let status = response.status();
        let done = match status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if done > 0 => {
                let range =
                    response.headers().get(header::CONTENT_RANGE).and_then(|v| v.to_str().ok()).unwrap_or("nothing");
                let expected = format!("bytes {done}-{}/{}", file.bytes - 1, file.bytes);
                if range != expected {
                    return Err(format!("the server sends `{range}`, expected `{expected}`").into());
                }
                done
            }
            other => {
                // The server may object to the part that is there.
                if other == StatusCode::RANGE_NOT_SATISFIABLE {
                    fs::remove_file(part).map_err(local)?;
                }
                return Err(format!("the server says {other}").into());
            }
        };
        let mut body = response.into_body();
        if let Some(length) = body.content_length().filter(|length| done + length != file.bytes) {
            return Err(format!("the server has {} bytes, expected {}", done + length, file.bytes).into());
        }
        let mut out = OpenOptions::new().create(true).append(true).open(part).map_err(local)?;
        out.set_len(done).map_err(local)?;
        observer(FetchEvent::Begin { name: file.name, done, total: file.bytes, address });
        receive(&mut body.as_reader(), &mut out, done, file, self.patience, observer)
            .and_then(|()| out.sync_all().map_err(local))
            .map_err(|trouble| match trouble {
                AttemptError::Local(FetchError::Io { source, .. }) => local(source),
                other => other,
            })
    }
}

/// Holds a folder, so that no other process downloads into it until this one has ended, in whatever way. Waits for one that does.
#[cfg(unix)]
fn hold(folder: &Path, observer: &mut dyn FnMut(FetchEvent<'_>)) -> io::Result<Option<File>> {
    let held = File::open(folder)?;
    match held.try_lock() {
        Ok(()) => Ok(Some(held)),
        Err(fs::TryLockError::WouldBlock) => {
            observer(FetchEvent::Waiting(folder));
            held.lock()?;
            Ok(Some(held))
        }
        // A file system without locks has none to wait for.
        Err(fs::TryLockError::Error(_)) => Ok(None),
    }
}

/// Folders cannot be held here.
#[cfg(not(unix))]
fn hold(_: &Path, _: &mut dyn FnMut(FetchEvent<'_>)) -> io::Result<Option<File>> {
    Ok(None)
}

/// Makes sure that a partial file is no other file under another name: a link, symbolic or hard, is taken away, and what it leads to is not
/// written.
fn of_one_name(part: &Path) -> Result<(), FetchError> {
    let Ok(metadata) = fs::symlink_metadata(part) else { return Ok(()) };
    #[cfg(unix)]
    let names = std::os::unix::fs::MetadataExt::nlink(&metadata);
    #[cfg(not(unix))]
    let names = 1;
    if metadata.is_symlink() || (metadata.is_file() && names > 1) {
        return fs::remove_file(part).map_err(io_error(part));
    }
    if metadata.is_file() { Ok(()) } else { Err(no_file(part)) }
}

fn no_file(path: &Path) -> FetchError {
    FetchError::Other { file: path.to_path_buf(), problem: "it is no file".into() }
}

/// Copies the body to the file, at most as many bytes as the file has.
fn receive(
    body: &mut dyn Read,
    out: &mut File,
    mut done: u64,
    file: &RemoteFile,
    patience: Duration,
    observer: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<(), AttemptError> {
    let mut block = vec![0; BLOCK];
    let (mut watched, mut before) = (Instant::now(), done);
    loop {
        let n = match body.read(&mut block) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(format!("ended after {done} of {} bytes: {e}", file.bytes).into()),
        };
        if n == 0 {
            break;
        }
        if done + n as u64 > file.bytes {
            out.set_len(0).map_err(|source| AttemptError::Local(FetchError::Io { file: PathBuf::new(), source }))?;
            return Err(format!("the server sends more than the {} bytes of the file", file.bytes).into());
        }
        out.write_all(&block[..n])
            .map_err(|source| AttemptError::Local(FetchError::Io { file: PathBuf::new(), source }))?;
        done += n as u64;
        observer(FetchEvent::Bytes(done));
        if watched.elapsed() > 2 * patience {
            if done - before < SLOWEST * 2 * patience.as_secs().max(1) {
                return Err(format!("ended after {done} of {} bytes: next to nothing arrives", file.bytes).into());
            }
            (watched, before) = (Instant::now(), done);
        }
    }
    if done < file.bytes {
        return Err(format!("ended after {done} of {} bytes", file.bytes).into());
    }
    Ok(())
}

/// The difference between a file on the disk and the official one, if any.
fn differs(path: &Path, file: &RemoteFile) -> Result<Option<String>, FetchError> {
    let io = io_error(path);
    // A pipe would be waited for.
    if !fs::metadata(path).map_err(&io)?.is_file() {
        return Ok(Some("it is no file".into()));
    }
    let mut input = File::open(path).map_err(&io)?;
    let length = input.metadata().map_err(&io)?.len();
    if length != file.bytes {
        return Ok(Some(format!("it has {length} bytes, expected {}", file.bytes)));
    }
    let mut sum = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        let n = input.read(&mut block).map_err(&io)?;
        if n == 0 {
            break;
        }
        sum.update(&block[..n]);
    }
    let found: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((found != file.sha256).then(|| format!("its SHA-256 is {found}, expected {}", file.sha256)))
}

/// The host of an address, for messages.
fn host(address: &str) -> &str {
    address.split("://").last().and_then(|rest| rest.split('/').next()).unwrap_or(address)
}
