use super::*;
use crate::data::{Center, Csr, Dense, Scale, Scaler};
use std::fs;

const CLASSES: [&str; 3] = ["a", "b", "c"];

fn config(cells: CellType, block: u64) -> BlockConfig {
    BlockConfig { cells, weights: true, seed: 7, memory: 1 << 20, block: Some(block) }
}

fn about() -> BlockAbout {
    let class_names = CLASSES.map(str::to_owned).to_vec();
    // Labels came as c, a, b.
    BlockAbout { class_names, train_classes: vec![2, 0, 1], test_classes: vec![2, 0, 1], ..BlockAbout::default() }
}

/// Rows of all kinds of cells; every row is another one.
fn rows(cells: CellType, n: usize) -> Features<'static> {
    let value = |i: usize| (i * 37 % 251) as f32;
    match cells {
        CellType::U8 => Features::U8(Dense::new(
            4,
            (0..4 * n).map(|i| if i % 4 == 0 { (i / 4 % 256) as u8 } else { value(i) as u8 }).collect(),
        )),
        CellType::F32 => Features::F32(Dense::new(3, (0..3 * n).map(|i| i as f32 - value(i) / 256.0).collect())),
        CellType::F64 => Features::F64(Dense::new(3, (0..3 * n).map(|i| 1e9 + i as f64 / 3.0).collect())),
        CellType::Csr => {
            let mut csr = Csr::new(50);
            for i in 0..n {
                (0..i % 5).for_each(|k| csr.push_cell((7 * k + i % 7) as u32, value(i + k) + 0.5));
                csr.finish_row();
            }
            Features::Sparse(csr)
        }
    }
}

/// Each row as text, with its class and weight.
fn listed(features: &Features, labels: &[u32], weights: Option<&[f32]>) -> Vec<String> {
    let row = |i: usize| {
        let mut cells = Vec::new();
        features.for_each_cell(i, |j, x| cells.push((j, x)));
        format!("{:?} {} {:?}", cells, labels[i], weights.map(|w| w[i]))
    };
    (0..labels.len()).map(row).collect()
}

fn packed(folder: &Path, cells: CellType, n: usize, batch: usize, block: u64) -> (PackSummary, Vec<String>) {
    let mut writer = BlockWriter::create(folder, config(cells, block), false).unwrap();
    let mut all = Vec::new();
    for part in [DataPart::Train, DataPart::Test] {
        let n = if part == DataPart::Train { n } else { n / 3 };
        let whole = rows(cells, n);
        for first in (0..n).step_by(batch) {
            let last = (first + batch).min(n);
            let some = taken(&whole, first..last);
            let labels: Vec<u32> = (first..last).map(|i| i as u32 % 3).collect();
            let weights: Vec<f32> = (first..last).map(|i| i as f32 / 2.0).collect();
            writer.put(part, &some, 0..labels.len(), &labels, Some(&weights)).unwrap();
            let classes: Vec<u32> = labels.iter().map(|&label| [2, 0, 1][label as usize]).collect();
            if part == DataPart::Train {
                all.extend(listed(&some, &classes, Some(&weights)));
            }
        }
    }
    (writer.finish(about()).unwrap(), all)
}

fn taken(features: &Features, rows: std::ops::Range<usize>) -> Features<'static> {
    match features {
        Features::U8(d) => Features::U8(Dense::new(d.n_features(), rows.flat_map(|i| d.row(i).to_vec()).collect())),
        Features::F32(d) => Features::F32(Dense::new(d.n_features(), rows.flat_map(|i| d.row(i).to_vec()).collect())),
        Features::F64(d) => Features::F64(Dense::new(d.n_features(), rows.flat_map(|i| d.row(i).to_vec()).collect())),
        Features::Sparse(csr) => {
            let mut some = Csr::new(csr.n_features());
            for i in rows {
                csr.row(i).0.iter().zip(csr.row(i).1).for_each(|(&j, &x)| some.push_cell(j, x));
                some.finish_row();
            }
            Features::Sparse(some)
        }
    }
}

