//! Columns of a table by name or number: which are features, which is the label, which holds weights, which are left out.

pub(super) use super::Complaint;
use super::quote;
use crate::data::Encoding;
use crate::suggestion;
use crate::visible::listed;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A column by its name, or by its number from 1; −1 is the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a column, or its number from 1 (-1 is the last)")]
pub enum ColumnRef {
    /// By the name in the header.
    Name(String),
    /// By number.
    Number(i64),
}

impl ColumnRef {
    /// A column as the command line names it.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number)
    }

    /// The same as text.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&quote(name)),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Use of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The feature of this number, from 0.
    Feature(usize),
    Label,
    Weight,
    Ignored,
}

/// The roles of all columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) roles: Vec<Role>,
    pub(super) n_features: usize,
    /// In the order of the features, where the table has names.
    pub(super) feature_names: Option<Vec<String>>,
    /// The names of all columns.
    pub(super) names: Option<Vec<String>>,
    /// Columns without a name, from 1, which are left out.
    pub(super) nameless: Vec<usize>,
    /// The features that are named categories, by number.
    pub(super) categories: Vec<usize>,
}

/// Columns that the configuration names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialColumns {
    /// The label.
    pub label: Option<ColumnRef>,
    /// The row weights.
    pub weights: Option<ColumnRef>,
    /// Columns that are no features.
    pub ignore: Vec<ColumnRef>,
    /// Columns of categories, whatever their cells look like.
    pub category: Vec<ColumnRef>,
}

/// Columns and options of a table that a model expects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelColumns {
    /// The number of columns that features are made of; 0 where any table will do.
    pub n_features: usize,
    /// Their names, in order, where the model knows them.
    pub feature_names: Option<Vec<String>>,
    /// Their encoding; `None` if the columns are the features.
    pub encoding: Option<Encoding>,
    /// Columns named in the configuration of the training run.
    pub special: SpecialColumns,
    /// Whether csv text has a header, if that is known.
    pub header: Option<bool>,
    /// The delimiter of csv text, if that is known.
    pub delimiter: Option<super::csv::Delimiter>,
    /// The sign before the decimals of csv text.
    pub decimal: super::csv::Decimal,
    /// The first index of libsvm text.
    pub index_base: super::libsvm::IndexBase,
    /// The arrays of an npz archive, where they were named.
    pub arrays: super::npy::Arrays,
    /// Whether its rows are in double precision.
    pub double: bool,
    /// Columns to carry along.
    pub keep: Vec<ColumnRef>,
}

impl Plan {
    /// The columns of a table to train on, or of a test part, which must have the features of train.
    pub(super) fn of_table(
        names: Option<Vec<String>>,
        n_columns: usize,
        special: &SpecialColumns,
        train: Option<&[String]>,
    ) -> Result<Self, Complaint> {
        let mut roles = vec![None; n_columns];
        let mut give = |column: &ColumnRef, role| -> Result<(), Complaint> {
            let at = find(column, names.as_deref(), n_columns)?;
            if roles[at].is_some() {
                let problem = format!("column {column} is named twice by `label`, `weights` and `ignore`");
                return Err(Complaint::new(problem, "a column has one use"));
            }
            roles[at] = Some(role);
            Ok(())
        };
        if let Some(label) = &special.label {
            give(label, Role::Label)?;
        }
        if let (Some(weights), None) = (&special.weights, train) {
            give(weights, Role::Weight)?;
        }
        // A test part need not have the columns that are left out.
        let optional = special.ignore.iter().chain(special.weights.iter().filter(|_| train.is_some()));
        for column in optional {
            if train.is_none() || find(column, names.as_deref(), n_columns).is_ok() {
                give(column, Role::Ignored)?;
            }
        }
        if let (Some(names), Some(train)) = (&names, train) {
            return Self::by_name(names.clone(), roles, train, "train");
        }
        let mut plan = Self::in_order(names, roles)?;
        if train.is_none() {
            plan.categories = special.category.iter().map(|column| plan.feature(column)).collect::<Result<_, _>>()?;
        }
        Ok(plan)
    }

