//! Names that were probably meant.

use std::path::Path;

/// Similarity from which a name is worth a suggestion.
const SIMILAR: f64 = 0.75;
/// Entries of a folder that are looked at.
const MOST_ENTRIES: usize = 10_000;

/// The most similar of some names, upper and lower case taken for the same.
pub(crate) fn nearest<'n, N: AsRef<str>>(found: &str, names: impl IntoIterator<Item = &'n N>) -> Option<&'n str>
where
    N: 'n + ?Sized,
{
    let found = found.to_lowercase();
    let similar = names.into_iter().map(|name| {
        let name = name.as_ref();
        (strsim::jaro_winkler(&found, &name.to_lowercase()), name)
    });
    similar.filter(|(similarity, _)| *similarity > SIMILAR).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// The path next to one that is not there whose name is the most similar.
pub(crate) fn path(missing: &Path) -> Option<String> {
    let folder = missing.parent()?;
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(listed).ok()?.flatten().take(MOST_ENTRIES);
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let near = nearest(missing.file_name()?.to_str()?, &names)?;
    Some(folder.join(near).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_name_is_meant_and_none_that_is_far() {
        let names = ["Tickets", "Ticker", "price"];
        assert_eq!(nearest("tickets", &names), Some("Tickets"));
        assert_eq!(nearest("prize", &names), Some("price"));
        assert_eq!(nearest("zebra", &names), None);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("churn.csv"), "").unwrap();
        let meant = folder.path().join("churn.csv").display().to_string();
        assert_eq!(path(&folder.path().join("chrun.csv")), Some(meant));
        assert_eq!(path(&folder.path().join("other.toml")), None);
        assert_eq!(path(&folder.path().join("none/churn.csv")), None);
    }
}
