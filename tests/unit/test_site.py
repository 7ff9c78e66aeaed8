"""The evidence page: reading recorded suites, the standings of methods, and the page's filters in a browser."""

import html
import math
import re
import shutil

import numpy as np
import pytest
import yaml
from synthetic import Grid, judged
from test_report_in_browser import DESKTOP, PHONE, browser, opened  # noqa: F401 (a fixture)
from test_run_cell import SUITE, outcome, suite  # noqa: F401 (a fixture)

from steadytune.cells.recorded import write_recorded
from steadytune.claims.judged import load_verdicts
from steadytune.cli import main
from steadytune.errors import SteadyTuneError
from steadytune.exports.evidence import About, Recorded, read_recorded, recorded_folders
from steadytune.exports.site import CellLine, Voice, contents, methods_of, write_site
from steadytune.rendering.verdicts import shown as shown_as
from steadytune.rendering.web import Listing, fill
from steadytune.results.fronts import DRAWS, drawn_gaps, standings
from steadytune.results.loading import load_results
from steadytune.results.scores import Score


def values(method: str, *points: float) -> dict:
    return {("mini", method, "mini-rte", seed): value for seed, value in enumerate(points)}


def test_method_is_off_the_front_if_a_better_one_costs_no_more(tmp_path):
    # vanilla costs 1, the others 2 each: r-drop beats lnsr in every draw, and hype-n beats vanilla in none.
    grid = Grid(methods=("vanilla", "hype-n", "lnsr", "r-drop"), seeds=2)
    grid.values = values("vanilla", 0.70, 0.72) | values("hype-n", 0.60, 0.61)
    grid.values |= values("lnsr", 0.75, 0.76) | values("r-drop", 0.80, 0.81)
    found = standings(load_results(grid.write(tmp_path), grid.suite), "mini", ["mini-rte"])
    assert list(found) == ["r-drop", "lnsr", "vanilla", "hype-n"]
    assert found["lnsr"].score == pytest.approx(75.5)
    assert [found[name].cost for name in ("vanilla", "lnsr")] == [1, 2]
    assert {name: standing.on_front for name, standing in found.items()} == {
        "vanilla": 1, "hype-n": 0, "lnsr": 0, "r-drop": 1
    }  # fmt: skip


def test_front_probability_is_that_of_the_stretched_bayesian_bootstrap(tmp_path):
    # Two seeds, differences +1 and -3: the draws are -1 + sqrt(3) (4 w - 2), w uniform, so they are positive if
    # w > 1/2 + 1 / (4 sqrt(3)).
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), seeds=2)
    grid.values = values("vanilla", 0.5, 0.5) | values("hype-n", 0.71, 0.70) | values("lnsr", 0.70, 0.73)
    found = standings(load_results(grid.write(tmp_path), grid.suite), "mini", ["mini-rte"])
    assert found["hype-n"].on_front == pytest.approx(0.5 - 1 / (4 * 3**0.5), abs=0.03)
    assert found["hype-n"].on_front + found["lnsr"].on_front == pytest.approx(1)


def score(points) -> Score:
    return Score("accuracy", 50, {}, dict(enumerate(points)))


def draws(seeds: int, generator: np.random.Generator) -> dict[int, np.ndarray]:
    return dict(enumerate(generator.exponential(size=(seeds, DRAWS))))


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
def test_spread_of_drawn_gaps_is_the_standard_error_of_the_mean(seeds):
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, seeds))
    gaps = drawn_gaps([score(first)], [score(second)], draws(seeds, generator))
    assert gaps.std() == pytest.approx(np.std(first - second, ddof=1) / seeds**0.5, rel=0.08)
    assert gaps.mean() == pytest.approx(np.mean(first - second), abs=4 * gaps.std() / DRAWS**0.5)