    /// The number of the feature that a column is.
    fn feature(&self, column: &ColumnRef) -> Result<usize, Complaint> {
        match self.roles[find(column, self.names.as_deref(), self.roles.len())?] {
            Role::Feature(at) => Ok(at),
            _ => Err(Complaint::new(
                format!("column {column} of `category` is named by `label`, `weights` or `ignore`, too"),
                "a column has one use",
            )),
        }
    }

    /// The columns of a table for a model.
    pub(super) fn for_model(
        names: Option<Vec<String>>,
        n_columns: usize,
        wanted: &ModelColumns,
    ) -> Result<Self, Complaint> {
        let find_one = |column: &ColumnRef| find(column, names.as_deref(), n_columns).ok();
        let special = &wanted.special;
        let label = special.label.as_ref().and_then(find_one);
        if let (Some(found), Some(expected)) = (&names, &wanted.feature_names) {
            let label = label.filter(|&at| !expected.contains(&found[at]));
            let mut roles = vec![None; n_columns];
            if let Some(at) = label {
                roles[at] = Some(Role::Label);
            }
            return Self::by_name(found.clone(), roles, expected, "the model");
        }
        let mut roles = vec![None; n_columns];
        for at in special.ignore.iter().chain(&special.weights).filter_map(find_one) {
            roles[at] = Some(Role::Ignored);
        }
        if let Some(at) = label {
            roles[at] = Some(Role::Label);
        }
        // A file of nothing but features, or one like the training data.
        let plans = [vec![None; n_columns], roles].map(|roles| Self::in_order(names.clone(), roles));
        if let Some(plan) = plans.into_iter().flatten().find(|plan| plan.n_features == wanted.n_features) {
            return Ok(plan);
        }
        Err(Complaint::new(
            format!("found {n_columns} columns, expected the {} features of the model", wanted.n_features),
            "the columns are matched by name where both the training data and this file have a header",
        ))
    }

    /// Every column without a role is the next feature; one without a name is left out, as it is where pandas keeps its index.
    fn in_order(names: Option<Vec<String>>, roles: Vec<Option<Role>>) -> Result<Self, Complaint> {
        let (mut n_features, mut nameless) = (0, Vec::new());
        let mut assign = |(at, role): (usize, Option<Role>)| match role {
            Some(role) => role,
            None if names.as_ref().is_some_and(|names| names[at].is_empty()) => {
                nameless.push(at + 1);
                Role::Ignored
            }
            None => {
                n_features += 1;
                Role::Feature(n_features - 1)
            }
        };
        let roles: Vec<Role> = roles.into_iter().enumerate().map(&mut assign).collect();
        if n_features == 0 {
            return Err(Complaint::new(
                format!("found no feature among {} columns", roles.len()),
                "is this the right delimiter? `delimiter` sets it",
            ));
        }
        let features = roles.iter().enumerate().filter(|(_, role)| matches!(role, Role::Feature(_)));
        let feature_names = names.as_ref().map(|names| features.map(|(at, _)| names[at].clone()).collect::<Vec<_>>());
        if let Some(twice) = feature_names.as_deref().and_then(twice) {
            return Err(Complaint::new(
                format!("column {} occurs twice", quote(twice)),
                "rename one of them, or `ignore` it",
            ));
        }
        Ok(Self { roles, n_features, feature_names, names, nameless, categories: Vec::new() })
    }

