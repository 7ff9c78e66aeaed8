"""The project's own rules: consistent pins, no pickle, and no heavy imports where start-up must be fast."""

import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter

import grimp
import pytest
import yaml

import steadytune

BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"blocked: {{name}}")
sys.meta_path.insert(0, Blocker())
"""


def pins(lines):
    """Versions by name. Names are normalised: tools differ in case, hyphens and underscores."""
    found = (re.fullmatch(r"([\w.-]+)==([\w.+!-]+)", line.strip()) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] for match in found if match}


@pytest.fixture(scope="module")
def lock(root):
    return pins((root / "requirements.lock").read_text().splitlines())


@pytest.mark.parametrize("name", ["train", "analysis"])
def test_conda_environments_match_the_lock_file(name, root, lock):
    environment = yaml.safe_load((root / f"workflow/envs/{name}.yaml").read_text())
    (packages,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    found = pins(packages)
    assert len(found) == len(packages)
    assert found.items() <= lock.items()


def test_lock_pins_every_dependency_of_the_project(root, lock):
    project = tomllib.loads((root / "pyproject.toml").read_text())
    # Energy is read only from a GPU, and the lock is for every machine. Trackers are pinned for their own tests.
    optional = project["project"]["optional-dependencies"]
    trackers = {"mlflow", "trackio", "wandb"}
    assert trackers <= pins((root / "tests/consumers.lock").read_text().splitlines()).keys()
    extras = [entry for name in optional.keys() - {"energy", *trackers} for entry in optional[name]]
    asked = [*project["project"]["dependencies"], *extras, *project["dependency-groups"]["dev"]]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[<>=\[ ]", entry)[0]).lower() for entry in asked}
    assert names <= lock.keys()
    assert not any("cuda" in name or "nvidia" in name for name in lock), "the lock must not force a device"


def test_package_uses_no_pickle_and_trusts_no_remote_code(root):
    forbidden = re.compile(r"^\s*(import|from) pickle|torch\.(save|load)\(|trust_remote_code=True|read_pickle")
    for path in (root / "src").rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not forbidden.search(line), f"{path}:{number}: {line.strip()}"


def run_alone(root, code):
    """Run Python code in a separate process whose environment has nothing but the package."""
    return subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": str(root / "src"), "PATH": ""})  # fmt: skip


def test_training_imports_without_datasets_pydantic_or_snakemake(root):
    code = BLOCKER.format(blocked={"datasets", "evaluate", "pydantic", "snakemake", "seaborn", "yaml"}) + (
        "import steadytune.training.loop, steadytune.training.checkpoints, steadytune.encoders.loading\n"
        "import steadytune.evaluation.predict, steadytune.methods.hype, steadytune.methods.lnsr\n"
        "import steadytune.cells.record, steadytune.suite.cell, steadytune.store.receipt\n"
    )
    done = run_alone(root, code)
    assert done.returncode == 0, done.stderr


def test_help_works_without_heavy_imports(root):
    code = (
        "import sys; from steadytune.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(str({'torch', 'transformers', 'pandas', 'pydantic'} & set(sys.modules) or ''))"
    )
    done = run_alone(root, code)
    assert "finetune" in done.stdout
    assert not done.stderr.strip()


def test_loading_the_dag_imports_no_heavy_packages(root):
    code = (
        "import sys, snakemake.cli; before = set(sys.modules)\n"
        "from steadytune.dag.dag import Dag\n"
        "dag = Dag.load(['config/mini.yaml'], {}); dag.records, dag.claims, dag.tables, dag.figures\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'pandas', 'pyarrow', 'matplotlib', 'scipy'}\n"
        "sys.exit(', '.join(heavy & (set(sys.modules) - before)) or 0)"
    )
    done = run_alone(root, code)
    assert done.returncode == 0, done.stderr


def test_judging_products_imports_no_packages_for_tables(root):
    code = (
        "import sys, steadytune.dag.status, steadytune.dag.repair\n"
        "sys.exit(', '.join({'torch', 'datasets', 'numpy', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules)) or 0)"
    )
    done = run_alone(root, code)
    assert done.returncode == 0, done.stderr


def test_modules_have_no_circular_imports():
    graph = grimp.build_graph("steadytune", "minilanguage", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert sum(map(len, imports.values())) > 500
    # Raises CycleError, which names the cycle.
    TopologicalSorter(imports).prepare()


def test_loading_a_suite_imports_no_later_stages(root):
    code = (
        "import sys; from steadytune.suite.loading import find_suite, load_suite\n"
        "assert load_suite(find_suite('mini')).cells\n"
        "later = ('cells', 'results', 'layers', 'claims', 'planning', 'rendering')\n"
        "later = tuple(f'steadytune.{name}' for name in later)\n"
        "found = [name for name in sys.modules if name.startswith(later)]\n"
        "sys.exit(', '.join(found) or 0)"
    )
    done = run_alone(root, code)
    assert done.returncode == 0, done.stderr


def test_readme_citation_matches_citation_cff(root):
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    entry = (root / "README.md").read_text(encoding="utf-8").partition("@software{")[2].partition("\n}")[0]
    found = {key: value.strip("{}") for key, value in re.findall(r"(\w+)\s*= \{(.*)\}", entry)}
    (author,) = citation["authors"]
    assert found["author"] == author["name"]
    assert {key: found[key] for key in ("title", "version", "license")} == {
        key: citation[key] for key in ("title", "version", "license")
    }
    assert found["version"] == steadytune.__version__


def test_links_between_markdown_pages_resolve(root):
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=root, capture_output=True, text=True, check=True)
    pages = [root / name for name in listed.stdout.splitlines()]
    headings = {page: {anchor(line) for line in re.findall(r"^#+ (.*)$", page.read_text(), re.M)} for page in pages}
    dead = []
    for page in pages:
        for target in re.findall(r"\]\(((?!https?:|mailto:)[^)\s]+)\)", page.read_text()):
            name, _, heading = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            if not path.exists() or (heading and heading not in headings.get(path, {heading})):
                dead.append(f"{page.relative_to(root)}: {target}")
    assert root / "README.md" in pages
    assert not dead


def anchor(heading):
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