@pytest.mark.parametrize(("seeds", "share"), [(3, 0.25), (5, 0.18), (10, 0.14)])
def test_page_states_how_often_equal_methods_seem_to_differ(seeds, share, root):
    generator = np.random.default_rng(1)
    found = []
    for _ in range(400):
        first, second = generator.normal(size=(2, seeds))
        found.append((drawn_gaps([score(first)], [score(second)], draws(seeds, generator)) > 0).mean())
    assert np.mean([not 0.05 <= probability <= 0.95 for probability in found]) == pytest.approx(share, abs=0.06)
    for page in ("src/steadytune/rendering/templates/site.html.j2", "docs/evidence.md"):
        assert f"{share * 100:.0f} %" in (root / page).read_text()


def test_methods_are_compared_on_the_seeds_that_both_have(tmp_path):
    # hype-n has seeds 2 to 4, on which it is 1 point above vanilla, which is 10 points better on seeds 0 and 1.
    grid = Grid(tasks=("mini-rte", "mini-cola"), seeds=5)
    for task in grid.tasks:
        for seed, value in enumerate((0.80, 0.81, 0.70, 0.71, 0.72)):
            grid.values |= {("mini", "vanilla", task, seed): value, ("mini", "hype-n", task, seed): value + 0.01}
        grid.statuses |= {("mini", "hype-n", task, seed): "missing" for seed in (0, 1)}
    results = load_results(grid.write(tmp_path), grid.suite)
    found = standings(results, "mini", grid.tasks)["hype-n"]
    assert (found.score, found.gain, found.on_front) == pytest.approx((72, 1, 1))
    (made,) = methods_of(Recorded(tmp_path, About(), results, (), {}))
    assert {line[0]: line[2] for line in made.table.lines} == {"vanilla": "", "hype-n": "+1.0"}


def test_front_probability_is_unknown_with_one_shared_seed(tmp_path):
    grid = Grid(seeds=2, statuses={("mini", "hype-n", "mini-rte", 1): "missing"})
    results = load_results(grid.write(tmp_path), grid.suite)
    found = standings(results, "mini", grid.tasks)
    assert math.isnan(found["hype-n"].on_front)
    assert found["vanilla"].on_front == 1, "it costs less than any other method"


def test_method_without_scores_on_a_task_has_no_standing(tmp_path):
    grid = Grid(tasks=("mini-rte", "mini-cola"), seeds=1)
    grid.statuses = {("mini", "hype-n", "mini-cola", 0): "missing"}
    results = load_results(grid.write(tmp_path), grid.suite)
    assert list(standings(results, "mini", ["mini-rte", "mini-cola"])) == ["vanilla"]


@pytest.fixture
def recorded(suite, tmp_path):  # noqa: F811
    outcome(suite)
    folder = tmp_path / "given" / "demo"
    write_recorded(suite, folder)
    (folder / "suite.yaml").write_text(yaml.safe_dump(SUITE))
    (folder / "about.yaml").write_text(yaml.safe_dump({"by": "A <b>guest</b>", "note": "Ran </script> here."}))
    return folder


def test_page_shows_cells_and_escapes_the_text_of_who_ran_them(recorded, tmp_path):
    page = write_site([recorded.parent], tmp_path / "site").read_text()
    assert re.search(r"<th[^>]*>tiny/vanilla/cola/seed-0</th>", page)
    # No name finds a suite's own file, so the cell's command has its path.
    assert 'data-argument="published/recorded/demo/suite.yaml"' in page
    assert (tmp_path / "site/reports/demo.html").is_file()
    assert "A &lt;b&gt;guest&lt;/b&gt;" in page
    assert "<b>guest" not in page
    assert page.count("</script>") == 1
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", html.unescape(page))
    assert list(tmp_path.glob("results/*/metrics.parquet")) == []


def test_pages_do_not_depend_on_where_they_were_made(recorded, tmp_path, monkeypatch):
    made = []
    for name in ("one", "two"):
        place = tmp_path / f"place-{name}"
        place.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(place))
        folder = shutil.copytree(recorded, tmp_path / name / "demo")
        write_site([folder], tmp_path / f"site-{name}")
        made.append({path.name: path.read_bytes() for path in (tmp_path / f"site-{name}").rglob("*.html")})
    assert made[0].keys() == {"index.html", "demo.html"}
    assert made[0] == made[1]
    assert not any(str(tmp_path).encode() in page for page in made[0].values())


