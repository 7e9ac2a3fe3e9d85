//! The features of a table of typed columns: roles by the plan, widths by the first row.

use super::array::{CellFault, Extent};
use super::cells::{ArrayKind, Numbers, kind_of, value_type};
use super::parts::wrong;
use crate::data::{CellKind, ImageShape};
use crate::format::Complaint;
use crate::format::columns::{Plan, Role};
use crate::format::reading::{FILLED, LACKS, WORD};
use crate::format::{DataError, Position, quote, weights};
use arrow_schema::{DataType, FieldRef};
use std::path::Path;

const CELL: &str = "every feature is a number: `ignore` leaves the column out";
/// The end of the whole numbers that double precision holds one by one.
const EXACT: f64 = 9_007_199_254_740_992.0;
const ODD: &str = "a column of lists has as many numbers in every row, one of images has one size and kind of image";

/// A column of a file.
pub(super) struct FileColumn {
    pub(super) field: FieldRef,
    pub(super) cells: ArrayKind,
    /// By the first row, or what is wrong with that.
    pub(super) extent: Result<Extent, CellFault>,
}

/// Names of features that a table has to have.
pub(super) struct RequiredNames<'a> {
    pub(super) names: &'a [String],
    /// Whether they are those of a model, or of a train part.
    pub(super) of_model: bool,
}

/// The features of a table and where they come from.
pub(super) struct Layout {
    plan: Plan,
    /// Content of each column, in words.
    holds: Vec<String>,
    of_model: bool,
    pub(super) columns: Vec<ColumnPlan>,
    pub(super) width: usize,
    pub(super) feature_names: Vec<String>,
    pub(super) is_bytes: bool,
    /// Shape of the images, if one column of them is all the features.
    pub(super) image_shape: Option<ImageShape>,
}

/// A column that is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnPlan {
    pub(super) column: usize,
    pub(super) role: Role,
    /// Its first feature.
    pub(super) start: usize,
    pub(super) extent: Extent,
    pub(super) numbers: Option<Numbers>,
    /// True for lists and images, whose features have numbers behind the name of the column.
    pub(super) is_many: bool,
    /// Kind of its cells in a table to be encoded.
    pub(super) kind: CellKind,
    /// True where every cell is missing.
    pub(super) is_nothing: bool,
    /// True for whole numbers that double precision may not hold.
    pub(super) is_long: bool,
}

impl Layout {
    /// The features by a plan of the columns. pandas keeps its row index in a column with a name of its own.
    pub(super) fn new(
        file: &Path,
        columns: Vec<FileColumn>,
        notes: &mut Vec<String>,
        expected: Option<RequiredNames>,
        is_encoded: bool,
        plan: impl FnOnce(Option<Vec<String>>, usize, Option<&[String]>) -> Result<Plan, Complaint>,
    ) -> Result<Self, DataError> {
        let fail = |Complaint { problem, hint }| wrong(file, &problem).with_hint(hint);
        let names: Vec<String> = columns.iter().map(|column| column.field.name().clone()).collect();
        let shown = names.iter().map(|name| if is_index(name) { String::new() } else { name.clone() }).collect();
        let of_model = expected.as_ref().is_some_and(|expected| expected.of_model);
        let expected = expected.map(|expected| expected.folded(&columns)).transpose().map_err(fail)?;
        let mut plan = plan(Some(shown), names.len(), expected.as_deref()).map_err(fail)?;
        plan.names = Some(names);
        for column in std::mem::take(&mut plan.nameless) {
            let shown = plan.shown(column - 1);
            notes.push(format!("{}: {shown} is a row index or has no name, and is left out", file.display()));
        }
        for (column, role) in columns.iter().zip(&plan.roles) {
            let hint = if column.cells == ArrayKind::Text { WORD } else { CELL };
            column.refuse(*role, is_encoded).map_err(|problem| wrong(file, &problem).with_hint(hint))?;
        }
        Ok(Self { of_model, ..Self::of(file, plan, columns)? })
    }

    fn of(file: &Path, plan: Plan, columns: Vec<FileColumn>) -> Result<Self, DataError> {
        let mut taken = Vec::new();
        let mut layout = Self {
            plan,
            holds: columns.iter().map(FileColumn::holds).collect(),
            of_model: false,
            columns: Vec::new(),
            width: 0,
            feature_names: Vec::new(),
            is_bytes: true,
            image_shape: None,
        };
        for (column, found) in columns.into_iter().enumerate() {
            let role = layout.plan.roles[column];
            if role != Role::Ignored {
                let extent = found.extent.map_err(|fault| layout.located(file, 0, column, fault))?;
                taken.push(ColumnPlan {
                    column,
                    role,
                    start: 0,
                    extent,
                    numbers: found.cells.numbers(),
                    is_many: found.cells.is_many(),
                    kind: kind_of(found.field.data_type()),
                    is_nothing: found.cells == ArrayKind::Nothing,
                    is_long: matches!(value_type(found.field.data_type()), DataType::Int64 | DataType::UInt64),
                });
            }
        }
        taken.sort_by_key(|taken| if let Role::Feature(j) = taken.role { j } else { usize::MAX });
        for taken in &mut taken {
            let Role::Feature(j) = taken.role else { continue };
            taken.start = layout.width;
            layout.width += taken.extent.width;
            layout.is_bytes &= taken.numbers == Some(Numbers::Bytes);
            layout.image_shape = taken.extent.shape.filter(|_| layout.plan.n_features == 1);
            let name = layout.plan.feature_names.as_ref().map_or("", |names| &names[j]);
            if taken.is_many {
                layout.feature_names.extend((0..taken.extent.width).map(|item| element(name, item)));
            } else {
                layout.feature_names.push(name.to_owned());
            }
        }
        layout.columns = taken;
        Ok(layout)
    }

