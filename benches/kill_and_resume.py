"""Kills a training from the disk at random moments and resumes it, until it is done, many times: the same optimum each time, and nothing left behind.

    python3 benches/kill_and_resume.py PROGRAM [RUNS] [--seed N] [--solver dual|sgd]

Rows are synthetic, sorted by their labels, and packed by the run itself, which is killed at that, too, in every second run; in the others blocks are given.
A line for each run, and a summary. Needs NumPy.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

import numpy as np

CONFIG = """[data.npy]
train = "x.npy"
train_labels = "y.npy"
[split]
validation = 0.1
[objective]
lambda = 1e-4
[loss.crammer_singer]
{solver}
"""
BLOCKS = '[data]\nblocks = "blocks"\n'
SOLVERS = {
    "dual": "[solver.dual]\ngap = 1e-3\n",
    "sgd": "[solver.sgd]\nlearning_rate = 0.02\nschedule = \"cosine\"\nepochs = 12\n[checkpoint]\nevery_steps = 200\n",
}
MEMORY = "1M"
#: Kills of a run, at most.
KILLS = 4


def make_data(folder, rows=24_000, features=20, classes=6):
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(classes, size=rows))
    centres = 0.5 * rng.normal(size=(classes, features))
    np.save(folder / "x.npy", (centres[labels] + rng.normal(size=(rows, features))).astype(np.float32))
    np.save(folder / "y.npy", labels.astype(np.uint8))


def command(program, config, resume):
    words = [program, "train", config, "--out", "run", "--memory", MEMORY, "--quiet", "--json", "--threads", "1"]
    return words + (["--resume"] if resume else [])


def train(folder, program, config, rng, longest, kills):
    """Runs until it is done; the result, the moments of the kills, and the signals that ended it."""
    moments = []
    while True:
        run = subprocess.Popen(command(program, config, bool(moments)), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if len(moments) < kills:
            moment = rng.uniform(0, longest)
            try:
                out, said = run.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.communicate()
                moments.append(moment)
                continue
        else:
            out, said = run.communicate()
        if run.returncode != 0:
            raise SystemExit(f"exit code {run.returncode} after kills at {moments}: {said}")
        return json.loads(out), moments


def left(folder):
    """Files of blocks, variables and checkpoints that a finished run has left, and half-written ones."""
    run = folder / "run"
    return [str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and (set(path.relative_to(run).parts) & {"dual", "blocks", "checkpoint"} or path.suffix == ".partial")]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program")
    options.add_argument("runs", type=int, nargs="?", default=50)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--solver", choices=SOLVERS, default="dual")
    asked = options.parse_args()
    program, rng = os.path.abspath(asked.program), random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_data(folder)
        text = CONFIG.format(solver=SOLVERS[asked.solver])
        (folder / "files.toml").write_text(text)
        (folder / "blocks.toml").write_text(BLOCKS + text[text.index("[split]") :])
        subprocess.run([program, "pack", "files.toml", "--out", "blocks", "--memory", MEMORY, "--quiet"], cwd=folder, check=True)
        whole, seconds = {}, {}
        for config in ("files.toml", "blocks.toml"):
            start = time.monotonic()
            whole[config], _ = train(folder, program, config, rng, 0.0, 0)
            seconds[config] = time.monotonic() - start
            (folder / "run").rename(folder / f"run-{config}")
        print(f"a run that is left alone: {seconds['files.toml']:.1f} s from files, {seconds['blocks.toml']:.1f} s from blocks, objective {whole['blocks.toml']['objective']:.6f}", flush=True)
        killed, worst, total = 0, 0.0, 0
        for number in range(asked.runs):
            config = "files.toml" if number % 2 else "blocks.toml"
            start = time.monotonic()
            result, moments = train(folder, program, config, rng, seconds[config], rng.randint(1, KILLS))
            if not moments:
                # The machine is less busy than it was.
                seconds[config] = time.monotonic() - start
            own = whole[config]
            if asked.solver == "sgd":
                assert result["objective"] == own["objective"], (result["objective"], own["objective"])
                assert (folder / "run/model.safetensors").read_bytes() == (folder / f"run-{config}/model.safetensors").read_bytes()
            else:
                assert result["relative_gap"] <= 1e-3 and result["stop_reason"] == "gap_reached", result
                for one, other in ((result, own), (own, result)):
                    assert one["dual_objective"] <= other["objective"] * (1 + 1e-9), (result["objective"], own["objective"])
            assert result["n_samples"] == own["n_samples"] and not left(folder), left(folder)
            away = abs(result["objective"] - own["objective"]) / own["objective"]
            killed, worst, total = killed + bool(moments), max(worst, away), total + len(moments)
            print(f"{number + 1:3d} {config:11s} killed at {' '.join(f'{moment:.2f}' for moment in moments) or '-'} s: objective {result['objective']:.6f}, {result['blocks']['passes']} passes after the last", flush=True)
            subprocess.run(["rm", "-r", "run"], cwd=folder, check=True)
        print(f"{asked.runs} runs, {killed} of them killed, {total} kills: every one finished; objectives at most {worst:.1e} apart, nothing left behind")


main()
