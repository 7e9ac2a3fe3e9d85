"""Writes the seeds of every target to seeds/TARGET: the fixtures of the tests, and small files of Python's own modules.

    python3 fuzz/make_seeds.py
"""

import bz2
import gzip
import io
import json
import lzma
import pathlib
import shutil
import struct
import tarfile
import zipfile
import zlib

here = pathlib.Path(__file__).resolve().parent
fixtures = here.parent / "cli/tests/fixtures"
formats = fixtures / "formats"


def put(target, name, data):
    folder = here / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def block(kind, features, rows, cells, sections, moments=None):
    """A folder of one block of two classes, as the target takes it."""
    numbers = {"u8": 0, "f32": 1, "f64": 2, "csr": 3}
    bytes = b"BSVMBLK1" + struct.pack("<IIQQQ", numbers[kind], 1, rows, features, cells)
    for section in sections:
        bytes += struct.pack("<II", len(section), len(section)) + section
    entry = {"rows": rows, "cells": cells, "bytes": 0, "crc32c": 0}
    about = {"burn_svm_blocks": 1, "cells": kind, "features": features, "class_names": ["a", "b"], "weights": True, "seed": 0, "train": [entry]}
    if moments is not None:
        bytes, about["moments"] = moments, {"bytes": 0, "crc32c": 0}
    text = json.dumps(about).encode()
    return struct.pack("<H", len(text)) + text + bytes


def planes(words):
    """Numbers of four bytes, the first bytes of all first."""
    packed = [struct.pack("<f" if isinstance(word, float) else "<I", word) for word in words]
    return bytes(word[i] for i in range(4) for word in packed)


def idx(kind, dims, data):
    return bytes([0, 0, kind, len(dims)]) + b"".join(struct.pack(">I", d) for d in dims) + data