    /// Whether there are features that are no plain numbers: words, dates, columns without a value.
    pub(super) fn has_kinds(&self) -> bool {
        let mut features = self.columns.iter().filter(|taken| matches!(taken.role, Role::Feature(_)));
        features.any(|taken| taken.kind != CellKind::Number || taken.is_nothing)
    }

    /// Content of a column, as `column NAME holds text`.
    pub(super) fn holds(&self, column: usize) -> &str {
        &self.holds[column]
    }

    /// Notes whole numbers that are rounded, by the largest size of each feature.
    pub(super) fn note_long(&self, notes: &mut Vec<String>, largest: impl Fn(usize) -> f64) {
        for taken in self.columns.iter().filter(|taken| taken.is_long && matches!(taken.role, Role::Feature(_))) {
            if largest(taken.start) >= EXACT {
                notes.push(format!(
                    "{} has whole numbers beyond 2^53, which are rounded; where they are codes, `category` or `ignore` names the column",
                    self.plan.shown(taken.column)
                ));
            }
        }
    }

    /// The features that are named categories.
    pub(super) fn categories(&self) -> &[usize] {
        &self.plan.categories
    }

    /// The error about a cell of a batch that begins at a row.
    pub(super) fn located(&self, file: &Path, first: usize, column: usize, fault: CellFault) -> DataError {
        let shown = match (fault.item, &self.plan.names) {
            (Some(item), Some(names)) => format!("column {}", quote(&element(&names[column], item))),
            _ => self.plan.shown(column),
        };
        let hint = match self.plan.roles[column] {
            Role::Weight => weights::HINT,
            Role::Label => "the label is a whole number or a word",
            Role::Feature(_) | Role::Ignored if fault.is_odd => ODD,
            Role::Feature(_) | Role::Ignored if fault.is_missing && self.of_model => FILLED,
            Role::Feature(_) | Role::Ignored if fault.is_missing => LACKS,
            Role::Feature(_) | Role::Ignored => CELL,
        };
        let problem = format!("{shown}: {}", fault.problem);
        let position = Position::Record(first + fault.row + 1);
        DataError::content(file, position, problem).with_hint(fault.hint.unwrap_or(hint))
    }
}

impl FileColumn {
    /// Refuses what cannot have a role; text can be a feature where the table is encoded.
    fn refuse(&self, role: Role, is_encoded: bool) -> Result<(), String> {
        let fits = match role {
            Role::Ignored => true,
            Role::Label => self.cells.is_label(self.field.data_type()),
            Role::Weight => matches!(self.cells, ArrayKind::Numbers(_)),
            Role::Feature(_) if is_encoded => {
                self.cells.numbers().is_some() || matches!(self.cells, ArrayKind::Text | ArrayKind::Nothing)
            }
            Role::Feature(_) => self.cells.numbers().is_some(),
        };
        if fits {
            return Ok(());
        }
        let expected = if role == Role::Label { "labels" } else { "numbers" };
        Err(format!("{}, expected {expected}", self.holds()))
    }

    fn holds(&self) -> String {
        format!("column {} holds {}", quote(self.field.name()), self.cells.in_words(self.field.data_type()))
    }
}

impl RequiredNames<'_> {
    /// The names with those of the features of one column, `name[0]`, `name[1]`, ..., as the name of that column.
    fn folded(&self, columns: &[FileColumn]) -> Result<Vec<String>, Complaint> {
        let (mut folded, mut at) = (Vec::new(), 0);
        while at < self.names.len() {
            let many =
                |base: &&str| columns.iter().find(|column| column.cells.is_many() && column.field.name() == base);
            let column = self.names[at].strip_suffix("[0]").as_ref().and_then(many);
            let Some(column) = column else {
                folded.push(self.names[at].clone());
                at += 1;
                continue;
            };
            let name = column.field.name();
            let n =
                self.names[at..].iter().enumerate().take_while(|(item, found)| **found == element(name, *item)).count();
            if let Ok(found) = &column.extent
                && found.width != n
            {
                let problem = format!(
                    "column {} is {} features, expected {n}, which {} has",
                    quote(name),
                    found.width,
                    if self.of_model { "the model" } else { "train" }
                );
                return Err(Complaint::new(problem, ODD));
            }
            folded.push(name.clone());
            at += n;
        }
        Ok(folded)
    }
}

/// Whether a column is the row index of pandas.
pub(super) fn is_index(name: &str) -> bool {
    name.starts_with("__index_level_") && name.ends_with("__")
}

/// The name of one feature of a list.
fn element(name: &str, item: usize) -> String {
    format!("{name}[{item}]")
}
