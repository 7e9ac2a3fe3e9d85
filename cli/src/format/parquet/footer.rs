//! The footer: what the columns are, and where their chunks lie.

use super::kind::{self, Kind};
use super::thrift::{Problem, Thrift};

/// What the end of a file says of it.
#[derive(Debug, Default)]
pub(super) struct Footer {
    pub(super) columns: Vec<Column>,
    pub(super) groups: Vec<Group>,
    n_leaves: usize,
}

/// A column of the table.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// What its cells are, or why they cannot be read.
    pub(super) kind: Result<Kind, String>,
    /// True where cells may be missing.
    pub(super) optional: bool,
    /// Which of the chunks of a row group is its own.
    pub(super) leaf: usize,
}

/// Some of the rows.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) chunks: Vec<Chunk>,
    pub(super) n_rows: u64,
}

/// The cells of a column in a row group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) codec: i64,
    pub(super) start: u64,
    pub(super) len: u64,
}

/// An element of the schema, which lists a tree in depth-first order.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) physical: Option<i64>,
    pub(super) width: Option<u64>,
    repetition: Option<i64>,
    name: String,
    n_children: u64,
    pub(super) converted: Option<i64>,
    pub(super) scale: i64,
    /// The number of the logical type, and of an integer its bits and sign.
    pub(super) logical: Option<Logical>,
}

type Logical = (i64, Option<(i64, bool)>);

impl Footer {
    /// Reads the metadata, without the length and the magic behind them.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let (mut schema, mut groups, mut n_rows) = (None, None, None);
        Thrift::new(bytes).structure(|t, id, kind| {
            match id {
                2 => schema = Some(t.structures(kind, Element::read)?),
                3 => n_rows = Some(t.size(kind)?),
                4 => groups = Some(t.structures(kind, Group::read)?),
                _ => t.skip(kind)?,
            }
            Ok(())
        })?;
        let (schema, groups) = (schema.ok_or("it has no schema")?, groups.ok_or("it has no row groups")?);
        let (columns, n_leaves) = columns(&schema)?;
        let footer = Self { columns, groups, n_leaves };
        let found = footer.groups.iter().try_fold(0u64, |sum, group| sum.checked_add(group.n_rows));
        if n_rows.is_none() || n_rows != found {
            return Err("the numbers of rows do not add up".into());
        }
        if footer.groups.iter().any(|group| group.chunks.len() != footer.n_leaves) {
            return Err("a row group has other columns than the schema".into());
        }
        Ok(footer)
    }

    /// Rows of the file.
    pub(super) fn n_rows(&self) -> u64 {
        self.groups.iter().map(|group| group.n_rows).sum()
    }
}

/// The children of the root; those with children of their own are nested, which no feature is.
fn columns(schema: &[Element]) -> Result<(Vec<Column>, usize), Problem> {
    let root = schema.first().ok_or("it has no schema")?;
    let (mut columns, mut n_leaves, mut at) = (Vec::new(), 0, 1);
    for _ in 0..root.n_children {
        let element = schema.get(at).ok_or("its schema ends early")?;
        let leaf = n_leaves;
        // Elements of this column that are still to come.
        let mut pending = 1u64;
        while pending > 0 {
            let inner = schema.get(at).ok_or("its schema ends early")?;
            pending = (pending - 1).checked_add(inner.n_children).ok_or("its schema ends early")?;
            n_leaves += usize::from(inner.n_children == 0);
            at += 1;
        }
        let nested = element.n_children > 0 || element.repetition == Some(2);
        let kind = if nested { Err("lists or structures".to_owned()) } else { kind::of(element) };
        let optional = element.repetition != Some(0);
        columns.push(Column { name: element.name.clone(), kind, optional, leaf });
    }
    if at != schema.len() {
        return Err("its schema goes on after the last column".into());
    }
    Ok((columns, n_leaves))
}

impl Element {
    fn read(t: &mut Thrift<'_>) -> Result<Self, Problem> {
        let (mut element, mut name) = (Self::default(), None);
        t.structure(|t, id, kind| {
            match id {
                1 => element.physical = Some(t.int(kind)?),
                2 => element.width = Some(t.size(kind)?),
                3 => element.repetition = Some(t.int(kind)?),
                4 => name = Some(t.text(kind)?),
                5 => element.n_children = t.size(kind)?,
                6 => element.converted = Some(t.int(kind)?),
                7 => element.scale = t.int(kind)?,
                10 => element.logical = logical(t, &mut element.scale)?,
                _ => t.skip(kind)?,
            }
            Ok(())
        })?;
        element.name = name.ok_or("a column has no name")?;
        Ok(element)
    }
}

/// The union of logical types: one field, whose number says which.
fn logical(t: &mut Thrift<'_>, scale: &mut i64) -> Result<Option<Logical>, Problem> {
    let mut found = None;
    t.structure(|t, which, kind| {
        let (mut bits, mut signed) = (None, None);
        if !matches!(which, kind::DECIMAL | kind::INTEGER) {
            found = Some((which, None));
            return t.skip(kind);
        }
        t.structure(|t, id, kind| {
            match (which, id) {
                (kind::DECIMAL, 1) => *scale = t.int(kind)?,
                (kind::INTEGER, 1) => bits = Some(t.int(kind)?),
                (kind::INTEGER, 2) => signed = Some(Thrift::bool(kind)?),
                _ => t.skip(kind)?,
            }
            Ok(())
        })?;
        found = Some((which, bits.zip(signed)));
        Ok(())
    })?;
    Ok(found)
}

impl Group {
    fn read(t: &mut Thrift<'_>) -> Result<Self, Problem> {
        let (mut chunks, mut n_rows) = (None, None);
        t.structure(|t, id, kind| {
            match id {
                1 => chunks = Some(t.structures(kind, Chunk::read)?),
                3 => n_rows = Some(t.size(kind)?),
                _ => t.skip(kind)?,
            }
            Ok(())
        })?;
        let incomplete = "a row group is incomplete";
        Ok(Self { chunks: chunks.ok_or(incomplete)?, n_rows: n_rows.ok_or(incomplete)? })
    }
}

impl Chunk {
    fn read(t: &mut Thrift<'_>) -> Result<Self, Problem> {
        let mut chunk = None;
        t.structure(|t, id, kind| {
            match id {
                1 => return Err("its data lie in another file".into()),
                3 => chunk = Some(Self::metadata(t)?),
                _ => t.skip(kind)?,
            }
            Ok(())
        })?;
        chunk.ok_or_else(|| "a column has no metadata".into())
    }

    fn metadata(t: &mut Thrift<'_>) -> Result<Self, Problem> {
        let [mut codec, mut len, mut data, mut dictionary] = [None; 4];
        t.structure(|t, id, kind| {
            let field = match id {
                4 => &mut codec,
                7 => &mut len,
                9 => &mut data,
                11 => &mut dictionary,
                _ => return t.skip(kind),
            };
            *field = Some(t.size(kind)?);
            Ok(())
        })?;
        let (Some(codec), Some(len), Some(data)) = (codec, len, data) else {
            return Err("the metadata of a column are incomplete".into());
        };
        // Some writers leave 0 where there is no dictionary.
        let start = dictionary.filter(|&at| at > 0).map_or(data, |at| at.min(data));
        Ok(Self { codec: codec.cast_signed(), start, len })
    }
}
