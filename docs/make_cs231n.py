"""Runs the lesson docs/cs231n.md from its first line to its last, and compares or rewrites its outputs, numbers and figures.

    python3 docs/make_cs231n.py --program target/release/burn-svm --data DIR [--examples target/release/examples] [--update]
    python3 docs/make_cs231n.py --program target/release/burn-svm --quick

In one folder and one Python session, in order:

- ```python blocks are executed; the ```text block behind one has what it prints.
- Commands behind `$` in ```console blocks are run, as docs/commands.py runs them; `cargo run --release --example NAME -- ARGUMENTS` by the
  example in the folder --examples. `...` stands for lines that are left out.
- `<!--= EXPRESSION -->text<!--/-->` is a number in a sentence: the text is the value of the expression, with the functions `result`,
  `metrics` and `row` of this file and all names of the Python blocks.
- `<!--rust NAME-->` has the function of that name in src/reference.rs behind it.
- `<!--copy FILE NAME-->` copies a figure to docs/images/NAME.

Without --update words must be those of the document, numbers may differ by 20 %, and nothing is written; with it blocks, numbers and
figures are those of this run. --quick leaves out what needs the data in data/ or the runs made of them, and is for a machine without
CIFAR-10. Needs NumPy. Ends with 1 where something fails or differs.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import traceback

import commands as documents

LESSON = documents.ROOT / "docs/cs231n.md"
IMAGES = documents.ROOT / "docs/images"
PARTS = re.compile(
    r"^```python\n(?P<python>.*?)^```\n(?:\n```text\n(?P<printed>.*?)^```$)?"
    r"|^```console\n(?P<console>.*?)^```$"
    r"|<!--=(?P<value>.*?)-->(?P<text>.*?)<!--/-->"
    r"|<!--copy (?P<file>\S+) (?P<name>\S+)-->"
    r"|<!--rust (?P<function>\w+)-->\n```rust\n(?P<code>.*?)^```$",
    re.M | re.S,
)


class Session:
    """The folder, the names of the Python blocks, and what has failed so far."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = documents.folder_of(arguments.data, arguments.program)
        os.symlink(documents.ROOT / "benches", self.folder / "benches")
        self.environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1"}
        self.names = {"__name__": "lesson", "result": self.result, "metrics": self.metrics, "row": self.row}
        self.ran, self.left_out, self.wrong = 0, 0, 0
        os.environ["PATH"] = self.environment["PATH"]
        os.chdir(self.folder)

    def result(self, run):
        """result.json of a run."""
        return json.loads((self.folder / run / "result.json").read_text())

    def metrics(self, run):
        """Step and objective of every logged step of a run."""
        with open(self.folder / run / "metrics.csv") as file:
            return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file) if row["loss"]}

    def row(self, output, start, column):
        """A word of the line of a printed table that begins with some words; outputs go by the run that their command makes."""
        line = next(line for line in self.names[f"output {output}"].splitlines() if line.strip().startswith(start))
        return line.strip()[len(start):].split()[column]

    def fail(self, what, expected, printed):
        self.wrong += 1
        print(f"{LESSON.name}: {what}\n  document: {expected}\n  printed:  {printed}")

    def lacks(self, text):
        """Whether a part needs data, or a run of them, that --quick leaves out or that are not there."""
        needed = set(re.findall(r"\b(?:data|runs)/[\w.+-]+", text))
        needed |= {f"data/{name}" for name in re.findall(r"configs/(?:search-)?(cs231n)\.toml", text)}
        missing = [n for n in needed if n.startswith("data/") and (self.arguments.quick or not self.arguments.data)]
        missing += [n for n in needed if n.startswith("runs/") and not re.search(rf"--(?:out|to npz|example) [^-\n]*(?:-- \S+ )?{re.escape(n)}(?![\w./+-])", text) and not (self.folder / n).exists()]
        return bool(missing)

    def python(self, code, expected):
        if self.lacks(code):
            self.left_out += 1
            return expected
        self.ran += 1
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, "lesson", "exec"), self.names)
        except Exception:
            self.fail("a block of Python", code, traceback.format_exc())
        printed = printed.getvalue()
        found = documents.compare((expected or "").splitlines(), printed)
        if not self.arguments.update and (found or bool(printed) != bool(expected)):
            self.fail("a block of Python", *(found or (expected, printed)))
        return printed

    def run(self, command):
        """What a command prints, and its exit code."""
        example = re.match(r"cargo run --release --example (\w+) -- (.*)", command)
        if example:
            command = f"{self.arguments.examples / example.group(1)} {example.group(2)}"
        folder = documents.ROOT if command.startswith("cargo") else self.folder
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        return done.stdout, done.returncode

    def console(self, block):
        lines = []
        for command, expected in documents.commands("console", block):
            shown = re.search(re.escape("$ " + command[:20]) + r".*?(?<!\\)\n", block, re.S).group().rstrip("\n")
            if (command.startswith("cargo") and not self.arguments.examples) or (self.arguments.quick and "benches/" in command) or self.lacks(command):
                self.left_out += 1
                lines += [shown, *expected]
                continue
            self.ran += 1
            printed, code = self.run(command)
            run = re.search(r"--out (\S+)|(runs/\S+)", command)
            self.names[f"output {next(filter(None, run.groups())) if run else command}"] = printed
            # A check that finds a mistake says so by its exit code.
            if code not in ((0, 1) if "gradcheck --mine" in command else (0,)):
                self.fail(f"exit code {code}: {command}", "", printed[-2000:])
            found = documents.compare(expected, printed)
            if found and not self.arguments.update:
                self.fail(command, *found)
            lines += [shown, *rewritten(expected, printed)]
        return "\n".join(lines) + "\n"

    def value(self, expression, text):
        if self.lacks(expression):
            self.left_out += 1
            return text
        try:
            found = str(eval(expression, self.names))
        except Exception as error:
            self.fail(expression, text, repr(error))
            return text
        self.ran += 1
        if not self.arguments.update and not documents.same(text, found):
            self.fail(expression, text, found)
        return found

    def rust(self, name, expected):
        source = (documents.ROOT / "src/reference.rs").read_text()
        code = re.search(rf"^pub fn {name}\(.*?^}}\n", source, re.M | re.S).group()
        self.ran += 1
        if code != expected and not self.arguments.update:
            self.fail(name, expected, code)
        return code

    def copy(self, file, name):
        if (self.folder / file).exists() and self.arguments.update:
            shutil.copyfile(self.folder / file, IMAGES / name)


