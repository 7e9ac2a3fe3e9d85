//! Downloads from servers on the loopback that behave well, and from those that do not: nothing bad gets the final name.

use crate::program::Desk;
use burn_svm_cli::fetch::{FetchError, FetchEvent, Fetcher, RemoteFile, RemoteSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(400);

/// `0123456789` a thousand times; the sum is that of `sha256sum`.
fn content() -> Vec<u8> {
    b"0123456789".repeat(1000)
}

const SET: RemoteSet = RemoteSet {
    folder: "digits",
    addresses: &[],
    files: &[RemoteFile {
        name: "file.gz",
        bytes: 10_000,
        sha256: "4c207598af7a20db0e3334dd044399a40e467cb81b37f7ba05a4f76dcbd8fd59",
    }],
    unpacked: &[],
};

/// Answer of a server to a request whose `Range` begins at the byte.
type Answer = fn(&mut TcpStream, Option<usize>);

/// A server on the loopback; gives its address, and notes where each request begins.
fn serve(answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<Option<usize>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    thread::spawn(move || {
        for (i, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut begins = None;
            for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                if line.is_empty() {
                    break;
                }
                let line = line.to_ascii_lowercase();
                if let Some(range) = line.strip_prefix("range: bytes=") {
                    begins = range.trim_end_matches('-').parse().ok();
                }
            }
            log.lock().unwrap().push(begins);
            answers[i.min(answers.len() - 1)](&mut stream, begins);
        }
    });
    (address, seen)
}

fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    // The client may have gone: that is its right.
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(body);
    let _ = stream.flush();
}

fn well(stream: &mut TcpStream, begins: Option<usize>) {
    let all = content();
    match begins {
        None => send(stream, "200 OK\r\nContent-Length: 10000", &all),
        Some(at) => {
            let head = format!(
                "206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {at}-9999/10000",
                10_000 - at
            );
            send(stream, &head, &all[at..]);
        }
    }
}

fn ignores_range(stream: &mut TcpStream, _: Option<usize>) {
    well(stream, None);
}

fn closes_early(stream: &mut TcpStream, begins: Option<usize>) {
    let at = begins.unwrap_or(0);
    let head = if at == 0 {
        "200 OK\r\nContent-Length: 10000".to_owned()
    } else {
        format!("206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {at}-9999/10000", 10_000 - at)
    };
    send(stream, &head, &content()[at..at + 3000]);
}

fn without_length_and_short(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "200 OK", &content()[..4000]);
}

fn stalls(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "200 OK\r\nContent-Length: 10000", &content()[..2000]);
    thread::sleep(PATIENCE * 10);
}

/// A byte now and then: no single wait is long.
fn drips(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "200 OK\r\nContent-Length: 10000", b"");
    for byte in content() {
        if stream.write_all(&[byte]).is_err() {
            return;
        }
        thread::sleep(PATIENCE / 4);
    }
}

fn chunked_and_cut(stream: &mut TcpStream, _: Option<usize>) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\nfffffff\r\n56789");
}

fn chunked_without_sense(stream: &mut TcpStream, _: Option<usize>) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n01234");
}

fn endless_headers(stream: &mut TcpStream, _: Option<usize>) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
    let line = format!("X-Padding: {}\r\n", "x".repeat(1000));
    while stream.write_all(line.as_bytes()).is_ok() {}
}

fn lies_about_its_encoding(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "200 OK\r\nContent-Length: 10000\r\nContent-Encoding: gzip", &content()[..5000]);
}

fn says_nothing(_: &mut TcpStream, _: Option<usize>) {
    thread::sleep(PATIENCE * 10);
}

fn another_file(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "200 OK\r\nContent-Length: 10000", &[b'x'; 10_000]);
}

fn another_length(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "200 OK\r\nContent-Length: 12", b"<html></html");
}

fn endless(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "200 OK", &content().repeat(3));
}

