"""The examples of docstrings and documents run."""

import doctest
import importlib
import pathlib
import re

import pytest

MODULES = ["burn_svm", *(f"burn_svm.{name}" for name in ("_certify", "_classes", "_gradient", "_search", "_data", "_base", "_model"))]
DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


def test_document(tmp_path, monkeypatch):
    """The Python of docs/python.md, from its first line to its last."""
    if not DOCUMENT.exists():
        pytest.skip("no docs/python.md")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(blocks) > 5
    names = {}
    for block in blocks:
        exec(compile(block, str(DOCUMENT), "exec"), names)
