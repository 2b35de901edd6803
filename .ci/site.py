"""Hooks of the documentation site: pages from the docstrings, and those of the repository's root.

`docs/api.md` lists the public names. Each of its sections becomes a page of the reference, on which
mkdocstrings shows the docstrings of its names.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
_NAME = re.compile(r"^\| `([\w.]+)` \|", re.MULTILINE)


def sections() -> dict[str, list[str]]:
    """Heading -> public names, as `docs/api.md` has them."""
    parts = re.split(r"^## (.+)\n", (ROOT / "docs" / "api.md").read_text("utf-8"), flags=re.M)
    return {h: _NAME.findall(text) for h, text in zip(parts[1::2], parts[2::2], strict=True)}


def notebook(path: Path) -> str:
    """A notebook as a page, with its outputs."""
    parts = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", ()):
            if image := output.get("data", {}).get("image/png"):
                parts.append(f"![](data:image/png;base64,{image})")
            else:
                parts.append(f"```text\n{''.join(output['text'])}```")
    return "\n\n".join(parts).replace(".ipynb)", ".md)")


def on_config(config: Any) -> Any:
    """Put the pages of the index and of the reference into the menu, in their order."""
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = re.findall(r"^\| \[.*?\]\((.+?)\)", index, re.M)
    config.nav += [{"Pages": pages}, {"Reference": [f"reference/{_file(h)}" for h in sections()]}]
    config.nav += [{"Project": list(OUTSIDE)}]
    return config


def _file(heading: str) -> str:
    return re.sub(r"\W+", "-", heading.lower()) + ".md"


def on_files(files: Files, config: Any) -> Files:
    """Add what is not a file in `docs/`, and notebooks as pages."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        page = file.src_uri.replace(".ipynb", ".md")
        files.append(File.generated(config, page, content=notebook(Path(file.abs_src_path))))
    for name in OUTSIDE:
        files.append(File.generated(config, name, content=(ROOT / name).read_text("utf-8")))
    for heading, names in sections().items():
        text = "\n\n".join([f"# {heading}", *(f"::: naslib_ecnas.{name}" for name in names)])
        files.append(File.generated(config, f"reference/{_file(heading)}", content=text))
    style = Path(__file__).with_name("site.css").read_text("utf-8")
    files.append(File.generated(config, "site.css", content=style))
    page = files.src_uris["search.md"]
    page.dest_uri = page.url = "searches.html"  # the theme's results of a search are search.html
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as they are on the site, and from the list of public names to the reference."""
    if page.file.src_uri == "api.md":
        markdown = _NAME.sub(r"| [`\1`][naslib_ecnas.\1] |", markdown)
    if page.file.src_uri in OUTSIDE:
        return markdown.replace("](docs/", "](")
    if "/" in page.file.src_uri:
        return markdown
    return markdown.replace("](../", "](").replace(".ipynb)", ".md)")