def test_commands_of_a_recorded_suites_report_work_in_a_clone(recorded, suite, tmp_path, monkeypatch, capsys):  # noqa: F811
    write_site([recorded], tmp_path / "site")
    report = html.unescape((tmp_path / "site/reports/demo.html").read_text())
    clone = tmp_path / "clone"
    shutil.copytree(recorded, clone / "published/recorded/demo")
    monkeypatch.chdir(clone)
    (restore,) = re.findall(r"<code>steadytune (record .+?)</code>", report)
    assert main(restore.split()) == 0
    (path,) = set(re.findall(r"results/demo/cells/[^<\s]+record\.json", report))
    assert (clone / path).is_file()
    (status,) = re.findall(r"<code>steadytune (status .+?)</code>", report)
    capsys.readouterr()
    assert main(status.split()) == 0
    assert "tiny/vanilla/cola/seed-0" in capsys.readouterr().out


def test_page_is_rewritten_but_never_overwrites_a_foreign_page(recorded, tmp_path):
    page = write_site([recorded], tmp_path / "site")
    first = page.read_bytes()
    assert write_site([recorded], tmp_path / "site").read_bytes() == first
    page.write_text("<h1>My home page</h1>")
    with pytest.raises(SteadyTuneError, match=r"index\.html: not a page of SteadyTune's"):
        write_site([recorded], tmp_path / "site")
    assert page.read_text() == "<h1>My home page</h1>"


