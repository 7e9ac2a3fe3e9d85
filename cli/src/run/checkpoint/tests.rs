//! The file of a checkpoint: round trips, damage, versions, the shelf.

use super::*;
use std::fs;

fn sample() -> Checkpoint {
    let mut snapshot = Snapshot::default();
    snapshot.put("weight", vec![0.1f32, -0.0, f32::MIN_POSITIVE]);
    snapshot.put("dual", vec![0.1 + 0.2, f64::INFINITY]);
    snapshot.put("due", vec![7u32]);
    snapshot.put("counts", vec![u64::MAX, 0]);
    snapshot.put("optimizer", Vec::<u8>::new());
    snapshot.put("metrics.csv", b"step\n0\n".to_vec());
    let identity = Identity {
        name: "my".into(),
        config: "# \"checksum\":\"0123456789abcdef\"\nseed = 0\n".into(),
        data: "00ff00ff00ff00ff".into(),
        shape: "3 rows of 2 features in 2 classes".into(),
        device: "flex".into(),
        threads: 1,
    };
    Checkpoint { identity, progress: 12, snapshot }
}

fn bytes() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    sample().save(&file).unwrap();
    fs::read(file).unwrap()
}

#[test]
fn a_checkpoint_survives_its_file_to_the_last_bit() {
    let bytes = bytes();
    assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), sample());
    // The crate of the format's authors reads it, and the numbers lie where eight bytes are aligned.
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("dual").unwrap().shape(), [2]);
    let read = Checkpoint::from_bytes(&bytes).unwrap().snapshot.take::<f32>("weight").unwrap();
    assert_eq!(read[1].to_bits(), (-0.0f32).to_bits());
}

#[test]
fn any_flipped_bit_and_any_cut_is_noticed() {
    let bytes = bytes();
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Checkpoint::from_bytes(&changed).is_err(), "bit {bit} of byte {}", bit / 8);
    }
    for len in 0..bytes.len() {
        assert!(matches!(Checkpoint::from_bytes(&bytes[..len]), Err(CheckpointFault::Damaged(_))), "{len} bytes");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(Checkpoint::from_bytes(&longer), Err(CheckpointFault::Damaged(_))));
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut bytes = bytes();
    let key = b"\"format_version\":\"";
    let at = bytes.windows(key.len()).position(|w| w == key).unwrap() + key.len();
    bytes[at] = b'2';
    let Err(CheckpointFault::Newer(problem)) = Checkpoint::from_bytes(&bytes) else { panic!("newer") };
    assert!(problem.starts_with("it has format version `2`, written by burn-svm "), "{problem}");
}

#[test]
fn the_last_two_good_ones_are_kept_and_damage_falls_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::of(folder.path());
    assert!(shelf.is_empty());
    for progress in 1..=4 {
        shelf.add(&Checkpoint { progress, ..sample() }).unwrap();
    }
    assert_eq!(super::shelf::numbers(folder.path()), [3, 4]);
    let newest = folder.path().join(FOLDER).join("000004.safetensors");
    let whole = fs::read(&newest).unwrap();
    fs::write(&newest, &whole[..whole.len() / 2]).unwrap();
    let mut shelf = Shelf::of(folder.path());
    let (found, file, notes) = shelf.newest().unwrap();
    assert_eq!((found.progress, notes.len()), (3, 1));
    assert!(
        file.ends_with("000003.safetensors") && notes[0].contains("000004.safetensors cannot be used"),
        "{notes:?}"
    );
    // The damaged one does not count: the next pushes it out, and not the good one.
    shelf.add(&Checkpoint { progress: 5, ..sample() }).unwrap();
    assert_eq!(super::shelf::numbers(folder.path()), [3, 5]);
    for number in [3, 5] {
        fs::write(folder.path().join(FOLDER).join(format!("{number:06}.safetensors")), "").unwrap();
    }
    let error = Shelf::of(folder.path()).newest().unwrap_err().to_string();
    assert!(error.contains("000005.safetensors cannot be used") && error.contains("000003"), "{error}");
    shelf.clear().unwrap();
    assert!(Shelf::of(folder.path()).is_empty());
    shelf.clear().unwrap();
}
