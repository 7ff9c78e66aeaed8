"""Files of claims: what they may say, which mistakes are refused, and whether the papers' claims are consistent."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from scipy import stats

from steadytune.claims.claim import Claim, Difference
from steadytune.claims.files import ClaimFile, find_claims, load_claims
from steadytune.dag.checks import check_outputs
from steadytune.errors import SteadyTuneError
from steadytune.planning.page import describe
from steadytune.planning.plan import Plan
from steadytune.suite.loading import load_suite

PAGE = Path("docs/claims.md")
CLAIM = {
    "id": "hype-wins",
    "sentence": "HyPe-N scores higher than vanilla.",
    "where": "Table 1",
    "statistic": "difference",
    "encoders": ["mini"],
    "method": "hype-n",
    "against": ["vanilla"],
    "tasks": ["mini-rte"],
    "margin": 1.0,
}
PRINTED = {"table": "1", "model": "bert-large", "row": "HyPe-N", "against": "Vanilla", "tasks": ["AVG4"]}
STABILITY = {key: CLAIM[key] for key in ("id", "sentence", "where", "encoders", "tasks")} | {
    "statistic": "layer-stability",
    "margin": 0.8,
}


def write(folder: Path, *claims, name: str = "papers", **top) -> Path:
    """Write a file of claims."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"paper": name, "source": "A paper", **top, "claims": list(claims)}))
    return path


@pytest.fixture
def project(root, monkeypatch):
    """Work in the project's folder, so that names refer to its files."""
    monkeypatch.chdir(root)


def test_file_level_keys_apply_to_every_claim(tmp_path):
    other = CLAIM | {"id": "other", "family": "its-own"}
    first, second = load_claims(write(tmp_path, CLAIM, other, suite="mini"))
    assert isinstance(first, Difference)
    assert (first.paper, first.suite, first.family, second.family) == ("papers", "mini", "papers", "its-own")
    assert (first.test, first.direction, first.size(), first.effect()) == ("sign-flip", "higher", 1.0, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "hype-nn"}, "claim 'hype-wins': unknown method 'hype-nn' (did you mean 'hype-n'?)"),
        ({"method": "hype-n~sigma=-1"}, "sigma"),
        ({"tasks": ["mini-rt"]}, "unknown task 'mini-rt' (did you mean 'mini-rte'?)"),
        ({"sets": ["snly"]}, "unknown task 'snly'"),
        ({"sets": {"mini-cola": ["mini-rte"]}}, "an entry for each of its tasks"),
        ({"marg": 2}, "unknown key 'claims.0.marg' (did you mean 'margin'?)"),
        ({"zzz": 2}, "; known: against, "),
        ({"statistic": "spread"}, "margin: 1.0: expected below 1"),
        (
            {"statistic": "diference"},
            "papers.yaml: claims.0.statistic: 'diference': expected 'difference', 'gain', 'spread', 'not-worse', "
            "'equivalent', 'cost', 'layer-stability' (did you mean 'difference'?)",
        ),
        ({"tasks": 3}, "claims.0.tasks: 3: expected a list"),
        ({"margin": None}, "claims.0: expected a `margin`, or `published` numbers to take it from"),
        ({"margin": -1.0}, "direction is 'higher', but the effect is -1 points"),
        ({"test": "tost"}, "claims.0.test: 'tost': expected 'sign-flip' or 'wilcoxon'"),
        ({"baseline_encoders": ["a", "b"]}, "as many `baseline_encoders` as `encoders`"),
        ({"statistic": "gain", "reference": ["mini-rte", "mini-cola"]}, "as many `reference` tasks"),
        ({"seeds": 1}, "claims.0.seeds: 1: expected at least 2"),
        ({"statistic": "not-worse", "margin": None, "published": PRINTED, "paper": "hype"}, "expected a `margin`"),
        ({"reading": "two-way", "tasks": "*"}, "reading: 'two-way': expected named `tasks`"),
        ({"reading": "two-way", "tasks": ["mnli", "sst2"]}, "reading: 'two-way': sst2 on sst2 is not about entailment"),
        ({"reading": "two-way", "tasks": ["mnli"], "sets": ["sst2"]}, "says nothing about a set of (negative"),
        ({"published": PRINTED | {"row": "HyPe-M"}, "paper": "hype"}, "unknown printed row 'bert-large HyPe-M'"),
    ],
)
def test_mistake_in_a_claim_gives_a_one_line_error(project, tmp_path, changes, said):
    with pytest.raises(SteadyTuneError) as error:
        load_claims(write(tmp_path, CLAIM | changes))
    assert said in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "papers.yaml"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claims: [{id: a}]\n",
         ["key 'paper' is missing", "key 'source' is missing", "key 'claims.0.statistic' is missing"]),
        ("{paper: a, source: b, claims: [{id: a}]}\n", ["key 'claims.0.statistic' is missing"]),
        ("{paper: a, source: b, claims: [a]}\n", ["claims.0: 'a': expected a mapping of keys to values"]),
        ("{paper: a, source: b, claims: []}\n", ["claims: []: expected 1 or more"]),
    ],
)  # fmt: skip
def test_malformed_claim_file_gives_a_line_for_each_mistake(tmp_path, text, said):
    path = tmp_path / "papers.yaml"
    path.write_text(text)
    with pytest.raises(SteadyTuneError) as error:
        load_claims(path)
    assert str(error.value) == "\n".join(f"{path}: {line}" for line in said)


