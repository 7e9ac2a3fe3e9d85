//! From arrays to the proved optimum: `cargo run --release --example fit`

use burn_svm::{Loss, Svm, SvmError};

fn main() -> Result<(), SvmError> {
    // Points around (2, 0), (0, 2) and (-2, -2).
    let centre = |i: usize| [[2.0, 0.0], [0.0, 2.0], [-2.0, -2.0]][i % 3];
    let x: Vec<[f32; 2]> =
        (0..300).map(|i| [centre(i)[0] + (7.0 * i as f32).sin(), centre(i)[1] + (i as f32).cos()]).collect();
    let labels: Vec<&str> = (0..300).map(|i| ["east", "north", "south-west"][i % 3]).collect();
    let model = Svm::new(Loss::weston_watkins()).c(1.0).fit(&x, &labels)?;
    println!("objective {:.6}, proved within {:.1e}", model.objective(), model.certificate().relative_gap);
    println!("{:.1} % of the rows predicted right", 100.0 * model.train_accuracy());
    println!("{:?}", model.predict(&[[3.0f32, 0.0], [-1.0, 2.5]])?);
    Ok(())
}