fn read(folder: &BlockFolder, part: DataPart) -> Vec<String> {
    let order: Vec<usize> = (0..folder.manifest().blocks(part).len()).collect();
    let blocks = ReadAhead::new(folder, part, &order).map(Result::unwrap);
    blocks.flat_map(|(_, block)| listed(&block.features, &block.labels, block.weights.as_deref())).collect()
}

const ALL: [CellType; 4] = [CellType::U8, CellType::F32, CellType::F64, CellType::Csr];

#[test]
fn all_rows_come_back_in_another_order_whatever_the_batches() {
    for cells in ALL {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let (packed_a, mut expected) = packed(&a, cells, 2_000, 2_000, 1 << 12);
        let (packed_b, _) = packed(&b, cells, 2_000, 77, 1 << 12);
        assert_eq!(packed_a.manifest, packed_b.manifest, "{cells:?}");
        let opened = BlockFolder::open(&a).unwrap();
        assert_eq!((opened.manifest(), opened.manifest().rows(DataPart::Test)), (&packed_a.manifest, 666));
        assert!(opened.manifest().train.len() > 2, "{:?}", opened.manifest().train);
        let mut found = read(&opened, DataPart::Train);
        assert_ne!(found, expected);
        // Neighbours are not those of the input.
        let first: Vec<usize> =
            found[..100].iter().map(|row| expected.iter().position(|r| r == row).unwrap()).collect();
        assert!(first.iter().max().unwrap() - first.iter().min().unwrap() > 1_000, "{cells:?} {first:?}");
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{cells:?}");
        assert_eq!(read(&opened, DataPart::Test).len(), 666);
        let names: Vec<_> = fs::read_dir(&a).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().contains("partial")), "{names:?}");
    }
}

#[test]
fn bins_in_files_and_bins_dealt_out_again_give_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let n = 600_000;
    let few = BlockConfig { memory: 1 << 18, block: Some(1 << 16), ..config(CellType::F64, 0) };
    let mut writer = BlockWriter::create(&path, few, false).unwrap();
    for first in (0..n).step_by(100_000) {
        let values = (first..first + 100_000).map(|i| i as f64).collect();
        writer
            .put(DataPart::Train, &Features::F64(Dense::new(1, values)), 0..100_000, &vec![0; 100_000], None)
            .unwrap();
    }
    let manifest = writer.finish(about()).unwrap().manifest;
    assert!(manifest.train.iter().all(|block| block.bytes < 1 << 17) && manifest.train.len() > 120);
    let opened = BlockFolder::open(&path).unwrap();
    let mut seen = vec![false; n];
    for index in 0..manifest.train.len() {
        let Features::F64(block) = opened.read(DataPart::Train, index).unwrap().features else { panic!("f64") };
        block.values().iter().for_each(|&x| seen[x as usize] = true);
        let mean = block.values().iter().sum::<f64>() / block.values().len() as f64 / n as f64;
        assert!((mean - 0.5).abs() < 0.05, "block {index}: {mean}");
    }
    assert!(seen.iter().all(|&seen| seen));
}

#[test]
fn moments_fit_the_preprocessing_of_the_whole() {
    for cells in ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        packed(&path, cells, 500, 77, 1 << 12);
        let moments = BlockFolder::open(&path).unwrap().moments().unwrap().unwrap();
        let whole = rows(cells, 500);
        let all: Vec<u32> = (0..500).collect();
        for (center, scale) in [(Center::Mean, Scale::Std), (Center::None, Scale::Minmax), (Center::Mean, Scale::Pixel)]
        {
            let expected = Scaler::fit(&whole, &all, center, scale);
            let found = Scaler::of_moments(&moments, center, scale, cells == CellType::F64);
            let near = |a: &Option<Vec<f64>>, b: &Option<Vec<f64>>| {
                let pairs = a.iter().flatten().zip(b.iter().flatten());
                a.is_some() == b.is_some() && pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs())
            };
            assert!(near(&found.mean, &expected.mean) && near(&found.scale, &expected.scale), "{cells:?} {center:?}");
        }
    }
}