fn another_range(stream: &mut TcpStream, begins: Option<usize>) {
    match begins {
        None => well(stream, None),
        Some(_) => send(
            stream,
            "206 Partial Content\r\nContent-Length: 9999\r\nContent-Range: bytes 1-9999/10000",
            &content()[1..],
        ),
    }
}

fn not_found(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "404 Not Found\r\nContent-Length: 4", b"gone");
}

fn broken(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "500 Internal Server Error\r\nContent-Length: 0", b"");
}

fn no_such_range(stream: &mut TcpStream, begins: Option<usize>) {
    match begins {
        None => well(stream, None),
        Some(_) => send(stream, "416 Range Not Satisfiable\r\nContent-Length: 0", b""),
    }
}

fn not_http(stream: &mut TcpStream, _: Option<usize>) {
    let _ = stream.write_all(b"SSH-2.0-nonsense\r\n\r\n");
}

fn redirects_for_ever(stream: &mut TcpStream, _: Option<usize>) {
    send(stream, "302 Found\r\nLocation: /file.gz\r\nContent-Length: 0", b"");
}

struct Outcome {
    result: Result<PathBuf, FetchError>,
    failures: Vec<String>,
    begun: Vec<u64>,
}

fn fetch(desk: &Desk, addresses: &[&str]) -> Outcome {
    let fetcher = Fetcher::from_test_servers(addresses.iter().map(|&a| a.to_owned()).collect(), PATIENCE);
    let (mut failures, mut begun) = (Vec::new(), Vec::new());
    let result = fetcher.fetch_set(&SET, &desk.path("data"), &mut |event| match event {
        FetchEvent::Failed(reason) => failures.push(reason.to_owned()),
        FetchEvent::Begin { done, .. } => begun.push(done),
        _ => {}
    });
    Outcome { result, failures, begun }
}

fn assert_whole(desk: &Desk, outcome: &Outcome) {
    assert_eq!(outcome.result.as_ref().unwrap(), &desk.path("data/digits"));
    assert!(desk.bytes("data/digits/file.gz") == content());
    assert!(!desk.path("data/digits/file.gz.part").exists());
}

#[test]
fn a_good_server_is_asked_once() {
    let desk = Desk::new();
    let (address, seen) = serve(vec![well]);
    assert_whole(&desk, &fetch(&desk, &[&address]));
    assert_eq!(*seen.lock().unwrap(), [None]);
    // A right file is not fetched again.
    let again = fetch(&desk, &["http://127.0.0.1:1"]);
    assert!(again.result.is_ok() && again.failures.is_empty());
}

#[test]
fn nothing_bad_gets_the_final_name() {
    for (what, answer, reason, left) in [
        ("closes", closes_early as Answer, "ended after 3000 of 10000 bytes", Some(6000)),
        ("no length, too short", without_length_and_short, "ended after 4000 of 10000 bytes", Some(4000)),
        ("stalls", stalls, "ended after 2000 of 10000 bytes: timeout", Some(2000)),
        ("chunks, cut off", chunked_and_cut, "ended after 10 of 10000 bytes", Some(10)),
        ("chunks without sense", chunked_without_sense, "ended after 0 of 10000 bytes", Some(0)),
        ("endless headers", endless_headers, "", None),
        ("an encoding that was not asked for", lies_about_its_encoding, "ended after ", Some(5000)),
        ("says nothing", says_nothing, "timeout", None),
        ("another file", another_file, "its SHA-256 is ", None),
        ("another length", another_length, "the server has 12 bytes, expected 10000", None),
        ("endless", endless, "the server sends more than the 10000 bytes of the file", Some(0)),
        ("404", not_found, "the server says 404 Not Found", None),
        ("500", broken, "the server says 500 Internal Server Error", None),
        ("not http", not_http, "", None),
        ("redirects for ever", redirects_for_ever, "redirect", None),
    ] {
        let desk = Desk::new();
        let (address, _) = serve(vec![answer]);
        let outcome = fetch(&desk, &[&address]);
        let error = outcome.result.unwrap_err();
        let host = address.strip_prefix("http://").unwrap();
        assert!(error.to_string().starts_with(&format!("file.gz: {host}: ")), "{what}: {error}");
        assert!(error.to_string().contains(reason), "{what}: {error}");
        assert!(!desk.path("data/digits/file.gz").exists(), "{what}");
        let part = std::fs::metadata(desk.path("data/digits/file.gz.part")).ok().map(|m| m.len());
        assert_eq!(part, left, "{what}");
        // Whatever was left behind, a good server completes it.
        let (good, _) = serve(vec![well]);
        assert_whole(&desk, &fetch(&desk, &[&good]));
    }
}

