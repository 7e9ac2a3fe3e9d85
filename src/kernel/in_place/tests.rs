use super::*;

fn value(i: usize) -> f32 {
    ((i * 7919 + 13) % 101) as f32 / 101.0 - 0.5
}

fn check<C: CellValue>(n: usize, d: usize, k: usize, cell: impl Fn(usize) -> C) {
    let cells: Vec<C> = (0..n * d).map(cell).collect();
    let mean: Vec<f32> = (0..d).map(|j| value(j + 3) * 5.0).collect();
    let shift = PerFeature::new(d, Some(&mean));
    let rows = RowMatrix::new(&cells, d, &shift);
    let x = |i: u32, j: usize| f64::from(cells[i as usize * d + j].value()) - f64::from(mean[j]);
    // Backwards, and the last row twice.
    let indices: Vec<u32> = (0..n as u32).rev().chain([n as u32 - 1]).take(GROUP).collect();
    let w: Vec<f32> = (0..d * k).map(|i| value(i + 5)).collect();
    let scale: Vec<f32> = (0..d).map(|j| 1.0 + (j % 3) as f32).collect();
    let mut packed = PackedWeights::zeros(d, k);
    packed.pack(&w, Some(&scale));
    let stride = k + 3;
    let mut scores = vec![7.0; indices.len() * stride];
    packed.scores(rows, &indices, &mut scores, stride);
    let close = |found: f32, terms: &[f64]| {
        let (sum, size) = (terms.iter().sum::<f64>(), terms.iter().map(|t| t.abs()).sum::<f64>());
        assert!((f64::from(found) - sum).abs() <= 1e-6 * size, "{n} {d} {k}: {found} {sum}");
    };
    for (r, &i) in indices.iter().enumerate() {
        for c in 0..k {
            let terms: Vec<f64> = (0..d).map(|j| x(i, j) * f64::from(w[j * k + c]) / f64::from(scale[j])).collect();
            close(scores[r * stride + c], &terms);
        }
        assert!(scores[r * stride + k..(r + 1) * stride].iter().all(|v| *v == 7.0));
    }
    let back = packed.to_rows(Some(&scale));
    assert!(back.iter().zip(&w).all(|(a, b)| (a - b).abs() < 1e-6));
    let q: Vec<f32> = (0..indices.len() * stride).map(|i| value(i + 11)).collect();
    let mut gradient = vec![0.0; d * k];
    for part in 0..d.div_ceil(PART) {
        for first in (0..k).step_by(13) {
            let mut tile = GradientTile::new(part, d, first, 13.min(k - first));
            tile.add(rows, &indices, &q, stride);
            let (start, _) = tile.features();
            tile.unpack(&mut gradient[start * k..], k);
        }
    }
    let gain: Vec<f32> = (0..d).map(|j| 1.0 - (j % 4) as f32 / 2.0).collect();
    let shrink: Vec<f32> = (0..k).map(|c| 0.5 - c as f32).collect();
    let slopes = BatchSlopes { values: &q, stride };
    let (mut plain, mut gained) = (PackedWeights::zeros(d, k), packed.clone());
    plain.parts_mut().iter_mut().for_each(|part| part.add(rows, &indices, slopes, &shrink, None));
    let gains = PerFeature::new(d, Some(&gain));
    gained.parts_mut().iter_mut().for_each(|part| part.add(rows, &indices, slopes, &shrink, Some(&gains)));
    let (plain, gained) = (plain.to_rows(None), gained.to_rows(None));
    for j in 0..d {
        for c in 0..k {
            let mut terms: Vec<f64> =
                indices.iter().enumerate().map(|(r, &i)| x(i, j) * f64::from(q[r * stride + c])).collect();
            close(gradient[j * k + c], &terms);
            close(plain[j * k + c], &terms);
            terms.iter_mut().for_each(|term| *term *= f64::from(gain[j]));
            terms.push((1.0 - f64::from(shrink[c])) * f64::from(w[j * k + c]) / f64::from(scale[j]));
            close(gained[j * k + c], &terms);
        }
    }
}

#[test]
fn products_of_every_shape_are_those_of_the_loops() {
    for n in [1, 2, 5, 15] {
        for d in [1, 7, 16, 17, 31, 255, 256, 257, 300, 544] {
            for k in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 26] {
                check(n, d, k, |i| (value(i) * 255.0 + 128.0) as u8);
                check(n, d, k, |i| value(i) * 3.0);
            }
        }
    }
    check(3, 40, 1000, |i| (i % 256) as u8);
    for d in [1023, 1024, 1025, 2100] {
        check(5, d, 11, |i| (value(i) * 255.0 + 128.0) as u8);
    }
}
