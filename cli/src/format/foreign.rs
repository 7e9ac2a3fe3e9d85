//! Files that no reader reads, told by their first bytes, with the next step for each.

use super::open::{is_text, looks_like};
use super::{DataError, Format, Position};
use memchr::memmem;
use std::path::Path;

/// A kind of file that is not read.
struct ForeignFormat {
    name: &'static str,
    step: &'static str,
}

/// The name of text that is not in UTF-8.
pub(super) const UTF_16: &str = "UTF-16 text";

const EXCEL: &str =
    "save it as csv in the spreadsheet program, or `pandas.read_excel(FILE).to_csv(\"table.csv\", index=False)`";

/// Kinds by their first bytes, which text does not have.
const BINARY: [(&[u8], ForeignFormat); 13] = [
    (b"\xd0\xcf\x11\xe0", ForeignFormat { name: "an Excel workbook (xls)", step: EXCEL }),
    (
        b"\x89HDF",
        ForeignFormat {
            name: "an HDF5 file",
            step: "write its arrays as npz: `numpy.savez(\"data.npz\", x=file[\"x\"][:], y=file[\"y\"][:])` with `file = h5py.File(FILE)`",
        },
    ),
    (
        b"Obj\x01",
        ForeignFormat {
            name: "an Avro file",
            step: "write it as Parquet: `polars.read_avro(FILE).write_parquet(\"table.parquet\")`",
        },
    ),
    (
        b"ORC",
        ForeignFormat {
            name: "an ORC file",
            step: "write it as Parquet: `pandas.read_orc(FILE).to_parquet(\"table.parquet\")`",
        },
    ),
    (
        b"SQLite format 3\0",
        ForeignFormat {
            name: "an SQLite database",
            step: "write the table as csv: `sqlite3 -header -csv FILE \"select * from NAME\" > table.csv`",
        },
    ),
    (
        b"MATLAB 5.0",
        ForeignFormat {
            name: "a MATLAB file",
            step: "write its arrays as npz: `numpy.savez(\"data.npz\", x=m[\"X\"], y=m[\"y\"].ravel())` with `m = scipy.io.loadmat(FILE)`",
        },
    ),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"7z\xbc\xaf\x27\x1c", ForeignFormat { name: "a 7-Zip archive", step: "unpack it: `7z x FILE`" }),
    (b"Rar!", ForeignFormat { name: "a RAR archive", step: "unpack it: `unrar x FILE`" }),
    (
        b"\x04\x22\x4d\x18",
        ForeignFormat { name: "an lz4 stream", step: "unpack it: `lz4 -d FILE`; gzip, bzip2, xz and zstd are read" },
    ),
];

const PICKLE: ForeignFormat = ForeignFormat {
    name: "a Python pickle",
    step: "opening one runs code: where it is yours, write it with numpy.save or DataFrame.to_parquet; `burn-svm fetch cifar10` has CIFAR \
           in its binary version",
};

const JSON: ForeignFormat = ForeignFormat {
    name: "JSON",
    step: "write it as csv: `pandas.read_json(FILE, lines=True).to_csv(\"table.csv\", index=False)`, without `lines` for one array",
};

/// Parts of the first entries of zip archives that are no npz.
const ZIPPED: [(&[u8], ForeignFormat); 4] = [
    (b"xl/", ForeignFormat { name: "an Excel workbook (xlsx)", step: EXCEL }),
    (b"[Content_Types].xml", ForeignFormat { name: "an Office document", step: EXCEL }),
    (b"mimetypeapplication/vnd.oasis", ForeignFormat { name: "an OpenDocument file", step: EXCEL }),
    (
        b"/data.pkl",
        ForeignFormat {
            name: "a file of PyTorch",
            step: "write its tensors as npz: `numpy.savez(\"data.npz\", x=x.numpy(), y=y.numpy())`",
        },
    ),
];

