"""Fingerprints of the models that the configurations make: a rearrangement of the code changes no bit of them.

    python benches/golden.py record --binary BURN_SVM --to golden.json [--data DIR]
    python benches/golden.py check  --binary BURN_SVM --against golden.json [--data DIR] [--only TEXT]

Trains every case with BURN_SVM and keeps the SHA-256 of the weights, of the bias and of predictions. `check` compares with
what another build recorded on the same machine (the order of sums depends on the vector units and on the number of threads)
and ends with 1 where anything differs. DIR holds `mnist/`, `libsvm/` and `cifar-10-binary-small.tar.gz` (or the full
`cifar-10-batches-bin/`); cases whose data are not there are named and left out. About four minutes on two cores.
"""

import argparse
import hashlib
import json
import pathlib
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
IRIS = next(path for path in [ROOT / "cli/assets/iris.csv", ROOT / "assets/iris.csv"] if path.is_file())
MNIST, CIFAR, LIBSVM = "data/mnist", "data/cifar-10-batches-bin", "data/libsvm"
MNIST_TEST = f"{MNIST}/t10k-images-idx3-ubyte.gz"
SHORT = {"search-mnist": {"search.folds": 2, "search.space": '{ "objective.c" = [0.001, 0.01, 0.1] }'},
         "search-cs231n": {"solver.sgd.steps": 200}}


def table(name, **keys):
    """An inline TOML table of one key."""
    inside = ", ".join(f"{key} = {value}" for key, value in keys.items())
    return "{ " + name + " = { " + inside + " } }"


def cases():
    """(name, command, configuration, needed data, settings, file to predict)"""
    plain = [("quickstart", None, None), ("csv", None, IRIS), ("cs231n", CIFAR, None), ("mnist", MNIST, MNIST_TEST),
             ("dual", MNIST, MNIST_TEST), ("path", MNIST, MNIST_TEST), ("libsvm", LIBSVM, None)]
    for config, needs, rows in plain:
        for threads in [1, 2]:
            yield f"{config}, {threads} threads", "train", config, needs, {"threads": threads}, rows
    for config, needs in [("quickstart", None), ("cs231n", CIFAR), ("mnist", MNIST), ("libsvm", LIBSVM)]:
        for route in ["autodiff", "analytic", "fused"]:
            few = {"cs231n": {"solver.sgd.steps": 300}, "mnist": {"solver.sgd.epochs": 1},
                   "libsvm": {"solver.sgd.epochs": 1}}.get(config, {})
            yield f"{config}, {route}", "train", config, needs, {"gradient": route, "threads": 2, **few}, None
    for config, needs in [("search-cs231n", CIFAR), ("search-mnist", MNIST)]:
        for threads in [1, 2]:
            yield f"{config}, {threads} threads", "search", config, needs, {"threads": threads, **SHORT[config]}, None
    losses = [(loss, power, smoothing) for loss in ["weston_watkins", "crammer_singer", "one_vs_rest"]
              for power, smoothing in [(1, 0.0), (2, 0.0), (1, 0.5)]]
    tables = {f"{loss} {power} {smoothing}": table(loss, power=power, smoothing=smoothing, margin=0.5)
              for loss, power, smoothing in losses}
    tables |= {f"top_k {smoothing}": table("top_k", k=3, smoothing=smoothing) for smoothing in [0.0, 0.5]}
    tables["weighted"] = table("crammer_singer", class_weights='"balanced"')
    dual, lbfgs = table("dual", gap=1e-5), table("lbfgs", tolerance=1e-6)
    for name, loss in tables.items():
        for bias in ["regularised", "free", "none"]:
            settings = {"loss": loss, "solver": dual, "preprocess.bias": bias, "objective": "{ c = 0.1 }"}
            yield f"digits, dual, {name}, {bias}", "train", "quickstart", None, settings, None
        for route in ["autodiff", "analytic", "fused"]:
            settings = {"loss": loss, "gradient": route, "solver.sgd.epochs": 3, "preprocess.bias": "free"}
            yield f"digits, sgd, {name}, {route}", "train", "quickstart", None, settings, None
        if name.split()[0] != "weighted" and (" 2 " in name or "0.5" in name):
            settings = {"loss": loss, "solver": lbfgs}
            yield f"digits, lbfgs, {name}", "train", "quickstart", None, settings, None
    for optimizer in ["adam", "momentum", "rmsprop", "adagrad", "adamw", "lion"]:
        settings = {"solver.sgd.optimizer": optimizer, "solver.sgd.epochs": 3}
        yield f"digits, {optimizer}", "train", "quickstart", None, settings, None
    for config, needs in [("cs231n", CIFAR), ("dual", MNIST), ("mnist", MNIST)]:
        yield f"{config}, in pieces", "pieces", config, needs, {"threads": 2}, None


