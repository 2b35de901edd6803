"""Draw every figure from the modelled tables, and the page that shows them with their captions.

Run it with: python docs/examples/gallery.py [FOLDER]. It writes gallery.md, front.png and gallery/
into the folder, by default docs, and takes about a minute.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image

from naslib_ecnas import cli

FOUR = "--methods semoa,random,sh-emoa,mse-hvi --seeds 5 --evaluations 300"
COMPARE = "compare --tables 4v,5v --seeds 5 --evaluations 60 --worlds 5"
#: Name of a picture -> its heading, the command that draws it, and the file that this writes.
PICTURES = {
    "front": ("A search", "search --evaluations 300 --seed 0", "front.png"),
    "clouds": ("Figure 1", "figure 1 --ellipses", "figure-1.png"),
    "clouds-4v": ("Figure 1 of a small table", "figure 1 --table 4v", "figure-1.png"),
    "swaps": ("Figure 3", "figure 3 --paper", "figure-3.png"),
    "devices": ("Figure 4", "figure 4", "figure-4.png"),
    "summary": ("Figure 5", f"figure 5 {FOUR}", "figure-5.png"),
    "methods": ("Figure 6", f"figure 6 --table 5v {FOUR}", "figure-6.png"),
    "comparison": ("A comparison", COMPARE, "comparison-5v.png"),
    "ranks": ("Ranks of a comparison", "", "ranks.png"),
    "aggregates": ("Aggregates of a comparison", "", "aggregates.png"),
    "worlds": ("A comparison over worlds", "", "comparison-5v-worlds.png"),
}
START = """# Gallery

Every figure that the package draws, from its modelled tables, as it would go into a paper: without
the caption, which stands below it here. Figure 2 and `ecnas figure 4 --official` show measurements
of EC-NAS and are not copied here; [figures](figures.md) says how to draw them. This page is made by
`python docs/examples/gallery.py` ([gallery.py](examples/gallery.py)).
"""


def main(docs: Path) -> None:
    page = [START]
    (docs / "gallery").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        made = Path(work)
        for name, (heading, command, file) in PICTURES.items():
            if command:
                made = Path(work, name)
                line = [*command.split(), "--no-caption", "--out", str(made)]
                if cli.main(line):
                    sys.exit(f"failed: ecnas {command}")
            picture = Image.open(made / file)
            place = docs / ("front.png" if name == "front" else f"gallery/{name}.png")
            few = picture.convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE)
            few.save(place, optimize=True, dpi=(300, 300))
            page.append(f"## {heading}\n")
            if command:
                page.append(f"`ecnas {command} --no-caption --out {name}`\n")
            page.append(f"![{heading}]({place.relative_to(docs).as_posix()})\n")
            page.append(f"{picture.info['Description']}\n")
    (docs / "gallery.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    main(parser.parse_args().folder)
