#!/usr/bin/env python3
"""Write digits.bin.gz from scikit-learn's copy of the UCI handwritten digits, and print what the tests pin.

    pip install scikit-learn
    python make_digits.py

1,797 records of 65 bytes: 64 pixels (8 rows of 8, values 0 to 16), then the digit.
"""
import gzip, hashlib, os
import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
assert digits.data.shape == (1797, 64) and (digits.data == digits.data.astype(np.uint8)).all()
pixels, labels = digits.data.astype(np.uint8), digits.target.astype(np.uint8)
raw = np.hstack([pixels, labels[:, None]]).tobytes()
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "digits.bin.gz")
with open(path, "wb") as file:
    file.write(gzip.compress(raw, 9, mtime=0))

position = np.arange(1, pixels.size + 1, dtype=np.int64)
print("sum of values", int(pixels.sum(dtype=np.int64)))
print("sum of value * (1 + position)", int((pixels.reshape(-1).astype(np.int64) * position).sum()))
print("rows of each class", np.bincount(labels).tolist())
print("first and last label", int(labels[0]), int(labels[-1]))
print("sha256 of the records", hashlib.sha256(raw).hexdigest())
print("sha256 of the file   ", hashlib.sha256(open(path, "rb").read()).hexdigest())
print("bytes", os.path.getsize(path))
