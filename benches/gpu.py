#!/usr/bin/env python3
"""A graphics card in one call: what it has, whether it computes right, and how fast, beside the processor and PyTorch.

    cargo build --release --features vulkan
    python3 benches/gpu.py [--program target/release/burn-svm] [--device vulkan] [--rows N] [--minutes 8] [--json FILE]

Needs the program, this file and Python without packages; PyTorch is measured where it can be imported. Nothing is downloaded: the rows are
made up, with classes that overlap. Parts, each in a process of its own with a limit of time; one that fails is noted, and the next begins:

    devices, selfcheck, gradcheck
    cs231n       the run of CS231n (1,500 steps of 200 rows of CIFAR-10's shape) by each route of the gradient
    passes       full passes over those rows, loss and gradient, beside PyTorch
    optimum      the objective of CS231n to relative gaps of 1e-2 and 1e-3: proximal Newton on the card, ascent on all cores
    probe        a linear probe, 200,000 x 2,048 f32 with 1,000 classes, to the same gaps by the same solvers

--rows takes so many rows of CIFAR-10's shape, and as many of a probe of 256 features and 20 classes, for an adapter in software.
"""

import argparse
import array
import importlib.util
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import time


def cifar(folder, rows):
    """Files of CIFAR-10's format: noise over one of ten pictures."""
    rng = random.Random(1)
    width = 3_072
    low = int.from_bytes(b"\x7f" * width, "little")
    pictures = [int.from_bytes(rng.randbytes(width), "little") & ~low for _ in range(10)]
    every = -(-rows // 5)
    left = rows
    for name, count in [(f"data_batch_{i}.bin", every) for i in range(1, 6)] + [("test_batch.bin", every)]:
        count = count if name == "test_batch.bin" else min(count, left)
        left -= count if name != "test_batch.bin" else 0
        with open(folder / name, "wb") as out:
            for _ in range(count):
                label = rng.randrange(10)
                noise = int.from_bytes(rng.randbytes(width), "little")
                # A seventh of the high bits is flipped.
                flips = noise & int.from_bytes(rng.randbytes(width), "little") & int.from_bytes(rng.randbytes(width), "little")
                row = (noise & low) | (pictures[label] ^ (flips & ~low))
                out.write(bytes([label]) + row.to_bytes(width, "little"))


def header(kind, shape):
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (63 - (len(text) + 10) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def probe(folder, rows, width, classes):
    """f32 between 1 and 2, of which one bit tells the class, more often than not."""
    rng = random.Random(2)
    one, bits, low = (int.from_bytes(bytes([byte]) * width, "little") for byte in (0x80, 0x40, 0x3F))
    templates = [int.from_bytes(rng.randbytes(width), "little") & bits for _ in range(classes)]
    labels = array.array("q")
    with open(folder / "x.npy", "wb") as out:
        out.write(header("<f4", (rows, width)))
        row = bytearray(4 * width)
        row[3::4] = b"\x3f" * width
        for _ in range(rows):
            label = rng.randrange(classes)
            labels.append(label)
            noise = rng.randbytes(width)
            number = int.from_bytes(noise, "little")
            flips = number & int.from_bytes(rng.randbytes(width), "little") & bits
            row[1::4] = noise
            row[2::4] = (one | templates[label] ^ flips | number & low).to_bytes(width, "little")
            out.write(row)
    with open(folder / "y.npy", "wb") as out:
        out.write(header("<i8", (rows,)))
        out.write(labels.tobytes())


class Memory(threading.Thread):
    """The most memory of the card that its driver's tool says is in use, in MiB."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.running = None, shutil.which("nvidia-smi") is not None

    def run(self):
        while self.running:
            query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
            found = re.findall(r"\d+", subprocess.run(query, capture_output=True, text=True).stdout)
            self.peak = max([self.peak or 0] + [int(mib) for mib in found])
            time.sleep(0.2)


class Bench:
    def __init__(self, options):
        self.program, self.device = str(pathlib.Path(options.program).resolve()), options.device
        self.end = time.monotonic() + 60 * options.minutes
        self.table, self.details = [], {}

    def left(self):
        return self.end - time.monotonic()

    def call(self, *arguments, limit=120):
        """Standard output of the program, or an exception with its last words."""
        limit = min(limit, self.left())
        if limit < 5:
            raise RuntimeError("the time is up")
        command = [self.program, *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        if run.returncode != 0:
            raise RuntimeError((run.stderr.strip() or run.stdout.strip())[-400:])
        return run.stdout

    def add(self, part, what, value, unit, **more):
        self.table.append({"part": part, "what": what, "value": value, "unit": unit, **more})
        print(f"{part:<10} {what:<44} {value:>12.6g} {unit:<10} " + " ".join(f"{k} {v}" for k, v in more.items()), flush=True)

    def attempt(self, part, work):
        try:
            work()
        except Exception as problem:
            self.details[f"{part} failed"] = str(problem)
            print(f"{part:<10} failed: {problem}", flush=True)

    def train(self, folder, config, device, limit=120, threads=0):
        (folder / "c.toml").write_text(config)
        memory = Memory()
        memory.start()
        out = self.call("train", folder / "c.toml", "--device", device, "--threads", threads, "--out", folder / "run",
                        "--force", "--json", "--quiet", limit=limit)
        memory.running = False
        result = json.loads(out)
        result["card_mib"] = memory.peak
        return result


def seconds(result):
    more = {"gap": f"{result['relative_gap']:.1e}"} if result.get("relative_gap") is not None else {}
    if result["peak_rss_bytes"]:
        more["host_mb"] = round(result["peak_rss_bytes"] / 1e6)
    if result["card_mib"]:
        more["card_mib"] = result["card_mib"]
    return result["seconds_solve"], "s", {**more, "stop": result["stop_reason"]}


def on_torch(bench, rows):
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    at = "cuda" if torch.cuda.is_available() else "cpu"
    x = (torch.randint(0, 256, (rows, 3_072), dtype=torch.uint8).float() - 127.5).to(at)
    y = torch.randint(0, 10, (rows,), device=at)
    w = (1e-3 * torch.randn(3_072, 10)).to(at).requires_grad_()

    def one():
        scores = x @ w
        margins = (scores - scores.gather(1, y[:, None]) + 1.0).clamp(min=0.0).scatter(1, y[:, None], 0.0)
        (margins.sum() / rows).backward()
        w.grad = None

    def wait():
        torch.cuda.synchronize() if at == "cuda" else None

    for _ in range(3):
        one()
    wait()
    start = time.perf_counter()
    for _ in range(20):
        one()
    wait()
    bench.add("passes", f"PyTorch {torch.__version__} on {name}", 1e3 * (time.perf_counter() - start) / 20, "ms")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--program", default="target/release/burn-svm")
    options.add_argument("--device", default="vulkan", help="vulkan, cuda, wgpu, wgpu:cpu ...")
    options.add_argument("--rows", type=int, help="fewer rows, for an adapter in software")
    options.add_argument("--minutes", type=float, default=8.0)
    options.add_argument("--json", type=pathlib.Path)
    options = options.parse_args()
    bench, small = Bench(options), options.rows is not None
    rows = options.rows or 50_000
    folder = pathlib.Path(tempfile.mkdtemp(prefix="burn-svm-gpu-"))
    try:
        measure(bench, folder, options.device, rows, small)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps({"table": bench.table, **bench.details}, indent=1))


def measure(bench, folder, device, rows, small):
    def devices():
        bench.details["devices"] = json.loads(bench.call("devices", "--json"))
        print(bench.call("devices"))

    def selfcheck():
        bench.details["selfcheck"] = json.loads(bench.call("selfcheck", "--device", device, "--json"))
        print(bench.call("selfcheck", "--device", device))

    bench.attempt("devices", devices)
    bench.attempt("selfcheck", selfcheck)
    images = folder / "cifar"
    images.mkdir()
    cifar(images, rows)
    data = f'[data.cifar]\ndir = "{images}"\n[split]\nvalidation = {rows // 50}\nmethod = "last"\n[preprocess]\ncenter = "mean"\n'
    problem = data + "[objective]\nreg = 2.5e4\n[loss.weston_watkins]\n"
    steps = 200 if small else 1_500
    run = f'{problem}[solver.sgd]\nlearning_rate = 1e-7\nbatch_size = 200\nsampling = "with-replacement"\nsteps = {steps}\ninit_std = 1e-3\n'

    def gradcheck():
        (folder / "g.toml").write_text(run)
        bench.details["gradcheck"] = json.loads(bench.call("gradcheck", folder / "g.toml", "--device", device, "--json"))
        print(bench.call("gradcheck", folder / "g.toml", "--device", device))

    bench.attempt("gradcheck", gradcheck)
    for route in ["autodiff", "analytic", "fused"]:
        for where in [device, "flex"]:
            def cs231n():
                found = bench.train(folder, f'gradient = "{route}"\n{run}', where)
                value, unit, more = seconds(found)
                bench.add("cs231n", f"{route} on {where}", value, unit, steps_per_second=round(steps / value), **more)

            bench.attempt("cs231n", cs231n)

    def passes(where):
        few, many = (2, 12) if small else (5, 45)
        times = []
        for count in [few, many]:
            solver = f"[solver.sgd]\nlearning_rate = 1e-9\nbatch_size = {rows - rows // 50}\nsteps = {count}\nlog_every = {count}\n"
            times.append(bench.train(folder, problem + solver, where)["seconds_solve"])
        bench.add("passes", f"loss and gradient of all rows on {where}", 1e3 * (times[1] - times[0]) / (many - few), "ms")

    for where in [device, "flex"]:
        bench.attempt("passes", lambda: passes(where))
    if importlib.util.find_spec("torch"):
        bench.attempt("passes", lambda: on_torch(bench, rows - rows // 50))
    else:
        print("PyTorch is not here")

    def optimum(part, problem, gap, limit):
        solvers = [(device, '[solver.newton]\nmethod = "proximal"\n'), ("flex", '[solver.dual]\nfinish = "never"\n')]
        for where, solver in solvers:
            def one():
                most = max(min(limit, bench.left() - 20), 5)
                found = bench.train(folder, f"{problem}{solver}gap = {gap:g}\nseconds = {most}\n", where, limit=most + 60)
                value, unit, more = seconds(found)
                name = "proximal Newton" if "newton" in solver else "ascent, all cores,"
                bench.add(part, f"{name} on {where} to {gap:g}", value, unit, passes=round(found["epochs"], 1), **more)

            bench.attempt(part, one)

    for gap in [1e-2, 1e-3]:
        optimum("optimum", problem, gap, 40)
    shutil.rmtree(images)
    shape = (rows, 256, 20) if small else (200_000, 2_048, 1_000)
    probe(folder, *shape)
    files = f'[data.npy]\ntrain = "{folder}/x.npy"\ntrain_labels = "{folder}/y.npy"\n[preprocess]\ncenter = "mean"\nscale = "std"\n'
    for gap in [1e-2, 1e-3]:
        optimum("probe", f"{files}[objective]\nc = 1e-3\n[loss.weston_watkins]\n", gap, 60)


if __name__ == "__main__":
    main()
