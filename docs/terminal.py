"""Records commands and draws what they printed, when they printed it, as an animated SVG.

    python3 docs/terminal.py --program target/release/burn-svm --out docs/images/terminal.svg

A table with words, dates and missing values (cli/tests/fixtures/formats/birds.csv) from the file to predictions. Nothing is edited: every line
appears at the time at which the program wrote it, two seconds after the lines of the command before.
"""

import argparse
import html
import pathlib
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMANDS = [
    "init birds.csv",
    "train birds.toml --out runs/birds",
    "predict runs/birds new.csv --output csv --probabilities",
]
WIDTH, LINE, TOP, LEFT, SIZE, PAUSE = 1010, 20, 46, 18, 13.5, 2.0


def table(folder):
    """The table, and three rows of it without their labels."""
    shutil.copy(ROOT / "cli/tests/fixtures/formats/birds.csv", folder)
    rows = (folder / "birds.csv").read_text().splitlines()
    (folder / "new.csv").write_text("".join(line.rsplit(",", 1)[0] + "\n" for line in rows[:4]))


def record(program):
    """(seconds since the start, line) of everything that is printed, prompts and commands included."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="terminal-"))
    table(folder)
    lines, now = [], 0.0
    for command in COMMANDS:
        lines.append((now, "$ burn-svm " + command))
        now, start = now + 1.0, time.perf_counter()
        process = subprocess.Popen([program, *command.split()], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for line in process.stdout:
            lines.append((now + time.perf_counter() - start, line.rstrip()))
        if process.wait() != 0:
            raise SystemExit("\n".join(line for _, line in lines))
        lines.append((now, ""))
        now += time.perf_counter() - start + PAUSE
    return lines[:-1]


def drawing(rows):
    height = TOP + LINE * (len(rows) + 1)
    texts = []
    for at, (seconds, line) in enumerate(rows):
        kind = "p" if line.startswith("$ ") else "g" if line.startswith("certificate") else "t"
        texts.append(f'<text class="{kind}" x="{LEFT}" y="{TOP + LINE * (at + 1)}" style="animation-delay:{seconds:.2f}s">'
                     f"{html.escape(line)}</text>")
    dots = "".join(f'<circle cx="{22 + 18 * i}" cy="20" r="5.5" fill="{c}"/>' for i, c in enumerate(["#ff5f57", "#febc2e", "#28c840"]))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">
<title>{html.escape(rows[0][1])}</title>
<style>
text {{ font: {SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; fill: #c9d1d9;
  opacity: 0; animation: show 1ms linear forwards; }}
.p {{ fill: #ffffff; font-weight: 600; }}
.g {{ fill: #7ee787; }}
@keyframes show {{ to {{ opacity: 1; }} }}
@media (prefers-reduced-motion: reduce) {{ text {{ opacity: 1; animation: none; }} }}
</style>
<rect width="{WIDTH}" height="{height}" rx="8" fill="#0d1117"/>
{dots}
{chr(10).join(texts)}
</svg>
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=lambda p: pathlib.Path(p).resolve(), default=ROOT / "target/release/burn-svm")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/images/terminal.svg")
    arguments = parser.parse_args()
    arguments.out.write_text(drawing(record(arguments.program)))


main()