const BROTLI: ForeignFormat =
    ForeignFormat { name: "a brotli stream", step: "unpack it: `brotli -d FILE`; gzip, bzip2, xz and zstd are read" };

fn kind(file: &Path, head: &[u8]) -> Option<&'static ForeignFormat> {
    if head.starts_with(b"PK\x03\x04") {
        return ZIPPED.iter().find(|(part, _)| memmem::find(head, part).is_some()).map(|(_, kind)| kind);
    }
    if is_text(head) {
        let inner = head.trim_ascii_start();
        let is_json =
            |start: &[u8]| inner.strip_prefix(start).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\""));
        let is_array = || inner.strip_prefix(b"[").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"));
        return (is_json(b"{") || is_array()).then_some(&JSON);
    }
    // A stream of brotli has no magic.
    let is_brotli = || file.extension().is_some_and(|e| e == "br") && !head.is_empty();
    let known = BINARY.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| kind);
    known.or_else(|| is_brotli().then_some(&BROTLI))
}

/// Refuses what no reader reads.
pub(super) fn refuse(file: &Path, head: &[u8]) -> Result<(), DataError> {
    match kind(file, head) {
        None => Ok(()),
        Some(ForeignFormat { name, step }) => {
            let problem = format!("found {name}, expected a format that is read, such as csv, Parquet or npy");
            Err(DataError::content(file, Position::File, problem).with_hint(*step))
        }
    }
}

/// The error about a file of another kind than was expected, with the table that reads it.
pub(super) fn unexpected(file: &Path, head: &[u8], position: Position, expected: &str) -> DataError {
    let found = looks_like(head);
    let error = DataError::content(file, position, format!("found {found}, expected {expected}"));
    if found == UTF_16 {
        return error.with_hint("save it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE > NEW`");
    }
    match Format::detect(file, head) {
        Some(Format::Images) => error.with_hint("`[data.images]` reads folders of images"),
        Some(format) => {
            error.with_hint(format!("`[data.{format}]` reads it, `--format {format}` where a command has no table"))
        }
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_named_with_a_next_step() {
        let zip =
            |name: &str| [b"PK\x03\x04\x14\0\0\0\x08\0".as_slice(), &[0; 16], &[19, 0, 0, 0], name.as_bytes()].concat();
        for (file, head, name) in [
            ("x", zip("[Content_Types].xml....xl/workbook.xml"), "an Excel workbook (xlsx)"),
            ("x", zip("[Content_Types].xml....word/document.xml"), "an Office document"),
            ("x", zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"), "an OpenDocument file"),
            ("x", zip("model/data.pkl"), "a file of PyTorch"),
            ("x", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), "an Excel workbook (xls)"),
            ("x", b"\x89HDF\r\n\x1a\n".to_vec(), "an HDF5 file"),
            ("x", b"Obj\x01\x04\x14".to_vec(), "an Avro file"),
            ("x", b"ORC\x08\x03".to_vec(), "an ORC file"),
            ("x", b"\x80\x05\x95".to_vec(), "a Python pickle"),
            ("x", b"{\"a\": 1}\n{\"a\": 2}\n".to_vec(), "JSON"),
            ("x", b"[{\"a\": 1}]".to_vec(), "JSON"),
            ("x.csv.br", b"\x1b\x0e\0\xf8\x8d".to_vec(), "a brotli stream"),
        ] {
            let error = refuse(Path::new(file), &head).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{file}: found {name}, expected a format")), "{error}");
            assert!(error.hint.is_some_and(|hint| hint.contains('`')));
        }
        for (file, head) in [
            ("x", zip("x.npy")),
            ("x", b"ORCHARD,y\n1,2\n".to_vec()),
            ("x.br", b"a,b\n".to_vec()),
            ("x", b"{a}\n".to_vec()),
        ] {
            assert!(refuse(Path::new(file), &head).is_ok());
        }
    }
}
