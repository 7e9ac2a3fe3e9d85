//! Labels of any integers or strings, kept as class indices and names.

use std::collections::HashMap;

/// One label a row: an index into the names, in the order in which they first appeared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelColumn {
    names: Vec<String>,
    ids: Vec<u32>,
    index: HashMap<String, u32>,
}

impl LabelColumn {
    /// An empty column.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A column from class indices into distinct `names`.
    ///
    /// # Panics
    /// When an index is out of range (a programming error; readers check files).
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub fn from_ids(names: Vec<String>, ids: Vec<u32>) -> Self {
        assert!(ids.iter().all(|&id| (id as usize) < names.len()), "an id is beyond the {} names", names.len());
        let index = names.iter().enumerate().map(|(id, name)| (name.clone(), id as u32)).collect();
        Self { names, ids, index }
    }

    /// Appends the rows of `other`.
    #[allow(clippy::cast_possible_truncation)]
    pub fn append(&mut self, other: &Self) {
        let mut map = Vec::with_capacity(other.names.len());
        for name in &other.names {
            let id = *self.index.entry(name.clone()).or_insert_with(|| {
                self.names.push(name.clone());
                self.names.len() as u32 - 1
            });
            map.push(id);
        }
        self.ids.extend(other.ids.iter().map(|&id| map[id as usize]));
    }

    /// Appends a row's label.
    #[allow(clippy::cast_possible_truncation)]
    pub fn push(&mut self, name: &str) {
        // Files are often sorted by class: the last label is the likeliest.
        if let Some(&last) = self.ids.last()
            && self.names[last as usize] == name
        {
            self.ids.push(last);
            return;
        }
        let id = if let Some(&id) = self.index.get(name) {
            id
        } else {
            let id = self.names.len() as u32;
            self.names.push(name.to_owned());
            self.index.insert(name.to_owned(), id);
            id
        };
        self.ids.push(id);
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True when there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The name of row `i`'s label.
    #[must_use]
    pub fn name(&self, i: usize) -> &str {
        &self.names[self.ids[i] as usize]
    }

    /// The distinct names in the order in which they first appeared.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The rows under other names; names that become the same are one.
    #[must_use]
    pub fn renamed(&self, name: impl Fn(&str) -> String) -> Self {
        let mut names = Self::new();
        self.names.iter().for_each(|old| names.push(&name(old)));
        let ids = self.ids.iter().map(|&id| names.ids[id as usize]).collect();
        Self { ids, ..names }
    }

    /// The position of each row's name among [`LabelColumn::names`].
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The distinct names in class order.
    #[must_use]
    pub fn class_names(&self) -> Vec<String> {
        in_order(self.names.clone())
    }

    /// The rows as indices into `class_names`.
    ///
    /// # Errors
    /// The first row whose label is not among the names.
    #[allow(clippy::cast_possible_truncation)]
    pub fn to_classes(&self, class_names: &[String]) -> Result<Vec<u32>, usize> {
        let position: HashMap<&str, u32> =
            class_names.iter().enumerate().map(|(k, n)| (n.as_str(), k as u32)).collect();
        let map: Vec<Option<u32>> = self.names.iter().map(|n| position.get(n.as_str()).copied()).collect();
        self.ids.iter().enumerate().map(|(row, &id)| map[id as usize].ok_or(row)).collect()
    }
}

/// Distinct names in order: numerically where all are integers, else as strings.
#[must_use]
pub fn in_order(mut names: Vec<String>) -> Vec<String> {
    if names.iter().all(|n| n.parse::<i64>().is_ok()) {
        names.sort_by_key(|n| n.parse::<i64>().unwrap_or(0));
    } else {
        names.sort();
    }
    names
}

/// The weights of some `rows` by class, summed; without weights a row counts 1.
#[must_use]
pub fn class_totals(labels: &[u32], weights: Option<&[f32]>, rows: &[u32], n_classes: usize) -> Vec<f64> {
    let mut totals = vec![0.0; n_classes];
    for &row in rows {
        totals[labels[row as usize] as usize] += weights.map_or(1.0, |w| f64::from(w[row as usize]));
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(names: &[&str]) -> LabelColumn {
        let mut column = LabelColumn::new();
        names.iter().for_each(|n| column.push(n));
        column
    }

    #[test]
    fn integers_sort_as_numbers_and_strings_as_strings() {
        assert_eq!(column(&["10", "-1", "2", "2"]).class_names(), ["-1", "2", "10"]);
        assert_eq!(column(&["cat", "10", "ant"]).class_names(), ["10", "ant", "cat"]);
    }

    #[test]
    fn columns_join_by_name() {
        let mut joined = column(&["b", "a"]);
        joined.append(&column(&["a", "c", "b"]));
        assert_eq!(joined, column(&["b", "a", "a", "c", "b"]));
        let names = ["b", "a", "c"].map(str::to_owned).to_vec();
        assert_eq!(LabelColumn::from_ids(names, vec![0, 1, 1, 2, 0]), joined);
    }

    #[test]
    fn rows_map_to_the_order_of_the_names() {
        let column = column(&["b", "a", "b", "b"]);
        assert_eq!(column.to_classes(&column.class_names()), Ok(vec![1, 0, 1, 1]));
        assert_eq!(column.to_classes(&["b".to_owned()]), Err(1));
    }
}