#[test]
fn a_server_that_drips_is_given_up() {
    let desk = Desk::new();
    let (slow, _) = serve(vec![drips]);
    let (good, _) = serve(vec![well]);
    let outcome = fetch(&desk, &[&slow, &good]);
    assert!(outcome.failures[0].contains("of 10000 bytes: next to nothing arrives"), "{:?}", outcome.failures);
    assert_whole(&desk, &outcome);
    assert!(outcome.begun[1] > 3, "what dripped in is kept: {:?}", outcome.begun);
}

/// A link under the name of a half file would make the download write where the link points.
#[test]
#[cfg(unix)]
fn a_link_is_not_written_through() {
    let desk = Desk::new();
    desk.write("precious", "mine").write("data/digits/other", "");
    std::os::unix::fs::symlink(desk.path("precious"), desk.path("data/digits/file.gz.part")).unwrap();
    let (address, _) = serve(vec![well]);
    assert_whole(&desk, &fetch(&desk, &[&address]));
    assert_eq!(desk.read("precious"), "mine");
}

/// A hard link is another name of a foreign file; a pipe or a folder is no partial file.
#[test]
#[cfg(unix)]
fn a_file_of_another_name_is_not_written_through() {
    let desk = Desk::new();
    desk.write("precious", &content()[..3000]).write("data/digits/other", "");
    std::fs::hard_link(desk.path("precious"), desk.path("data/digits/file.gz.part")).unwrap();
    let (address, _) = serve(vec![well]);
    assert_whole(&desk, &fetch(&desk, &[&address]));
    assert_eq!(desk.bytes("precious"), &content()[..3000]);
    for name in ["file.gz.part", "file.gz"] {
        let desk = Desk::new();
        std::fs::create_dir_all(desk.path("data/digits")).unwrap();
        let path = desk.path("data/digits").join(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        if !made.is_ok_and(|status| status.success()) {
            println!("skipped: there is no `mkfifo`");
            return;
        }
        let error = fetch(&desk, &["http://127.0.0.1:1"]).result.unwrap_err().to_string();
        assert!(error.ends_with(&format!("{name}: is there already, but it is no file")), "{error}");
        assert!(!std::fs::symlink_metadata(&path).unwrap().is_file());
    }
}

/// Of several that download into one folder one does it, and the others wait; a process that has ended holds no lock.
#[test]
#[cfg(unix)]
fn downloads_into_one_folder_come_one_after_another() {
    for round in 0..20 {
        let desk = Desk::new();
        let slow: Answer = |stream, begins| {
            thread::sleep(Duration::from_millis(20));
            well(stream, begins);
        };
        let (address, seen) = serve(vec![slow]);
        let outcomes: Vec<Outcome> = thread::scope(|scope| {
            let started: Vec<_> = (0..3).map(|_| scope.spawn(|| fetch(&desk, &[&address]))).collect();
            started.into_iter().map(|fetching| fetching.join().unwrap()).collect()
        });
        for outcome in &outcomes {
            assert_whole(&desk, outcome);
            assert!(outcome.failures.is_empty(), "round {round}: {:?}", outcome.failures);
        }
        assert_eq!(*seen.lock().unwrap(), [None], "round {round}");
    }
    // One that waits says so.
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("data/digits")).unwrap();
    let held = std::fs::File::open(desk.path("data/digits")).unwrap();
    held.lock().unwrap();
    let (address, _) = serve(vec![well]);
    let fetcher = Fetcher::from_test_servers(vec![address], PATIENCE);
    let mut waited = 0;
    let mut held = Some(held);
    let fetched = fetcher.fetch_set(&SET, &desk.path("data"), &mut |event| {
        if let FetchEvent::Waiting(folder) = event {
            assert_eq!(folder, desk.path("data/digits"));
            waited += 1;
            held = None;
        }
    });
    assert_eq!((fetched.unwrap(), waited), (desk.path("data/digits"), 1));
}

