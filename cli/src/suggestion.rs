//! Names that were probably meant.

use std::path::Path;

/// Similarity from which a key or column that was asked for by name is worth a suggestion, and from which others are.
pub(crate) const SIMILAR: f64 = 0.75;
pub(crate) const NEARLY_THE_SAME: f64 = 0.9;
/// Entries of a folder that are looked at.
const MOST_ENTRIES: usize = 10_000;

/// The most similar of some names, upper and lower case taken for the same, where the similarity is above `least`.
pub(crate) fn nearest<'n, N: AsRef<str> + ?Sized + 'n>(
    found: &str,
    names: impl IntoIterator<Item = &'n N>,
    least: f64,
) -> Option<&'n str> {
    let found = found.to_lowercase();
    let similar = names.into_iter().map(|name| {
        let name = name.as_ref();
        (strsim::jaro_winkler(&found, &name.to_lowercase()), name)
    });
    similar.filter(|(similarity, _)| *similarity > least).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// The path next to one that is not there, with the same extension, whose name is the most similar.
pub(crate) fn path(missing: &Path) -> Option<String> {
    let folder = missing.parent()?;
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(listed).ok()?.flatten().take(MOST_ENTRIES).map(|entry| entry.path());
    let alike = entries.filter(|entry| entry.extension() == missing.extension());
    let stems: Vec<String> = alike.filter_map(|entry| Some(entry.file_stem()?.to_str()?.to_owned())).collect();
    let near = folder.join(nearest(missing.file_stem()?.to_str()?, &stems, NEARLY_THE_SAME)?);
    let extension = missing.extension().map_or_else(String::new, |e| format!(".{}", e.display()));
    Some(format!("{}{extension}", near.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_name_is_meant_and_none_that_is_far() {
        let names = ["Tickets", "Ticker", "price"];
        assert_eq!(nearest("tickets", &names, NEARLY_THE_SAME), Some("Tickets"));
        assert_eq!(nearest("prize", &names, SIMILAR), Some("price"));
        assert_eq!(nearest("zebra", &names, SIMILAR), None);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("churn.csv"), "").unwrap();
        let meant = folder.path().join("churn.csv").display().to_string();
        assert_eq!(path(&folder.path().join("chrun.csv")), Some(meant));
        assert_eq!(path(&folder.path().join("churn.toml")), None);
        assert_eq!(path(&folder.path().join("none/churn.csv")), None);
    }
}