def layout(folder, data):
    """A working directory with the data where the configurations look for them."""
    (folder / "data").mkdir()
    if data is None:
        return
    for name in ["mnist", "libsvm", "cifar-10-batches-bin"]:
        if (data / name).is_dir():
            (folder / "data" / name).symlink_to(data / name)
    archive = data / "cifar-10-binary-small.tar.gz"
    if archive.is_file() and not (folder / CIFAR).exists():
        with tarfile.open(archive) as packed:
            packed.extractall(folder / "data", filter="data")


def tensors(path):
    """SHA-256 of each tensor of a safetensors file."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__", None)
    inside = {name: raw[8 + length :][slice(*entry["data_offsets"])] for name, entry in header.items()}
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(inside.items())}


def interrupted(command, folder):
    """The command with Ctrl-C every two seconds, and `--resume`, until it is through."""
    for _ in range(100):
        child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(2.0)
        child.send_signal(signal.SIGINT)
        complaint = child.communicate()[1]
        if child.returncode == 0:
            return
        if child.returncode != 130:
            sys.exit(complaint.decode())
        command = command if command[-1] == "--resume" else [*command, "--resume"]
    sys.exit("a run in pieces did not come to its end")


def fingerprint(binary, folder, number, case):
    _, command, config, _, settings, rows = case
    out = folder / f"run{number}"
    verb = "search" if command == "search" else "train"
    arguments = [binary, verb, ROOT / f"configs/{config}.toml", "--out", out, "--quiet", "--device", "flex"]
    if config == "csv":
        settings = {**settings, "data.csv.train": json.dumps(str(IRIS))}
    arguments += [word for key, value in settings.items() for word in ["--set", f"{key}={value}"]]
    if command == "pieces":
        interrupted(list(map(str, arguments)), folder)
    elif subprocess.run(arguments, cwd=folder, capture_output=True).returncode == 2:
        return {"refused": True}
    found = {str(path.relative_to(out)): tensors(path) for path in sorted(out.rglob("*.safetensors"))
             if "checkpoint" not in path.parts}
    if rows is not None:
        predict = [binary, "predict", out, rows]
        output = subprocess.run(predict, cwd=folder, check=True, capture_output=True).stdout
        found["predictions"] = hashlib.sha256(output).hexdigest()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["record", "check"])
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--to", type=pathlib.Path)
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    before = json.loads(arguments.against.read_text()) if arguments.action == "check" else {}
    after, differing, without = {}, [], []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        layout(folder, arguments.data and arguments.data.resolve())
        for number, case in enumerate(cases()):
            if arguments.only not in case[0]:
                continue
            if case[3] and not (folder / case[3]).exists():
                without.append(case[0])
                continue
            after[case[0]] = fingerprint(binary, folder, number, case)
            if arguments.action == "check" and before.get(case[0]) != after[case[0]]:
                differing.append(case[0])
                print(f"DIFFERS  {case[0]}", flush=True)
    if without:
        print(f"left out for want of data: {'; '.join(without)}")
    if arguments.action == "record":
        arguments.to.write_text(json.dumps(after, indent=1) + "\n")
        print(f"{len(after)} cases recorded")
    else:
        print(f"{len(after) - len(differing)} of {len(after)} cases are the same, bit for bit")
        sys.exit(1 if differing or not after else 0)


if __name__ == "__main__":
    main()
