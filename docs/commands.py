"""Runs the commands of the documents as they are printed, and compares or rewrites what they print.

    python3 docs/commands.py --program target/release/burn-svm [--data DIR] [--update] [DOCUMENT...]

Every command behind `$` in a block of the kind `console`, and every line of a block of the kind `sh` that begins with `burn-svm`, is
run in order, a document in a folder of its own, which has configs/, cli/assets/ and, with --data, data/ (mnist, libsvm, cifar-10-batches-bin).
A command whose configuration needs data that are not there is named and left out. The words of the output must be those of the
document; numbers may differ by 20 %, those of time, speed and memory by anything. `...` in a block stands for lines that are left out.
With --update the blocks get the output of this machine instead. Ends with 1 where a command fails or prints something else.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", "docs/guide.md", "docs/devices.md", "docs/reliability.md", "docs/optimizers.md"]
NUMBER = re.compile(r"[-+]?\d[\d_]*(?:\.\d+)?(?:e[-+]?\d+)?")
FREE = re.compile(r"steps/s|s left|^time |peak memory|^solver |adapter|seconds|llvmpipe|threads\.|version")  # compared by two words
BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```$", re.M | re.S)


def commands(kind, text):
    """(command, lines of output or None) of a block."""
    found, lines = [], text.splitlines()
    while lines:
        line = lines.pop(0)
        if kind == "console" and line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command = command[:-1] + lines.pop(0)
            found.append((command, []))
        elif kind == "console" and found:
            found[-1][1].append(line)
        elif line.startswith("burn-svm"):
            found.append((line.split(" #")[0], None))
    return found


def same(expected, found):
    """Whether a printed line is that of the document, but for its numbers."""
    if FREE.search(expected):
        return expected.split()[:2] == found.split()[:2]
    if NUMBER.sub("#", expected).split() != NUMBER.sub("#", found).split():
        return False
    pairs = zip(NUMBER.findall(expected), NUMBER.findall(found))
    return all(abs(float(a) - float(b)) <= 0.2 * max(abs(float(a)), abs(float(b)), 1e-2) for a, b in pairs)


def compare(expected, printed):
    """The first line of the document that was not printed, in order."""
    printed, at = printed.splitlines(), 0
    gap = False
    for line in expected:
        if line.strip() == "...":
            gap = True
            continue
        while gap and at < len(printed) and not same(line, printed[at]):
            at += 1
        if at >= len(printed) or not same(line, printed[at]):
            return line, printed[at] if at < len(printed) else "the end"
        at, gap = at + 1, False
    return None


def rewritten(expected, printed):
    """The output as printed, shortened where the document shortens it."""
    if not any(line.strip() == "..." for line in expected):
        return printed.splitlines()
    parts, lines = "\n".join(expected).split("\n...\n"), printed.splitlines()
    head, tails = parts[0].split("\n"), [p for p in "\n...\n".join(parts[1:]).split("\n...\n")]
    out = lines[: len(head)]
    for tail in tails:
        rest = [line for line in tail.split("\n") if line != "..."]
        out += ["..."] + (lines[-len(rest):] if rest and rest != [""] else [])
    return out + (["..."] if expected[-1] == "..." else [])


def needs(command, folder):
    """Data of a command that are not there."""
    for config in re.findall(r"(\S+\.toml)", command):
        path = folder / config
        if path.is_file():
            for name in re.findall(r'^\s*\w+ = "(data/[^"]+)"', path.read_text(), re.M):
                if not (folder / name).exists():
                    return name
    for name in re.findall(r"\bdata/\S+", command):
        if not (folder / name).exists():
            return name
    return None


def folder_of(data, program):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="docs-"))
    (folder / "cli").mkdir()
    (folder / "bin").mkdir()
    os.symlink(ROOT / "configs", folder / "configs")
    os.symlink(ROOT / "cli/assets", folder / "cli/assets")
    os.symlink(program, folder / "bin/burn-svm")
    if data:
        os.symlink(data, folder / "data")
    # The table of a reader.
    rows = (ROOT / "cli/assets/iris.csv").read_text().splitlines()
    (folder / "measurements.csv").write_text("\n".join(rows) + "\n")
    (folder / "new.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in rows[:6]) + "\n")
    return folder


def check(document, arguments):
    text = (ROOT / document).read_text()
    folder, wrong, ran, missing = folder_of(arguments.data, arguments.program), 0, 0, set()
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1"}
    edits = []
    for block in BLOCK.finditer(text):
        lines = []
        for command, expected in commands(*block.groups()):
            lacking = needs(command, folder) or next((run for run in missing if run in command), None)
            out = re.search(r"--out (\S+)", command)
            if lacking or not re.search(r"\bburn-svm\b", command):
                if lacking:
                    print(f"{document}: left out, {lacking} is not there: {command}")
                    if out:
                        missing.add(out.group(1))
                lines += [f"$ {command}", *(expected or [])]
                continue
            done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, env=environment, text=True, timeout=1800,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            ran += 1
            piped = "head" in command
            if done.returncode != 0 and not piped:
                wrong += 1
                print(f"{document}: exit code {done.returncode}: {command}\n{done.stdout[-2000:]}")
            elif expected is not None:
                found = compare(expected, done.stdout)
                if found and not arguments.update:
                    wrong += 1
                    print(f"{document}: {command}\n  document: {found[0]}\n  printed:  {found[1]}")
                lines += [f"$ {command}", *rewritten(expected, done.stdout)]
        if block.group(1) == "console" and "\\\n" not in block.group(2):
            edits.append((block.span(2), "\n".join(lines) + "\n"))
    if arguments.update:
        for (start, end), new in reversed(edits):
            text = text[:start] + new + text[end:]
        (ROOT / document).write_text(text)
    print(f"{document}: {ran} commands run, {wrong} wrong")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=lambda p: pathlib.Path(p).resolve(), default=ROOT / "target/release/burn-svm")
    parser.add_argument("--data", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--update", action="store_true")
    parser.add_argument("documents", nargs="*", default=DOCUMENTS)
    arguments = parser.parse_args()
    sys.exit(min(sum(check(document, arguments) for document in arguments.documents), 1))


if __name__ == "__main__":
    main()