def tar(files, kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue().rstrip(b"\0") + bytes(1024)


def main():
    shutil.rmtree(here / "seeds", ignore_errors=True)
    put("idx", "images", idx(8, [2, 2, 2], bytes(range(8))))
    put("idx", "floats", idx(13, [2, 3], struct.pack(">6f", *range(6))))
    put("idx", "doubles", idx(14, [1, 2], struct.pack(">2d", 1, -1)))
    put("idx", "shorts", idx(11, [3, 1], struct.pack(">3h", -1, 0, 300)))
    record = bytes([3]) + bytes(i % 251 for i in range(3072))
    put("cifar", "one", record)
    put("cifar", "hundred", bytes([1]) + record)
    batches = [("c/data_batch_1.bin", record), ("c/test_batch.bin", record), ("c/batches.meta.txt", b"a\nb\nc\nd\n")]
    put("cifar_tar", "ustar", tar(batches, tarfile.USTAR_FORMAT))
    put("cifar_tar", "gnu", tar([("d" * 120 + "/data_batch_1.bin", record)], tarfile.GNU_FORMAT))
    put("cifar_tar", "pax", tar([("d" * 300 + "/train.bin", bytes([1]) + record)], tarfile.PAX_FORMAT))
    put("cifar_tar", "gz", gzip.compress(tar(batches, tarfile.USTAR_FORMAT), mtime=0))
    for name in ("dump.libsvm",):
        put("libsvm", name, (formats / name).read_bytes())
    put("libsvm", "words", b"\xef\xbb\xbf# head\ncat 1:0.5 3:-2e1 # x\r\n\ndog 2:+1\n-1.0 7:.5\n")
    put("libsvm", "bare", b"1:0.5 2:1\n\n3:1e-3\n")
    for choice, name in ((0x01, "pandas.csv"), (0xd1, "quoted.csv"), (0x02, "plain.tsv"), (0x45, "pandas.csv"), (0x42, "plain.tsv")):
        put("csv", f"{choice:02x}-{name}", bytes([choice]) + (formats / name).read_bytes())
    put("csv_cells", "few", bytes([0x20]) + bytes(range(1, 30)))
    put("csv_cells", "many", bytes([0x35]) + bytes((i * 37) % 256 for i in range(300)))
    labels, weights = (0, 1, 1), (1.0, 0.5, 2.0)
    plain = [struct.pack("<3I", *labels), struct.pack("<3f", *weights)]
    mixed = [planes(labels), planes(weights)]
    put("blocks", "u8", block("u8", 2, 3, 6, [*mixed, bytes(range(6))]))
    put("blocks", "f32", block("f32", 2, 3, 6, [*plain, struct.pack("<6f", *range(6))]))
    put("blocks", "f64", block("f64", 2, 3, 6, [*plain, struct.pack("<6d", *range(6))]))
    put("blocks", "csr", block("csr", 9, 3, 4, [*mixed, planes((2, 0, 2)), planes((1, 3, 0, 8)), planes((1.0, -2.0, 3.0, 4.0))]))
    put("blocks", "moments", block("f32", 2, 3, 6, [], struct.pack("<Q12d", 3, *range(12))))
    for path in formats.glob("*.np[yz]"):
        put("npy", path.name, path.read_bytes())
        if path.suffix == ".npz" and path.name != "kinds.npz":
            # Stored, so that a change of a byte is a change of an array.
            stored = io.BytesIO()
            with zipfile.ZipFile(path) as packed, zipfile.ZipFile(stored, "w") as archive:
                for info in packed.infolist():
                    archive.writestr(zipfile.ZipInfo(info.filename), packed.read(info))
            put("npy", "stored-" + path.name, stored.getvalue())
    for path in formats.glob("*.parquet"):
        if path.name not in ("brotli.parquet",):
            put("parquet", path.name, bytes([0x01 if "typed" not in path.name else 0xc1]) + path.read_bytes())
    for path in (p for end in ("arrow", "arrows", "feather") for p in formats.glob(f"*.{end}")):
        put("arrow", path.name, b"\x01" + path.read_bytes())
    for path in formats.glob("images/kinds/*"):
        put("images", path.name, path.read_bytes())
    text = b"".join(b"%d,%d,a\n" % (i, i * i) for i in range(60))
    for target, pack in (("gzip", lambda d: gzip.compress(d, mtime=0)), ("bzip2", bz2.compress), ("xz", lzma.compress)):
        put(target, "text", pack(text))
        put(target, "two", pack(text) + pack(b"x"))
        put(target, "empty", pack(b""))
        put(target, "zeros", pack(bytes(5000)))
    put("gzip", "stored", b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\1\3\0\xfc\xffabc" + struct.pack("<II", zlib.crc32(b"abc"), 3))
    put("xz", "crc64", lzma.compress(text, check=lzma.CHECK_CRC64, preset=0))
    put("xz", "delta", lzma.compress(text, filters=[{"id": lzma.FILTER_DELTA, "dist": 3}, {"id": lzma.FILTER_LZMA2, "preset": 0}]))
    # A frame of a raw block, one of a block of one byte repeated, and one that is skipped.
    put("zstd", "raw", b"\x28\xb5\x2f\xfd\x20\x03\x19\0\0abc")
    put("zstd", "run", b"\x28\xb5\x2f\xfd\x60\x00\x10\x03\x88\0a")
    put("zstd", "skipped", b"\x28\xb5\x2f\xfd\x20\x03\x19\0\0abc\x50\x2a\x4d\x18\4\0\0\0xxxx")
    packed = (formats / "typed.zstd.parquet").read_bytes()
    for n, at in enumerate(i for i in range(len(packed)) if packed[i:i + 4] == b"\x28\xb5\x2f\xfd"):
        if n < 8:
            put("zstd", f"page{n}", packed[at:at + 200])
    for path in (here.parent / "configs").glob("*.toml"):
        put("config", path.name, b"solver.sgd.steps=5\n" + path.read_bytes())
    reference = (here.parent / "configs/reference.toml").read_text()
    tables = [line[1:] for line in reference.splitlines() if line.startswith("#[")]
    put("config", "tables", "\n".join(tables).encode())
    put("model", "v1", (fixtures / "model-v1.safetensors").read_bytes())
    put("checkpoint", "v1", (fixtures / "checkpoint-v1.safetensors").read_bytes())
    for path in (fixtures / "liblinear").glob("*.model"):
        put("liblinear", path.name, path.read_bytes().removeprefix(b"solver_type "))
    put("predict", "libsvm", b"1 1:0.5 3:-2\n2 2:1\n")
    put("predict", "csv", b"one,two,three\n1,2,3\n4,5,6\n")
    put("predict", "bare", b"1,2,3\n4,5,6\n")
    for name in ("version3.npy", "labels.npz", "typed.none.parquet", "images/kinds/flat-grey.jpg"):
        put("predict", pathlib.Path(name).name, (formats / name).read_bytes())
    put("predict", "gz", gzip.compress(b"1,2,3\n", mtime=0))
    put("predict", "idx", idx(8, [1, 3], b"abc"))


main()