#[test]
fn every_changed_and_every_missing_byte_is_an_error() {
    for cells in [CellType::Csr, CellType::F32] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        packed(&path, cells, 60, 60, 1 << 20);
        for name in ["block-00000.bin", "moments.bin", "test-00000.bin"] {
            let file = path.join(name);
            let whole = fs::read(&file).unwrap();
            let all = || {
                let opened = BlockFolder::open(&path)?;
                opened.read(DataPart::Train, 0)?;
                opened.read(DataPart::Test, 0)?;
                opened.moments()
            };
            assert!(all().is_ok());
            for at in (0..whole.len()).step_by(7) {
                let mut changed = whole.clone();
                changed[at] ^= 1 << (at % 8);
                fs::write(&file, &changed).unwrap();
                let error = all().unwrap_err();
                assert!(error.file == file && error.is_content, "{name} {at}: {error}");
                fs::write(&file, &whole[..at]).unwrap();
                assert!(all().unwrap_err().problem.contains("cut off"), "{name} {at}");
            }
            fs::remove_file(&file).unwrap();
            assert!(!all().unwrap_err().is_content);
            fs::write(&file, &whole).unwrap();
        }
    }
}

/// A kill at any moment of the removal leaves a folder that the next one clears.
#[test]
fn a_folder_that_is_removed_in_part_is_still_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    packed(&path, CellType::F32, 60, 60, 1 << 20);
    let files = super::writer::ours(&path, true).unwrap();
    assert!(files.len() >= 4, "{files:?}");
    for file in &files {
        fs::remove_file(file).unwrap();
        let left = super::writer::ours(&path, true);
        assert!(left.is_ok(), "without {}: {:?}", file.display(), left.err());
    }
}

#[test]
fn promises_of_a_manifest_reserve_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    packed(&path, CellType::F32, 60, 60, 1 << 20);
    let file = path.join(MANIFEST);
    let text = fs::read_to_string(&file).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let read = BlockFolder::open(&path).and_then(|opened| opened.read(DataPart::Train, 0));
        read.unwrap_err().problem
    };
    let big = 1u64 << 31;
    for (from, to, problem) in [
        ("\"burn_svm_blocks\": 1", "\"burn_svm_blocks\": 2", "found version 2 of the format, expected 1".to_owned()),
        ("\"features\": 3", "\"features\": 0", "found 0 features, expected 1 to".into()),
        ("\"features\": 3", "\"features\": 4", "the numbers of rows and cells of block 0".into()),
        ("\"rows\": 60", "\"rows\": 0", "the numbers of rows and cells of block 0".into()),
        (
            "\"rows\": 60,\n      \"cells\": 180",
            &format!("\"rows\": {big},\n      \"cells\": {}", 3 * big),
            "it is not the block".into(),
        ),
        ("\"cells\": \"f32\"", "\"cells\": \"f16\"", "is no manifest of blocks: unknown variant `f16`".into()),
        ("\"b\"", "\"a\"", "found 3 names of classes, expected two or more, all different".into()),
        ("\"seed\"", "\"sead\"", "is no manifest of blocks: unknown field `sead`".into()),
    ] {
        let found = changed(from, to);
        assert!(found.contains(&problem), "{to}: {found}");
    }
    // Head and manifest promise the same, the file is as small as before.
    let block = path.join("block-00000.bin");
    let mut bytes = fs::read(&block).unwrap();
    bytes[16..24].copy_from_slice(&big.to_le_bytes());
    bytes[32..40].copy_from_slice(&(3 * big).to_le_bytes());
    fs::write(&block, &bytes).unwrap();
    let promised = text.replacen(
        "\"rows\": 60,\n      \"cells\": 180",
        &format!("\"rows\": {big},\n      \"cells\": {}", 3 * big),
        1,
    );
    fs::write(&file, promised).unwrap();
    let error = BlockFolder::open(&path).unwrap().read(DataPart::Train, 0).unwrap_err();
    assert!(error.problem.contains("damaged") || error.problem.contains("cut off"), "{error}");
}