def rewritten(expected, printed):
    """The printed lines, shortened where the document shortens them: of each line of the document the one with its words, and its
    first number where there are several."""
    if "..." not in expected:
        return printed.splitlines()
    lines, out = printed.splitlines(), []
    words = lambda line: documents.NUMBER.sub("#", line).split()[:2]
    number = lambda line: (documents.NUMBER.findall(line) or [None])[0]
    for line in expected:
        if line == "...":
            out.append(line)
            continue
        alike = [i for i, other in enumerate(lines) if words(other) == words(line)]
        at = next((i for i in alike if number(lines[i]) == number(line)), alike[0] if alike else None)
        if at is not None:
            out.append(lines[at])
            lines = lines[at + 1:]
    return out


def margin_picture():
    """Scores on a line with the zone of width Δ below the label's, and the hinge."""
    x = lambda score: 40 + 14 * (score + 9)
    scores = [(-7, "s_1 = −7", "costs 0"), (11, "s_2 = 11", "costs 11 − 13 + 10 = 8"), (13, "s_0 = 13, the label's", "")]
    out = [f'<rect x="{x(3)}" y="96" width="{x(16) - x(3)}" height="28" fill="#d0580a" opacity="0.18"/>',
           f'<text x="{x(7)}" y="88" text-anchor="middle" fill="#a04408">violated: above s_0 − Δ = 3</text>',
           f'<line x1="30" y1="110" x2="{x(16)}" y2="110" stroke="#5c636b"/>']
    for at, (score, name, cost) in enumerate(scores):
        y = 150 + 20 * (at == 1)
        out.append(f'<circle cx="{x(score)}" cy="110" r="6" fill="{"#2b834a" if at == 2 else "#1f5fa8"}"/>'
                   f'<text x="{x(score)}" y="{y if at < 2 else 66}" text-anchor="middle">{name}</text>'
                   f'<text x="{x(score)}" y="{y + 18}" text-anchor="middle" fill="#5c636b">{cost}</text>')
    out.append('<g transform="translate(430 0)"><line x1="20" y1="170" x2="320" y2="170" stroke="#5c636b"/>'
               '<line x1="170" y1="190" x2="170" y2="30" stroke="#9aa0a6"/>'
               '<polyline points="20,170 170,170 290,50" fill="none" stroke="#7b3fa0" stroke-width="3"/><circle cx="170" cy="170" r="5" fill="#22262b"/>'
               '<text x="60" y="160" fill="#5c636b">slope 0</text><text x="238" y="116" fill="#5c636b">slope 1</text>'
               '<text x="178" y="188">corner</text><text x="296" y="188">z</text><text x="112" y="42">max(0, z)</text></g>')
    return ('<svg width="780" height="210" viewBox="0 0 780 210" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="14" '
            'fill="#22262b">\n<rect width="100%" height="100%" fill="#FFFFFF"/>\n' + "\n".join(out) + "\n</svg>\n")


def part(session, match):
    """The text of a part as it is to be."""
    found = match.groupdict()
    if found["python"] is not None:
        printed = session.python(found["python"], found["printed"])
        block = f"\n```text\n{printed}```" if printed else ""
        return f"```python\n{found['python']}```\n{block}"
    if found["console"] is not None:
        return f"```console\n{session.console(found['console'])}```"
    if found["value"] is not None:
        return f"<!--={found['value']}-->{session.value(found['value'].strip(), found['text'])}<!--/-->"
    if found["function"] is not None:
        return f"<!--rust {found['function']}-->\n```rust\n{session.rust(found['function'], found['code'])}```"
    session.copy(found["file"], found["name"])
    return match.group()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    path = lambda p: pathlib.Path(p).resolve()
    parser.add_argument("--program", type=path, default=documents.ROOT / "target/release/burn-svm")
    parser.add_argument("--data", type=path)
    parser.add_argument("--examples", type=path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    session = Session(arguments)
    text = PARTS.sub(lambda match: part(session, match), LESSON.read_text())
    if arguments.update:
        LESSON.write_text(text)
        (IMAGES / "cs231n-margin.svg").write_text(margin_picture())
    print(f"{LESSON.name}: {session.ran} parts run, {session.left_out} left out, {session.wrong} wrong")
    sys.exit(min(session.wrong, 1))


if __name__ == "__main__":
    main()
