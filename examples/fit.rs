//! From arrays to the proved optimum: `cargo run --release --example fit`

use burn_svm::{Loss, Svm, SvmError};

fn main() -> Result<(), SvmError> {
    let x: Vec<[f32; 2]> = (0..300).map(|i| [(i % 3) as f32 + (i as f32).sin(), (i as f32).cos()]).collect();
    let labels: Vec<&str> = (0..300).map(|i| ["low", "middle", "high"][i % 3]).collect();
    let model = Svm::new(Loss::weston_watkins()).c(1.0).fit(&x, &labels)?;
    println!("{} proved within {:.1e}", model.objective(), model.certificate().relative_gap);
    println!("{} of the rows predicted right", model.train_accuracy());
    println!("{:?}", model.predict(&[[0.2f32, 0.0], [2.5, 0.1]])?);
    Ok(())
}