/// A file or folder under the name that an archive is unpacked to is looked at first.
#[test]
fn somebodys_folder_is_not_unpacked_into() {
    let desk = Desk::new();
    desk.write("data/cifar-10-batches-bin.part/thesis.tex", "mine");
    let set = RemoteSet { folder: "cifar-10-batches-bin", unpacked: &[("one.bin", 5)], ..SET };
    let (address, _) = serve(vec![well]);
    let fetcher = Fetcher::from_test_servers(vec![address], PATIENCE);
    let error = fetcher.fetch_set(&set, &desk.path("data"), &mut |_| {}).unwrap_err().to_string();
    assert!(error.ends_with("it holds `thesis.tex`, which is not of the data set"), "{error}");
    assert_eq!(desk.read("data/cifar-10-batches-bin.part/thesis.tex"), "mine");
}

#[test]
fn an_interrupted_download_goes_on_where_it_ended() {
    let desk = Desk::new();
    let (address, seen) = serve(vec![closes_early, well]);
    let outcome = fetch(&desk, &[&address]);
    assert_whole(&desk, &outcome);
    assert_eq!(*seen.lock().unwrap(), [None, Some(3000)]);
    assert_eq!(outcome.begun, [0, 3000]);
}

#[test]
fn servers_that_cannot_resume_start_again() {
    for (answer, requests) in [
        (ignores_range as Answer, vec![Some(3000)]),
        (no_such_range, vec![Some(3000), None]),
        (another_range, vec![Some(3000), Some(3000)]),
    ] {
        let desk = Desk::new();
        desk.write("data/digits/file.gz.part", &content()[..3000]);
        let (address, seen) = serve(vec![answer]);
        let outcome = fetch(&desk, &[&address]);
        assert_eq!(*seen.lock().unwrap(), requests);
        if answer as usize == another_range as Answer as usize {
            let error = outcome.result.unwrap_err().to_string();
            assert!(error.ends_with("sends `bytes 1-9999/10000`, expected `bytes 3000-9999/10000`"), "{error}");
            assert_eq!(desk.bytes("data/digits/file.gz.part"), &content()[..3000]);
        } else {
            assert_whole(&desk, &outcome);
        }
    }
}

#[test]
fn a_wrong_beginning_is_thrown_away() {
    let desk = Desk::new();
    for part in [vec![b'x'; 3000], vec![b'x'; 10_000], vec![b'x'; 20_000]] {
        desk.write("data/digits/file.gz.part", &part);
        let (address, _) = serve(vec![well]);
        assert_whole(&desk, &fetch(&desk, &[&address]));
        std::fs::remove_file(desk.path("data/digits/file.gz")).unwrap();
    }
}

#[test]
fn the_next_address_is_tried() {
    let desk = Desk::new();
    let (bad, _) = serve(vec![not_found]);
    let (good, _) = serve(vec![well]);
    let outcome = fetch(&desk, &["http://127.0.0.1:1", &bad, &good]);
    assert_whole(&desk, &outcome);
    assert_eq!(outcome.failures.len(), 2);
    assert!(outcome.failures[1].ends_with("the server says 404 Not Found"));
}

#[test]
fn redirects_are_followed() {
    static TARGET: Mutex<String> = Mutex::new(String::new());
    let desk = Desk::new();
    let (good, _) = serve(vec![well]);
    TARGET.lock().unwrap().clone_from(&good);
    let (address, _) = serve(vec![|stream, _| {
        let head = format!("302 Found\r\nLocation: {}/elsewhere\r\nContent-Length: 0", TARGET.lock().unwrap());
        send(stream, &head, b"");
    }]);
    assert_whole(&desk, &fetch(&desk, &[&address]));
}