    /// The features in the order of `expected`; other columns are left out.
    fn by_name(
        names: Vec<String>,
        roles: Vec<Option<Role>>,
        expected: &[String],
        whose: &str,
    ) -> Result<Self, Complaint> {
        let index: std::collections::HashMap<&str, usize> =
            expected.iter().enumerate().map(|(j, name)| (name.as_str(), j)).collect();
        let mut found = vec![false; expected.len()];
        let mut assigned = Vec::with_capacity(names.len());
        for (name, role) in names.iter().zip(roles) {
            let feature = index.get(name.as_str()).copied().filter(|_| role.is_none());
            if let Some(j) = feature
                && std::mem::replace(&mut found[j], true)
            {
                return Err(Complaint::new(format!("column {} occurs twice", quote(name)), "rename one of them"));
            }
            assigned.push(role.or(feature.map(Role::Feature)).unwrap_or(Role::Ignored));
        }
        let missing: Vec<String> =
            expected.iter().zip(&found).filter(|(_, found)| !**found).map(|(name, _)| quote(name)).collect();
        if let [first, rest @ ..] = missing.as_slice() {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            let others = names.iter().filter(|name| !index.contains_key(name.as_str()));
            let hint = match suggestion::nearest(first.trim_matches('`'), others, suggestion::NEARLY_THE_SAME) {
                Some(near) => format!("columns are matched by name: rename {} to {first}", quote(near)),
                None if are_cells(&names) => format!(
                    "is the first line a row? A row without a header has {} cells, {}, with decimals and delimiters as in the training data",
                    expected.len(),
                    listed(expected)
                ),
                None => "columns are matched by their names in the header".into(),
            };
            return Err(Complaint::new(
                format!("there is no column {first}{more}, which {whose} has as a feature"),
                hint,
            ));
        }
        Ok(Self {
            roles: assigned,
            n_features: expected.len(),
            feature_names: Some(expected.to_vec()),
            names: Some(names),
            nameless: Vec::new(),
            categories: Vec::new(),
        })
    }

    /// `column 3`, or the column's name.
    pub(super) fn shown(&self, column: usize) -> String {
        match self.names.as_ref().and_then(|names| names.get(column)).filter(|name| !name.is_empty()) {
            Some(name) => format!("column {}", quote(name)),
            None => format!("column {}", column + 1),
        }
    }

    pub(super) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// Whether a header is rather the first row of a file without one: half of it are numbers, which do not count the columns.
fn are_cells(names: &[String]) -> bool {
    let numbers: Vec<f64> = names.iter().filter_map(|name| name.parse().ok()).filter(|x: &f64| x.is_finite()).collect();
    let counts = numbers.len() > 1 && numbers.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
    2 * numbers.len() >= names.len() && !counts
}

fn twice(names: &[String]) -> Option<&str> {
    let mut seen = std::collections::HashSet::new();
    names.iter().map(String::as_str).find(|name| !seen.insert(*name))
}

/// The position of a column, from 0.
pub(super) fn find(column: &ColumnRef, names: Option<&[String]>, n_columns: usize) -> Result<usize, Complaint> {
    match (column, names) {
        (ColumnRef::Number(number), _) => {
            let n = i64::try_from(n_columns).unwrap_or(i64::MAX);
            let at = if *number < 0 { n + number } else { number - 1 };
            usize::try_from(at).ok().filter(|&at| *number != 0 && at < n_columns).ok_or_else(|| {
                let problem = format!("there is no column {number} among {n_columns}");
                Complaint::new(problem, "columns count from 1; -1 is the last")
            })
        }
        (ColumnRef::Name(name), None) => Err(Complaint::new(
            format!("there is no header to look up column {} in", quote(name)),
            "give the column's number, from 1, or set `header = true`",
        )),
        (ColumnRef::Name(name), Some(names)) => names.iter().position(|n| n == name).ok_or_else(|| {
            let hint = match suggestion::nearest(name, names, suggestion::SIMILAR) {
                Some(near) => format!("did you mean {}?", quote(near)),
                None if are_cells(names) => {
                    "is the first line a row? `header = false` reads it as one, and `label = -1` is the last column"
                        .into()
                }
                None => format!("the columns are {}", listed(names)),
            };
            Complaint::new(format!("there is no column {}", quote(name)), hint)
        }),
    }
}
