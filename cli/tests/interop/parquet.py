"""Holds tables read from Parquet against the same tables read from csv, for many ways in which pyarrow writes them.

    pip install numpy pyarrow
    python cli/tests/interop/parquet.py [PROGRAM [FILES]]

Each file has made-up columns of random types, encodings, compressions, page versions and sizes of pages and row groups. A model is
trained for a few steps on both; the weights, class names and names of the features must be equal byte for byte.
"""

import csv
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

program = [str(Path(sys.argv[1]).resolve())] if sys.argv[1:] else ["cargo", "run", "--release", "-q", "--"]
n_files = int(sys.argv[2]) if sys.argv[2:] else 40
CONFIG = "[data.{format}]\ntrain = 'table.{format}'\nlabel = 'y'\n[preprocess]\ncenter = 'mean'\nscale = 'std'\n[objective]\nlambda = 1e-3\n[loss.weston_watkins]\n[solver.sgd]\nsteps = 20\n"
INTEGERS = {"int8": 7, "int16": 15, "int32": 24, "int64": 24, "uint8": 8, "uint16": 16, "uint32": 24, "uint64": 24}


def column(draw, n):
    """A column, and its encodings where there is no dictionary."""
    kind = draw.choice([*INTEGERS, "float16", "float32", "float64", "bool"])
    if kind == "bool":
        return pa.array(draw.random(n) < 0.3), ["PLAIN", "RLE"]
    if kind in INTEGERS:
        top = 2 ** INTEGERS[kind]
        low = 0 if kind.startswith("u") else -top
        few = draw.random() < 0.5
        values = draw.integers(low, top, n) if not few else draw.choice(draw.integers(low, top, 9), n)
        encodings = ["PLAIN", "DELTA_BINARY_PACKED"] + (["BYTE_STREAM_SPLIT"] if kind.endswith(("32", "64")) else [])
        return pa.array(values.astype(kind)), encodings
    values = draw.normal(size=n) * 10.0 ** draw.integers(-3, 4)
    # Values of a 32-bit float in any type, so that both texts and binary numbers are rounded alike.
    values = values.astype("float16" if kind == "float16" else "float32").astype(kind)
    return pa.array(values), ["PLAIN"] if kind == "float16" else ["PLAIN", "BYTE_STREAM_SPLIT"]


def model(folder, name):
    (folder / "config.toml").write_text(CONFIG.format(format=name))
    subprocess.run([*program, "train", "config.toml", "--out", "run", "--force", "-q"], check=True, cwd=folder)
    data = (folder / "run/model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    said = {key: header["__metadata__"][key] for key in ("class_names", "feature_names")}
    return said, data[8 + length:]


def main():
    draw = np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for i in range(n_files):
            n = int(draw.choice([2, 7, 8, 100, 1000, 5000]))
            columns, encodings = {}, {}
            for j in range(int(draw.integers(1, 30))):
                columns[f"c{j}"], possible = column(draw, n)
                encodings[f"c{j}"] = str(draw.choice(possible))
            names = np.array(["ant", "bee", "name" * 12, "é"])[draw.integers(0, 4, n)]
            names[:2] = ["ant", "bee"]
            columns["y"] = pa.array(names.tolist())
            encodings["y"] = str(draw.choice(["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]))
            required = draw.random() < 0.5
            schema = pa.schema([pa.field(name, a.type, nullable=not required) for name, a in columns.items()])
            table = pa.table(columns, schema)
            dictionary = bool(draw.random() < 0.5)
            options = {
                "compression": str(draw.choice(["none", "snappy", "gzip", "zstd", "lz4"])),
                "data_page_version": str(draw.choice(["1.0", "2.0"])), "use_dictionary": dictionary,
                "row_group_size": int(draw.choice([3, 100, 10**6])), "data_page_size": int(draw.choice([64, 1000, 10**6])),
                "dictionary_pagesize_limit": int(draw.choice([50, 10**6])), "write_page_checksum": bool(draw.random() < 0.3),
                "write_batch_size": int(draw.choice([16, 1024])),
            }
            if not dictionary:
                options["column_encoding"] = encodings
            pq.write_table(table, folder / "table.parquet", **options)
            with open(folder / "table.csv", "w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                rows = zip(*([int(v) if isinstance(v, bool) else v for v in a.to_pylist()] for a in columns.values()))
                writer.writerows([["%.9g" % v if isinstance(v, float) else v for v in row] for row in rows])
            if model(folder, "parquet") != model(folder, "csv"):
                sys.exit(f"file {i} differs: {n} rows, {options}, {table.schema}")
    print(f"{n_files} files: equal")


main()