#[test]
fn nothing_of_a_stranger_is_touched_and_nothing_half_done_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let begin = |replace| BlockWriter::create(&path, config(CellType::F32, 1 << 12), replace);
    let mut writer = begin(false).unwrap();
    writer.put(DataPart::Train, &rows(CellType::F32, 30), 0..30, &[0; 30], None).unwrap();
    let error = BlockFolder::open(&path).unwrap_err();
    assert!(error.problem.contains("was not finished"), "{error}");
    drop(writer);
    assert!(!path.exists(), "a folder that was begun is taken away");
    packed(&path, CellType::F32, 100, 100, 1 << 12);
    assert!(begin(false).err().unwrap().problem.contains("holds blocks already"));
    // A folder that a killed program has left is begun again.
    fs::remove_file(path.join(MANIFEST)).unwrap();
    assert!(BlockWriter::check(&path, false).is_ok());
    fs::remove_dir_all(&path).unwrap();
    packed(&path, CellType::F32, 100, 100, 1 << 12);
    for (name, content) in [("notes.txt", "mine"), ("block-99999.bin", "mine"), ("block-0.bin", "BSVMBLK1")] {
        let file = path.join(name);
        fs::write(&file, content).unwrap();
        let error = begin(true).err().unwrap();
        assert!(error.file == file && fs::read_to_string(&file).unwrap() == content, "{error}");
        fs::remove_file(&file).unwrap();
    }
    assert!(BlockFolder::open(&path).is_ok(), "a refused folder stays as it was");
    let mut writer = begin(true).unwrap();
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    writer.put(DataPart::Train, &rows(CellType::F32, 30), 0..30, &[0; 30], None).unwrap();
    writer.finish(about()).unwrap();
    assert_eq!(BlockFolder::open(&path).unwrap().manifest().rows(DataPart::Train), 30);
}

#[test]
fn columns_that_the_train_part_lacks_are_dropped_and_an_unused_first_one_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut writer = BlockWriter::create(&path, config(CellType::Csr, 1 << 12), false).unwrap();
    let sparse = |cells: &[u32]| {
        let mut csr = Csr::default();
        cells.iter().for_each(|&j| csr.push_cell(j, 1.0));
        csr.finish_row();
        Features::Sparse(csr)
    };
    writer.put(DataPart::Train, &sparse(&[1, 3]), 0..1, &[0], None).unwrap();
    writer.put(DataPart::Train, &sparse(&[5]), 0..1, &[1], None).unwrap();
    writer.put(DataPart::Test, &sparse(&[2, 5, 9]), 0..1, &[1], None).unwrap();
    let packed = writer.finish(BlockAbout { drops_first: true, ..about() }).unwrap();
    assert_eq!((packed.manifest.features, packed.dropped), (5, 1));
    let opened = BlockFolder::open(&path).unwrap();
    assert_eq!(read(&opened, DataPart::Test), ["[(1, 1.0), (4, 1.0)] 0 Some(1.0)"]);
    assert_eq!(opened.moments().unwrap().unwrap().n_features(), 5);
}

#[test]
fn a_reader_ends_early_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    packed(&path, CellType::F32, 2_000, 2_000, 1 << 12);
    let opened = BlockFolder::open(&path).unwrap();
    let n = opened.manifest().train.len();
    let mut blocks = ReadAhead::new(&opened, DataPart::Train, &[n - 1, 0, 1]);
    let (index, block) = blocks.next().unwrap().unwrap();
    assert_eq!((index, &block), (n - 1, &opened.read(DataPart::Train, n - 1).unwrap()));
    assert_eq!(blocks.bytes(), opened.manifest().train[n - 1].bytes);
    drop(blocks);
    fs::remove_file(path.join("block-00001.bin")).unwrap();
    let read: Vec<_> = ReadAhead::new(&opened, DataPart::Train, &[0, 1, 2]).collect();
    assert!(read.len() == 2 && read[0].is_ok() && read[1].is_err());
}
