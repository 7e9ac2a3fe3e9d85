"""Makes DejaVuSans-subset.ttf, the font of the figures.

python3 -m venv venv && venv/bin/pip install fonttools==4.68.0 matplotlib==3.11.2 && venv/bin/python make_font.py

The source is DejaVu Sans 2.37, of which Matplotlib carries an unchanged copy. Kept are Latin, Greek, Cyrillic, punctuation, arrows and
mathematical signs; hinting, kerning and layout tables are dropped, since the figures use none of them.
"""

import sys
from pathlib import Path

from fontTools import subset

RANGES = [
    (0x20, 0x7E), (0xA0, 0x24F), (0x2B0, 0x2FF), (0x370, 0x3FF), (0x400, 0x4FF), (0x1E00, 0x1EFF), (0x2010, 0x205F),
    (0x2070, 0x209C), (0x20A0, 0x20BF), (0x2100, 0x214F), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x25A0, 0x25CF), (0xFFFD, 0xFFFD),
]  # fmt: skip


def source() -> Path:
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


options = subset.Options()
options.hinting = False
options.layout_features = []
options.drop_tables += ["GPOS", "GSUB", "GDEF", "kern", "FFTM"]
options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
options.notdef_outline = True
options.recalc_timestamp = False
font = subset.load_font(source(), options)
subsetter = subset.Subsetter(options)
subsetter.populate(unicodes=[c for first, last in RANGES for c in range(first, last + 1)])
subsetter.subset(font)
subset.save_font(font, Path(__file__).parent / "DejaVuSans-subset.ttf", options)