def test_methods_of_a_recorded_suite_are_compared(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    found = read_recorded(root / "published/recorded/mini", tmp_path)
    compared = load_verdicts(found.results.folder).comparisons
    assert [judged.id for judged in compared] == ["mini/hype-n", "mini/hype-u", "mini/lnsr"]
    assert all(judged.finding for judged in compared)


def test_cell_that_its_suite_does_not_plan_is_rejected(recorded, tmp_path):
    (recorded / "suite.yaml").write_text(yaml.safe_dump(SUITE | {"grid": [SUITE["grid"][0] | {"methods": ["lnsr"]}]}))
    with pytest.raises(SteadyTuneError, match=r"cells\.jsonl\.gz: tiny/vanilla/cola/seed-0"):
        write_site([recorded], tmp_path / "site")


def test_unplanned_cell_is_rejected_before_anything_is_written(recorded, tmp_path):
    (recorded / "suite.yaml").write_text(yaml.safe_dump(SUITE | {"grid": [SUITE["grid"][0] | {"methods": ["lnsr"]}]}))
    with pytest.raises(SteadyTuneError, match="plans no such cell"):
        read_recorded(recorded, tmp_path / "place")
    assert not (tmp_path / "place").exists()


def test_python_files_of_a_recorded_suite_are_rejected_and_not_run(recorded, tmp_path):
    (recorded / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (recorded / "suite.yaml").write_text(yaml.safe_dump(SUITE | {"methods_from": ["theirs.py"]}))
    with pytest.raises(SteadyTuneError, match=r"suite\.yaml: methods_from: 'theirs\.py': expected none"):
        write_site([recorded], tmp_path / "site")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("key", ["claims", "analysis_plan"])
def test_files_outside_the_recorded_folder_are_not_read(key, linked, recorded, tmp_path):
    outside, named = tmp_path / "secret.yaml", "../../secret.yaml"
    outside.write_text("password: hunter2")
    if linked:
        named = "link.yaml"
        (recorded / named).symlink_to(outside)
    (recorded / "suite.yaml").write_text(yaml.safe_dump(SUITE | {key: named}))
    with pytest.raises(SteadyTuneError, match=rf"suite\.yaml: {key}: '{named}': expected a file in ") as refused:
        write_site([recorded], tmp_path / "site")
    assert "hunter2" not in str(refused.value)


def test_folder_with_another_name_than_its_suite_is_rejected(recorded, tmp_path):
    moved = shutil.copytree(recorded, tmp_path / "other")
    with pytest.raises(SteadyTuneError, match=r"'demo', expected 'other'"):
        write_site([moved], tmp_path / "site")


def test_folders_without_a_suite_or_with_a_repeated_name_are_rejected(recorded, tmp_path):
    with pytest.raises(SteadyTuneError, match=r"store: no recorded suite"):
        recorded_folders([tmp_path / "store"])
    copy = shutil.copytree(recorded.parent, tmp_path / "again")
    with pytest.raises(SteadyTuneError, match=r"again/demo: .*given/demo"):
        recorded_folders([recorded, copy])


def test_page_of_5000_cells_is_smaller_than_3_mb():
    long = "hype-n~sigma=0.001+child-tuning-d"
    cells = [
        CellLine("glue-tiny", "roberta-large", long, "mnli-dev@5k", seed, "ok", "81.2", "10.5") for seed in range(5000)
    ]
    assert len(fill("site.html.j2", **contents([]) | {"cells": cells})) < 3e6


@pytest.mark.slow
def test_filters_and_links_work_in_a_browser(browser, tmp_path):  # noqa: F811
    methods, tasks = ("vanilla", "hype-n~sigma=0.1", "lnsr"), ("mini-rte", "mini-cola")
    cells = [CellLine("mini", "tiny", m, t, 0, "ok", "70.0", "1.0") for m in methods for t in tasks]
    choices = {"suite": ["mini"], "encoder": ["tiny"], "method": ["hype-n", "lnsr"], "task": list(tasks)}
    page = tmp_path / "index.html"
    claims = {
        name: [Voice("mini", ("tiny",), ("vanilla", method), tasks, shown_as(judged(name, verdict)))]
        for name, method, verdict in (("a", "hype-n", "reproduced"), ("b", "lnsr", "reproduced"),
                                      ("c", "lnsr", "not reproduced"), ("d", "hype-n", "inconclusive"))
    }  # fmt: skip
    made = Listing("Machines", ("Suite", "Cells"), (("mini", "6"), ("other", "1")), "lr")
    made = {"claims": claims, "verdicts": {"reproduced": 2, "inconclusive": 1, "not reproduced": 1}, "machines": made}
    page.write_text(fill("site.html.j2", **contents([]) | {"cells": cells, "choices": choices} | made))
    tally = "[...document.querySelectorAll('.tally .verdict')].map(e => e.textContent)"
    shown = (
        "[...document.querySelectorAll('#list tbody tr')].filter(r => r.offsetHeight).map(r => r.cells[0].innerText)"
    )

    seen = opened(browser, page.as_uri())
    assert len(seen.evaluate(shown)) == 6
    seen.select_option("select[name=method]", "hype-n")
    assert seen.evaluate(shown) == [f"tiny/hype-n~sigma=0.1/{task}/seed-0" for task in tasks]
    assert "method=hype-n" in seen.url
    # The tally counts only the claims shown.
    assert seen.evaluate(tally) == ["1 reproduced", "1 inconclusive", "0 not reproduced"]
    machines = "[...document.querySelectorAll('[data-rows=suite] tbody tr')].filter(r => r.offsetHeight).length"
    assert seen.evaluate(machines) == 2
    seen.select_option("select[name=suite]", "mini")
    assert seen.evaluate(machines) == 1
    seen.select_option("select[name=suite]", "")
    seen.click("#list tbody tr:not([hidden]) th")
    command = "steadytune verify mini --published tiny/hype-n~sigma=0.1/mini-rte/seed-0"
    assert seen.inner_text("#command") == command
    linked = opened(browser, seen.url, PHONE, color_scheme="dark")
    assert linked.evaluate(shown) == seen.evaluate(shown)
    assert linked.inner_text("#command") == command
    assert linked.evaluate("document.documentElement.scrollWidth") <= PHONE