#[test]
fn a_file_of_the_users_is_not_overwritten() {
    let desk = Desk::new();
    desk.write("data/digits/file.gz", "mine");
    let outcome = fetch(&desk, &["http://127.0.0.1:1"]);
    let error = outcome.result.unwrap_err();
    assert!(error.to_string().ends_with("file.gz: is there already, but it has 4 bytes, expected 10000"), "{error}");
    assert_eq!(error.hint(), "move it away, or name another folder with --dir");
    assert_eq!(desk.read("data/digits/file.gz"), "mine");
}

#[test]
fn users_get_https_only() {
    let (address, seen) = serve(vec![well]);
    let address: &'static str = Box::leak(address.into_boxed_str());
    let set = RemoteSet { addresses: Box::leak(Box::new([address])), ..SET };
    let desk = Desk::new();
    let error = Fetcher::new().fetch_set(&set, &desk.path("data"), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("https"), "{error}");
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn an_archive_becomes_a_folder() {
    let pack = |names: &[&str]| {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(5);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, &b"hello"[..]).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    };
    let sum = |bytes: &[u8]| -> String {
        use sha2::Digest;
        sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
    };
    static ARCHIVE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let (address, seen) = serve(vec![|stream, _| {
        let bytes = ARCHIVE.lock().unwrap().clone();
        send(stream, &format!("200 OK\r\nContent-Length: {}", bytes.len()), &bytes);
    }]);
    let desk = Desk::new();
    let fetcher = Fetcher::from_test_servers(vec![address], PATIENCE);
    let fetch = |names: &[&str], folder: &'static str| {
        let bytes = pack(names);
        let file =
            RemoteFile { name: "a.tar.gz", bytes: bytes.len() as u64, sha256: Box::leak(sum(&bytes).into_boxed_str()) };
        *ARCHIVE.lock().unwrap() = bytes;
        let files: &'static [RemoteFile] = Box::leak(Box::new([file]));
        let set = RemoteSet { folder, addresses: &[], files, unpacked: &[("one.bin", 5), ("names.txt", 0)] };
        fetcher.fetch_set(&set, &desk.path("data"), &mut |_| {})
    };
    let good = ["x/one.bin", "x/readme.html", "x/names.txt"];
    assert_eq!(fetch(&good, "x").unwrap(), desk.path("data/x"));
    assert_eq!((desk.read("data/x/one.bin"), desk.read("data/x/names.txt")), ("hello".into(), "hello".into()));
    let mut left: Vec<_> = std::fs::read_dir(desk.path("data")).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["x"]);
    // Again: it is there. With a part missing: it says so.
    assert!(fetch(&good, "x").is_ok());
    assert_eq!(seen.lock().unwrap().len(), 1);
    std::fs::remove_file(desk.path("data/x/one.bin")).unwrap();
    assert!(fetch(&good, "x").unwrap_err().to_string().ends_with("x: is there already, but it has no `one.bin`"));
    // An archive that lacks a file makes no folder.
    assert!(fetch(&["y/one.bin"], "y").is_err());
    assert!(!desk.path("data/y").exists());
}

#[test]
fn the_command_names_its_data_sets() {
    let desk = Desk::new();
    let outcome = desk.run(&["fetch", "imagenet"]);
    for expected in ["invalid value 'imagenet' for '<DATASET>'", "[possible values: mnist, fashion-mnist, cifar10]"] {
        assert!(outcome.code == Some(2) && outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    desk.write("data/mnist/train-images-idx3-ubyte.gz", "mine");
    let outcome = desk.run(&["fetch", "mnist"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.problem(),
        "data/mnist/train-images-idx3-ubyte.gz: is there already, but it has 4 bytes, expected 9912422"
    );
    assert_eq!(outcome.hint(), "move it away, or name another folder with --dir");
}
