"""Write the tables and figures of the recorded runs into the pages; tables are replaced between two markers.

    python docs/tables.py [--check]

A page marks a table by the comments `<!-- table SUITE NAME -->` and `<!-- end of table -->`; `NAME without notes`
leaves out the notes if another table of the page has them. The records are those of `published/recorded/`. Planned
cells without a record are missing in the tables, as in any unfinished suite, and rows without any score are left out
here.

A figure is an image in `figures/SUITE/`. It is redrawn; `--check` only checks that it exists, because last digits may
differ between processors. `figures/SUITE-primary/` has figures of only the first block of the suite's grid, for suites
with too many methods for one panel.

The table `changes` is made here: verdicts by the rule of docs/claims.md next to verdicts by the first rule (p-values
for a fixed number of seeds, and the power to see an effect), which docs/earlier-verdicts.json keeps. With `--check`
nothing is written; pages that differ are listed, and the exit status is then 1.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
# A row for which nothing has run, and the note that lists every missing seed.
EMPTY = re.compile(r"\| (?!.*\d ±)(.*no score|.*average \| – \| – \| – )|- Missing: ")
PAGES = ("docs/*.md", "published/encoders/*/README.md")
TABLE = re.compile(
    r"(?P<begin><!-- table (?P<suite>(?!of )\S+) (?P<name>\S+)(?P<bare> without notes)? -->\n)(?:(?!<!-- table).)*?"
    r"(?P<end><!-- end of table -->)",
    re.DOTALL,
)

PRIMARY = "-primary"
FIGURE = re.compile(r"\]\(figures/(?P<suite>[^/)]+)/(?P<file>[^/)]+\.svg)\)")


def tables(suite: str, folder: Path) -> Path:
    """The folder of a recorded suite's tables, rendered under `folder` instead of the project's `results/`."""
    place = folder / "results" / suite
    if not place.exists():
        for name in ("config", "published"):
            if not (folder / name).exists():
                (folder / name).symlink_to(ROOT / name)
        steadytune(folder, "record", suite, "--restore")
        steadytune(folder, "collect", suite, "--as-recorded")
        steadytune(folder, "claims", suite, "--write")
        steadytune(folder, "render", suite, "tables")
    return place / "tables"


def figures(suite: str, folder: Path) -> Path:
    """The folder of a recorded suite's figures, drawn under `folder` too."""
    if suite.endswith(PRIMARY):
        suite, folder = suite.removesuffix(PRIMARY), folder / suite
        keep_first_block(suite, folder / "config")
    place = tables(suite, folder).parent / "figures"
    if not place.exists():
        steadytune(folder, "render", suite, "figures")
    return place


def keep_first_block(suite: str, config: Path) -> None:
    """Make a copy of `config/` in which a suite has only the cells of the first block of its grid."""
    shutil.copytree(ROOT / "config", config, dirs_exist_ok=True)
    (config.parent / "docs").mkdir(exist_ok=True)
    shutil.copy(ROOT / "docs/study-plan.md", config.parent / "docs")
    path = config / f"{suite}.yaml"
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    (first, *_), tasks = value["grid"], value["grid"][0]["tasks"]
    value |= {"grid": [first], "transfer": {task: sets for task, sets in value["transfer"].items() if task in tasks}}
    value["overrides"] = [override for override in value["overrides"] if override.get("task") in tasks]
    path.write_text(yaml.safe_dump(value), encoding="utf-8")


def steadytune(folder: Path, *command: str) -> None:
    """Run a command of this repository's package in a folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = (sys.executable, "-m", "steadytune", *command)
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)


def changes(suite: str, folder: Path) -> list[str]:
    """The lines of a table with every claim's verdict by the first rule and by today's, and why it changed."""
    earlier = json.loads((ROOT / "docs/earlier-verdicts.json").read_text(encoding="utf-8"))[suite]
    found = json.loads((tables(suite, folder).parent / "analysis/claims.json").read_text(encoding="utf-8"))["claims"]
    lines = [
        "| Claim | First rule | p | Current rule | p | Why the verdict changed |",
        "| :-- | :-- | --: | :-- | --: | :-- |",
    ]
    for claim in found:
        p = claim["finding"] and claim["finding"]["p_adjusted"]
        now = "–" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.2g}"
        was = earlier[claim["id"]]
        why = claim["reason"] if was["verdict"] != claim["verdict"] else "–"
        exploratory = "; exploratory" if claim["exploratory"] else ""
        row = (claim["id"], was["verdict"], was["p"], claim["verdict"] + exploratory, now, why)
        lines.append(f"| {' | '.join(row)} |")
    return lines


def fill(page: str, folder: Path) -> str:
    """A page's text with its tables regenerated."""

    def table(found: re.Match[str]) -> str:
        if found["name"] == "changes":
            return "\n".join([found["begin"], *changes(found["suite"], folder), "", found["end"]])
        text = (tables(found["suite"], folder) / f"{found['name']}.md").read_text(encoding="utf-8")
        lines = [line for line in text.strip().splitlines() if not EMPTY.match(line)]
        if found["bare"]:
            lines = [line for line in lines if not line.startswith("- ")]
        return "\n".join([found["begin"], "\n".join(lines).rstrip(), "", found["end"]])

    return TABLE.sub(table, page)


def draw(page: str, folder: Path, *, check: bool) -> list[Path]:
    """Draw the figures that a page shows, or only check that they exist; return the drawn or missing ones."""
    found = []
    for figure in FIGURE.finditer(page):
        path = ROOT / "docs/figures" / figure["suite"] / figure["file"]
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(figures(figure["suite"], folder) / figure["file"], path)
        if not check or not path.is_file():
            found.append(path.relative_to(ROOT))
    return found


def main() -> None:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where a table is another")
    check = parser.parse_args().check
    others = []
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
            page = path.read_text(encoding="utf-8")
            filled = fill(page, Path(folder))
            others += draw(page, Path(folder), check=check)
            if filled != page:
                others.append(path.relative_to(ROOT))
                if not check:
                    path.write_text(filled, encoding="utf-8")
    for path in others:
        sys.stdout.write(f"{path}: {'is not what its records make' if check else 'written'}\n")
    sys.exit(1 if check and others else 0)


if __name__ == "__main__":
    main()
