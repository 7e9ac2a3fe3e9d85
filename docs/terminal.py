"""Records a command and draws what it printed, when it printed it, as an animated SVG.

    python3 docs/terminal.py --program target/release/burn-svm --data DIR --out docs/images/terminal.svg

DIR holds mnist/. Nothing is edited: every line appears at the time at which the program wrote it, after one second of silence.
"""

import argparse
import html
import os
import pathlib
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMAND = ["train", "configs/dual.toml", "--out", "runs/mnist"]
WIDTH, LINE, TOP, LEFT, SIZE = 960, 20, 46, 18, 13.5


def record(program, data):
    """(seconds since the start, line) of everything that is printed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="terminal-"))
    os.symlink(ROOT / "configs", folder / "configs")
    os.symlink(data, folder / "data")
    lines, start = [], time.perf_counter()
    process = subprocess.Popen([program, *COMMAND], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in process.stdout:
        lines.append((time.perf_counter() - start, line.rstrip()))
    if process.wait() != 0:
        raise SystemExit("\n".join(line for _, line in lines))
    return lines


def drawing(lines):
    height = TOP + LINE * (len(lines) + 2)
    rows = [(0.0, "$ burn-svm " + " ".join(COMMAND))] + [(1.0 + seconds, line) for seconds, line in lines]
    texts = []
    for at, (seconds, line) in enumerate(rows):
        kind = "p" if at == 0 else "g" if line.startswith("certificate") else "t"
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
    parser.add_argument("--data", type=lambda p: pathlib.Path(p).resolve(), required=True)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/images/terminal.svg")
    arguments = parser.parse_args()
    arguments.out.write_text(drawing(record(arguments.program, arguments.data)))


main()
