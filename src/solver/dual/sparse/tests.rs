//! Products of sparse rows against those of dense ones.

use super::*;
use crate::data::batch::Source;
use crate::data::{Center, Csr, Dense, Features, Scale, Scaler};

#[test]
fn the_gram_matrix_is_that_of_the_preprocessed_rows() {
    let mut csr = Csr::new(7);
    for i in 0..9u32 {
        for j in (0..7).filter(|j| (i * 3 + j) % 4 != 0) {
            csr.push_cell(j, f32::from(u8::try_from((i * 5 + j * 3) % 7).unwrap()) - 2.0);
        }
        csr.finish_row();
    }
    let features = crate::data::Features::Sparse(csr.clone());
    let rows: Vec<u32> = (0..9).collect();
    for (center, scale) in [
        (Center::None, Scale::None),
        (Center::Mean, Scale::Std),
        (Center::Mean, Scale::UnitRow),
        (Center::Mean, Scale::Pixel),
    ] {
        let scaler = Scaler::fit(&features, &rows, center, scale);
        let source = Source { features: &features, labels: &[0; 9], scaler: &scaler, weights: None };
        let shared = Arc::new(CsrRows::<Floats>::new(source, csr.borrowed()));
        let mut loaded = LoadedRows::<f64>::default();
        loaded.load(&shared, &rows);
        let loaded = Arc::new(loaded);
        let mut dense = vec![vec![0.0; 7]; 9];
        for (row, out) in dense.iter_mut().enumerate() {
            scaler.write_row_wide(&features, row, out);
        }
        for place in 0..2 {
            let mut part = ClassShare::<f64, Floats>::new(Arc::clone(&shared), place, place..place + 1);
            part.loaded = Arc::clone(&loaded);
            let mut found = part.products(2).into_iter();
            for i in (place..9).step_by(2) {
                for j in 0..=i {
                    let expected: f64 = dense[i].iter().zip(&dense[j]).map(|(a, b)| a * b).sum();
                    let found = found.next().unwrap();
                    assert!((found - expected).abs() < 1e-5, "{center:?} {scale:?} {i} {j}: {found} {expected}");
                }
            }
            assert_eq!(found.next(), None);
        }
    }
}

#[test]
fn scores_in_single_precision_keep_their_digits_far_from_zero() {
    const N: u32 = 5_000;
    // The second column in every row: centred as it is read. In all but one, where that cannot be: in double precision.
    for (without, far) in [(u32::MAX, true), (7, false)] {
        let mut csr = Csr::new(3);
        for i in 0..N {
            csr.push_cell(0, (i % 7) as f32 - 3.0);
            if i != without {
                csr.push_cell(1, 30_000.0 + (i * 5 % 11) as f32);
            }
            csr.push_cell(2, (i * 3 % 5) as f32);
            csr.finish_row();
        }
        let features = Features::Sparse(csr.clone());
        let rows: Vec<u32> = (0..N).collect();
        // As a fit to other rows would have it.
        let scaler =
            Scaler { mean: Some(vec![0.0, 30_005.0, 2.0]), scale: Some(vec![2.0, 3.0, 1.5]), ..Scaler::default() };
        let source = Source { features: &features, labels: &[0; N as usize], scaler: &scaler, weights: None };
        let shared = Arc::new(CsrRows::<Floats>::new(source, csr.borrowed()));
        assert_eq!((shared.cells.is_some(), shared.cancels()), (true, !far));
        let mut loaded = LoadedRows::<f32>::default();
        loaded.load(&shared, &rows);
        let mut part = ClassShare::<f32, Floats>::new(Arc::clone(&shared), 0, 0..1);
        part.loaded = Arc::new(loaded);
        let done = Changes { positions: (0..N as usize).collect(), values: (0..N).map(|i| f64::from(i % 3)).collect() };
        let found = part.act(&SparseJob::Turn { done: done.clone(), next: Arc::clone(&part.loaded), scores: true });
        let mut dense = vec![vec![0.0; 3]; N as usize];
        dense.iter_mut().enumerate().for_each(|(i, row)| scaler.write_row_wide(&features, i, row));
        let weight: [f64; 3] = std::array::from_fn(|j| dense.iter().zip(&done.values).map(|(x, b)| x[j] * b).sum());
        let exact: Vec<f64> = dense.iter().map(|x| x.iter().zip(weight).map(|(x, w)| x * w).sum()).collect();
        let size = exact.iter().fold(0.0, |size: f64, s| size.max(s.abs()));
        let worst = found.iter().zip(&exact).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs()));
        assert_eq!(worst <= 2e-3 * size, far, "{worst} of {size}");
    }
}

#[test]
fn the_typical_square_of_sparse_rows_is_that_of_dense_ones() {
    let cells: Vec<f32> = (0..700u32).map(|i| if i % 3 == 0 { 0.0 } else { (i * 7 % 11) as f32 - 3.0 }).collect();
    let (dense, rows) = (Dense::new(7, cells), (0..100).collect::<Vec<u32>>());
    let (sparse, dense) = (Features::Sparse(Csr::from_dense(&dense)), Features::F32(dense));
    for (center, scale) in [
        (Center::None, Scale::None),
        (Center::None, Scale::Std),
        (Center::Mean, Scale::Std),
        (Center::Mean, Scale::UnitRow),
    ] {
        let scaler = Scaler::fit(&dense, &rows, center, scale);
        let of =
            |features| Source { features, labels: &[0; 100], scaler: &scaler, weights: None }.typical_square(&rows);
        let (found, expected) = (of(&sparse), of(&dense));
        assert!((found - expected).abs() <= 1e-12 * expected, "{center:?} {scale:?}: {found} {expected}");
    }
}

#[test]
fn dense_rows_of_few_cells_are_copied_where_one_number_divides_all() {
    let few: Vec<u8> = (0..40u8 * 5).map(|i| if i % 4 == 0 { i } else { 0 }).collect();
    let many: Vec<u8> = (0..40u8 * 5).map(|i| if i % 4 == 0 { 0 } else { i }).collect();
    let copied = |cells: &[u8], center, scale| {
        let features = Features::U8(Dense::new(40, cells.to_vec()));
        let rows: Vec<u32> = (0..5).collect();
        let scaler = Scaler::fit(&features, &rows, center, scale);
        copy(Source { features: &features, labels: &[0; 5], scaler: &scaler, weights: None })
    };
    for (center, scale) in [(Center::None, Scale::None), (Center::Mean, Scale::Pixel), (Center::None, Scale::UnitRow)] {
        assert_eq!(copied(&few, center, scale), Some(SparseCopy::Bytes(Csr::from_dense(&Dense::new(40, few.clone())))));
        assert_eq!(copied(&many, center, scale), None, "three quarters of the cells");
    }
    assert_eq!(copied(&few, Center::None, Scale::Std), None, "a scale a feature");
}