def test_example_file_in_the_docs_is_valid(project, tmp_path):
    (shown,) = re.findall(r"^## Add a claim\n.*?^```yaml\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    path = tmp_path / "mine.yaml"
    path.write_text(shown)
    (claim,) = load_claims(path)
    assert (claim.id, claim.family, claim.size()) == ("mine-hype-n-average", "mine", 2.0)


def test_docs_describe_every_key_and_statistic(project):
    kinds = get_args(get_args(Claim)[0])
    tables = PAGE.read_text().partition("## What a claim says")[2].partition("## What is ours")[0]
    described = set(re.findall(r"`([\w-]+)`", tables))
    assert described >= {key for kind in (ClaimFile, *kinds) for key in kind.model_fields}
    assert described >= {get_args(kind.model_fields["statistic"].annotation)[0] for kind in kinds}


@pytest.mark.parametrize("changes", [{}, {"examples": 100, "majority": 0.9}])
def test_layer_stability_claim_needs_either_examples_or_majority(tmp_path, changes):
    with pytest.raises(SteadyTuneError, match="`examples` or `majority`"):
        load_claims(write(tmp_path, STABILITY | changes))


def test_claims_are_found_by_the_name_of_their_file_or_their_own(tmp_path):
    write(tmp_path, CLAIM, CLAIM | {"id": "second"})
    write(tmp_path, CLAIM | {"id": "third"}, name="others")
    assert [claim.id for claim in find_claims(["papers"], "here", tmp_path)] == ["hype-wins", "second"]
    assert [claim.id for claim in find_claims(["third", "second", "papers"], "here", tmp_path)] == [
        "third",
        "second",
        "hype-wins",
    ]
    assert find_claims([], "here", tmp_path / "absent") == ()
    # A user's own file is named with its extension, and may be combined with the project's claims.
    mine = write(tmp_path / "elsewhere", CLAIM | {"id": "mine"}, name="my claims")
    found = find_claims([mine.name, "second"], "here", tmp_path, beside=mine.parent)
    assert [claim.id for claim in found] == ["mine", "second"]
    with pytest.raises(SteadyTuneError, match=r"absent\.yaml: no such file"):
        find_claims(["absent.yaml"], "here", tmp_path, beside=mine.parent)
    with pytest.raises(SteadyTuneError, match=r"unknown claim 'zzzz'; files of claims: others, papers$"):
        find_claims(["zzzz"], "here", tmp_path)
    with pytest.raises(SteadyTuneError, match=r"here: unknown claim 'secnd' \(did you mean 'second'\?\)"):
        find_claims(["secnd"], "here", tmp_path)
    with pytest.raises(SteadyTuneError, match="claim 'hype-wins': listed twice"):
        load_claims(write(tmp_path, CLAIM, CLAIM, name="twice"))
    write(tmp_path, CLAIM, name="twice")
    with pytest.raises(SteadyTuneError, match="'hype-wins': another claim or file has the same name"):
        find_claims(["third"], "here", tmp_path)


def test_papers_claims_load_together_with_their_published_sizes(project):
    claims = {name: find_claims([name], "here") for name in ("hype", "variability", "lnsr", "mini")}
    assert sum(len(claims[name]) for name in ("hype", "variability", "lnsr")) > 48
    assert len(claims["mini"]) >= 10
    # Loading all of them together would also refuse an id that is in two files.
    assert len(find_claims([*claims, "hype-n-time"], "here")) == sum(map(len, claims.values()))
    sizes = {claim.id: claim.size() for name in claims for claim in claims[name] if claim.published}
    # 80.75 - 79.15; SST-2 34.45 - 33.03, the mean of MNLI's two 32.51 - 28.72 and 27.78 - 27.05, as the claim weighs
    # them, RTE 48.56 - 40.46, QNLI 47.97 - 39.77, QQP 40.17 - 37.91: a fifth of 1.42 + 2.26 + 8.10 + 8.20 + 2.26.
    assert sizes["hype-n-average-bert"] == pytest.approx(1.60)
    assert sizes["hype-n-adversarial"] == pytest.approx(22.24 / 5)
    assert sizes["hype-n-low-resource"] == pytest.approx(5.99, abs=0.005)
    assert min(sizes.values()) > 0


def test_published_rows_of_hype_claims_match_their_method_and_encoder(project):
    rows = {"hype-n": "HyPe-N", "hype-u": "HyPe-U", "hype-u-released": "HyPe-U"}
    for claim in find_claims(["hype"], "here"):
        if claim.published:
            assert claim.published.row == rows[claim.method]
            assert claim.published.model in claim.encoders
            assert claim.published.against == "Vanilla"
            assert claim.against == ("vanilla",)
            assert claim.reading == ("two-way" if claim.published.table == "7" else "headline")


def test_suite_with_an_unknown_claim_is_refused(project, tmp_path):
    path = tmp_path / "demo.yaml"
    value = yaml.safe_load(Path("config/mini.yaml").read_text()) | {"claims": ["mini-hype-n-averag"]}
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(SteadyTuneError, match=r"claims: unknown claim 'mini-hype-n-averag' \(did you mean"):
        check_outputs(load_suite(path))


def test_plan_reports_the_effects_that_its_seeds_can_detect(root, tmp_path, monkeypatch):
    # Not in the project's folder: if a run has left results there, the plan uses their standard deviations.
    monkeypatch.chdir(tmp_path)
    text = describe(Plan.make(load_suite(root / "config/mini.yaml"))).text
    # Three signs cannot show a claim. A question without a direction has the t test too: 80% power at 3.3 sd.
    assert stats.nct.sf(stats.t.isf(0.025, 2), 2, 3.26 * 3**0.5) == pytest.approx(0.8, abs=0.005)
    assert "3 seeds, 1 task: p of a claim at least 0.25; differences from 3.3 sd; none in spread" in text
    # 18 pairs: 2 of 2^18 sign patterns.
    assert "3 seeds, 6 tasks together: p of a claim at least 7.6e-06; differences from 0.7" in text


def test_claims_of_a_suite_load_without_heavy_imports(root):
    code = (
        "import sys, pathlib; from steadytune.claims.files import suite_claims\n"
        "from steadytune.suite.loading import load_suite\n"
        "assert suite_claims(load_suite(pathlib.Path('config/mini.yaml')))\n"
        "sys.exit(str({'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": str(root / "src"), "PATH": ""})  # fmt: skip
    assert not done.stderr.strip()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tasks": ["mini-rte", "mini-rte"]}, r"claims\.0\.tasks: .* each name once: 'mini-rte' is listed twice"),
        ({"encoders": ["mini", "mini"]}, r"claims\.0\.encoders: .* each name once: 'mini' is listed twice"),
        (
            {"encoders": ["a", "b"], "baseline_encoders": ["random", "random"]},
            r"claims\.0\.baseline_encoders: .* each name once: 'random' is listed twice",
        ),
        (
            {"statistic": "gain", "tasks": ["mini-rte", "mini-cola"], "reference": ["mini-mrpc", "mini-mrpc"]},
            r"claims\.0\.reference: .* each name once: 'mini-mrpc' is listed twice",
        ),
        ({"margin": float("nan")}, r"claims\.0\.margin: nan: expected a finite number"),
        ({"margin": float("inf")}, r"claims\.0\.margin: inf: expected a finite number"),
        (
            {"statistic": "cost", "measure": "seconds", "margin": float("inf")},
            r"claims\.0\.margin: inf: expected a finite number",
        ),
        (
            {"against": ["vanilla", "hype-n"]},
            "claim 'hype-wins': against: 'hype-n' is also its `method`: expected another method",
        ),
        (
            {"against": ["hype-n"], "baseline_encoders": ["mini"]},
            "claim 'hype-wins': against: 'hype-n' is also its `method`",
        ),
    ],
)
def test_repeats_self_comparison_and_non_finite_margins_are_refused(tmp_path, change, said):
    with pytest.raises(SteadyTuneError, match=rf"papers\.yaml: {said}"):
        load_claims(write(tmp_path, CLAIM | change))


def test_method_may_be_compared_with_itself_on_another_encoder(tmp_path):
    same = {"against": ["hype-n"], "encoders": ["a", "b"], "baseline_encoders": ["a-random", "b-random"]}
    assert load_claims(write(tmp_path, CLAIM | same))
