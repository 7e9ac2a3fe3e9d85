"""The examples of docstrings, documents and notebooks run."""

import doctest
import importlib
import inspect
import json
import os
import pathlib
import re

import pytest

import burn_svm
from conftest import SHARED

MODULES = ["burn_svm", *(f"burn_svm.{name}" for name in ("_base", "_certify", "_classes", "_data", "_gradient", "_model", "_search", "dask", "plot"))]
ROOT = pathlib.Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "python.md"
#: Notebooks, with the data whose outputs they hold.
NOTEBOOKS = {"first_steps": None, "certified": "libsvm/news20-bydate.bz2", "cs231n": "cifar-10-binary-small.tar.gz"}
NUMBER = re.compile(r"[-+]?\d[\d_,]*(?:\.\d+)?(?:e[-+]?\d+)?")


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    if name == "burn_svm.dask":
        pytest.importorskip("distributed", reason="no Dask")
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


def test_everything_public_has_an_example():
    from burn_svm import plot

    public = {name: getattr(burn_svm, name) for name in burn_svm.__all__ if not name.startswith("__")}
    public |= {name: thing for name, thing in vars(plot).items() if name.startswith("plot_")}
    assert len(public) >= 14
    assert [name for name, thing in public.items() if ">>>" not in inspect.getdoc(thing)] == []


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


def printed(notebook):
    """What the cells of a notebook print, numbers aside."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    text = "".join("".join(output.get("text", output.get("data", {}).get("text/plain", ""))) + "\n" for output in outputs)
    return NUMBER.sub("#", text).split()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook(name, monkeypatch):
    """A notebook runs, and prints what it holds where the data are those that it was stored with."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    path = ROOT / "examples" / f"{name}.ipynb"
    if not path.exists():
        pytest.skip("no notebooks")
    stored = json.loads(path.read_text())
    needed = NOTEBOOKS[name]
    folder = next((folder for folder in SHARED if needed and (folder / needed).exists()), None)
    monkeypatch.setenv("BURN_SVM_DATA", str(folder.resolve() if folder else path.parent / "absent"))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    found = nbclient.NotebookClient(nbformat.reads(path.read_text(), as_version=4), timeout=600, kernel_name="python3").execute()
    if folder or not needed:
        assert printed(found) == printed(stored)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_stored_with_outputs(name):
    path = ROOT / "examples" / f"{name}.ipynb"
    if not path.exists():
        pytest.skip("no notebooks")
    text = path.read_text()
    stored = json.loads(text)
    assert all(cell["execution_count"] for cell in stored["cells"] if cell["cell_type"] == "code")
    assert sum(bool(cell.get("outputs")) for cell in stored["cells"]) >= 5 and '"output_type": "error"' not in text
    homes = ("/home/", "/root/", "/Users/", "/tmp/", "site-packages", os.sep.join(ROOT.parts[:3]))
    assert [home for home in homes if home in text] == []
