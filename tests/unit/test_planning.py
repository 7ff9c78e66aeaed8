"""Cost estimates from hand-made records, the claims that a budget decides, and light imports for planning."""

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import stats
from synthetic import Grid
from worlds import TASKS, shifted, values
from worlds import claim as claim_of_hype_n

from steadytune.claims.claim import Difference, Spread
from steadytune.claims.comparisons import judge_all
from steadytune.cli import main
from steadytune.errors import SteadyTuneError
from steadytune.planning.budget import Requirement, choose, fewest_seeds
from steadytune.planning.device import Device, stated_device
from steadytune.planning.estimates import Estimator
from steadytune.planning.records import Run, read_runs
from steadytune.planning.sizes import Shape
from steadytune.results.loading import load_or_empty
from steadytune.suite.cell import Cell
from steadytune.suite.loading import load_suite

SUITE = {
    "suite": "demo",
    "title": "A demonstration",
    "encoders": {"one": {"model": "a/one"}, "two": {"model": "a/two"}},
    "protocol": {"epochs": 2, "batch_size": 10, "max_length": 50},
    "grid": [{"encoders": ["one", "two"], "methods": ["vanilla", "r-drop"], "tasks": ["rte"], "seeds": 3}],
    "transfer": {"rte": []},
}
SHAPE = Shape(layers=2, width=10, inner=20, vocabulary=100)
HERE = Device("a processor", False, 2, 2)


class Known:
    """Fixed sizes of the models and data sets."""

    def shape(self, model):
        return SHAPE

    def rows(self, task, split):
        return {"train": 100, "evaluation": 30}[split]


@pytest.fixture
def suite(entries):
    (entries / "demo.yaml").write_text(yaml.safe_dump(SUITE))
    return load_suite(entries / "demo.yaml")


def run_of(suite, cell, **changes):
    values = {
        "model": suite.spec(cell).model, "method": cell.method, "task": cell.task,
        "protocol": suite.spec(cell).to_dict()["protocol"], "device": "a processor", "seconds": 40.0, "train": 20.0,
        "evaluate": 13.0, "flops": 2e9, "tokens": 1000, "steps": 20, "rows": 30, "scored": 60,
        "folder": Path("results"),
    }  # fmt: skip
    return Run(**(values | changes))


ONE, TWO = Cell("one", "vanilla", "rte", 0), Cell("two", "vanilla", "rte", 0)


def estimate(suite, cell, *runs, device=HERE):
    return Estimator(runs, device, Known()).estimate(suite.spec(cell))


def test_recorded_cell_on_this_device_costs_its_median_time(suite):
    runs = [run_of(suite, ONE, seconds=seconds) for seconds in (30.0, 50.0, 100.0)]
    found = estimate(suite, Cell("one", "vanilla", "rte", 2), *runs, run_of(suite, ONE, device="other", seconds=1.0))
    assert (found.seconds, found.basis) == (50.0, "recorded")


def test_records_of_other_settings_are_scaled_by_work(suite, tmp_path):
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE | {"protocol": SUITE["protocol"] | {"epochs": 4}}))
    longer = load_suite(tmp_path / "demo.yaml")
    found = estimate(longer, ONE, run_of(suite, ONE))
    # 4 epochs x 10 steps x 50 positions a step x 2e6 FLOPs each, at 1e8 FLOP/s; 30 examples scored 4 times.
    forward = 2 * 2 * (4 * 10**2 + 2 * 10 * 20) + 4 * 50 * 10 * 2
    training = 4 * 10 * 50 * 2e6
    assert found.flops == training + 30 * 4 * 50 * forward
    # 13 seconds for 60 scored examples, plus 7 of overhead.
    assert found.seconds == pytest.approx(training / 1e8 + 120 * 13 / 60 + 7)
    assert found.basis == "scaled"


def test_unrecorded_task_is_assumed_to_have_the_recorded_text_length(suite, tmp_path):
    grid = SUITE["grid"][0] | {"tasks": ["rte", "cola"]}
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE | {"grid": [grid], "transfer": {"rte": [], "cola": []}}))
    both = load_suite(tmp_path / "demo.yaml")
    # A tenth of the upper bound, 10 examples x 50 tokens a step.
    run = run_of(suite, ONE, tokens=1000)
    other = estimate(both, Cell("one", "vanilla", "cola", 0), run)
    assert other.basis == "scaled"
    assert other.seconds == pytest.approx(2 * 10 * 50 * 2e6 / 1e8 + 60 * 13 / 60 + 7)
    # For other batch sizes only the upper bound is known.
    wider = run_of(suite, ONE, protocol=run.protocol | {"batch_size": 20})
    bounded = estimate(both, Cell("one", "vanilla", "cola", 0), wider)
    assert bounded.seconds - other.seconds == pytest.approx(2 * 10 * (500 - 50) * 2e6 / 1e8)


def test_encoder_of_unknown_shape_is_scaled_from_its_own_records(suite):
    class Shapeless(Known):
        def shape(self, model):
            return None

    shorter = run_of(suite, ONE, protocol=suite.spec(ONE).to_dict()["protocol"] | {"epochs": 1})
    found = Estimator([shorter], HERE, Shapeless()).estimate(suite.spec(ONE))
    assert (found.basis, math.isnan(found.flops)) == ("scaled", True)


def test_stated_device_rate_gives_an_assumed_time(suite):
    device = stated_device("H100=1e9", None)
    found = estimate(suite, ONE, device=device)
    forward = 2 * 2 * (4 * 10**2 + 2 * 10 * 20) + 4 * 50 * 10 * 2
    # A forward pass and a backward pass, which counts as two; 2 epochs of 100 examples of 50 positions; 2 evaluations.
    assert found.flops == 3 * forward * 2 * 100 * 50 + forward * 2 * 30 * 50
    assert (found.seconds, found.basis) == (found.flops / 1e9, "assumed")
    twice = estimate(suite, Cell("one", "r-drop", "rte", 0), device=device)
    assert twice.flops == 6 * forward * 2 * 100 * 50 + forward * 2 * 30 * 50


def test_flops_follow_the_cells_own_method_settings(suite, tmp_path):
    """FreeLB takes K forward and backward passes per step; one estimator estimates both values of K."""
    grid = {"encoders": ["one"], "methods": ["freelb"], "tasks": ["rte"], "seeds": 1}
    changed = SUITE | {"methods": {"freelb": {"grid": {"steps": [3, 8]}}}, "grid": [grid]}
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(changed))
    several = load_suite(tmp_path / "demo.yaml")
    estimator = Estimator([], stated_device("H100=1e9", None), Known())
    three, eight = (estimator.estimate(several.spec(cell)).flops for cell in several.cells)
    one = 3 * (2 * 2 * (4 * 10**2 + 2 * 10 * 20) + 4 * 50 * 10 * 2) * 2 * 100 * 50
    assert eight - three == 5 * one


def test_stated_device_matches_records_by_part_of_the_name(suite):
    runs = [run_of(suite, ONE, device="NVIDIA H100 80GB HBM3", seconds=3.0), run_of(suite, ONE, seconds=9.0)]
    assert estimate(suite, ONE, *runs, device=stated_device("h100=1e9", None)).seconds == 3.0


def test_time_is_unknown_without_a_record_or_a_stated_rate(suite):
    found = estimate(suite, ONE)
    assert math.isnan(found.seconds)
    assert found.basis == "unknown"


@pytest.mark.parametrize("text", ["H100", "=1e9", "H100=fast", "H100=0", "H100=inf"])
def test_device_without_a_valid_rate_is_rejected(text):
    with pytest.raises(SteadyTuneError, match="expected NAME=FLOPS"):
        stated_device(text, None)


def test_read_runs_skips_records_damaged_or_without_training(suite, tmp_path):
    spec = suite.spec(ONE).to_dict()
    evaluations = [{"kind": "in_domain", "n": 30}, {"kind": "transfer", "n": 12}]
    record = {"spec": spec, "timing": {"total": 9.0, "train": 4.0, "evaluate": 3.0}, "evaluations": evaluations}
    training = {"flops": 8.0, "tokens": 4, "steps": 10, "examples": 47}
    record |= {"environment": {"device_name": "d"}, "training": training}
    for seed, text in enumerate((json.dumps(record), json.dumps(record | {"training": None}), "{", "[]", '"\xff"')):
        folder = tmp_path / f"results/demo/cells/one/vanilla/rte/seed-{seed}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(text)
    (folder.parent / "seed-0/model.safetensors").write_bytes(b"x" * 5000)
    (found,) = read_runs()
    # Ten steps are two epochs of five batches of ten examples: the task's own set is scored twice.
    assert (found.seconds, found.other_seconds, found.rows, found.scored) == (9.0, 2.0, 42, 72)
    assert found.bytes == len(json.dumps(record))


def test_disk_estimate_is_the_median_of_recorded_cell_sizes(suite, tmp_path):
    runs = []
    for seed, size in enumerate((100, 300, 900)):
        folder = tmp_path / f"results/demo/cells/one/vanilla/rte/seed-{seed}"
        folder.mkdir(parents=True)
        (folder / "predictions.parquet").write_bytes(b"x" * size)
        runs.append(run_of(suite, ONE, folder=folder))
    assert Estimator(runs, HERE, Known()).bytes(suite.spec(ONE)) == 300
    # Sizes of other tasks are scaled by rows: 15 rows took 300 bytes in the median, so 30 take 600.
    others = [replace(run, task="cola", rows=15) for run in runs]
    assert Estimator(others, HERE, Known()).bytes(suite.spec(ONE)) == 600


def test_plan_counts_stale_and_damaged_records(suite, tmp_path, capsys):
    encoders = {"one": {"model": "microsoft/deberta-base"}, "two": {"model": "microsoft/deberta-large"}}
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE | {"encoders": encoders}))
    other = suite.spec(ONE).to_dict()
    for seed, text in enumerate((json.dumps({"fingerprint": "", "spec": other}), "{")):
        folder = tmp_path / f"results/demo/cells/one/vanilla/rte/seed-{seed}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(text)
    assert main(["plan", "demo.yaml"]) == 0
    said = capsys.readouterr().out
    assert "12 cells, 0 recorded, 12 to run" in said
    assert "  of those to run, 2 have a stale or damaged record: `steadytune status demo` says why" in said


@pytest.mark.parametrize("wrong", ["--budget=soon", "--budget=0h", "--budget=nan", "--cells-at-once=0"])
def test_invalid_budget_or_cells_at_once_is_rejected(wrong, capsys):
    with pytest.raises(SystemExit):
        main(["plan", "mini", wrong])
    option, _, value = wrong.partition("=")
    assert f"argument {option}: '{value}', expected " in capsys.readouterr().err


def test_cells_at_once_requires_a_stated_device(suite, capsys):
    assert main(["plan", "demo.yaml", "--cells-at-once", "2"]) == 2
    assert "--cells-at-once" in capsys.readouterr().err


def claim(kind=Difference, **changes):
    values = {"id": "c", "sentence": "", "where": "", "paper": "p", "source": "", "family": "f", "encoders": ("one",),
              "tasks": ("rte",), "method": "hype-n", "against": ("vanilla",), "margin": 1.0, "statistic": "difference",
              "seeds": 2}  # fmt: skip
    return kind(**(values | changes))


def test_fewest_seeds_give_the_sign_flip_test_enough_pairs():
    # 2^(1 - pairs) is at most 0.05 from 6 pairs on, and at most 0.01 from 8.
    assert fewest_seeds(claim(), strata=1, planned=10, alpha=0.05) == 6
    assert fewest_seeds(claim(), strata=2, planned=10, alpha=0.05) == 3
    assert fewest_seeds(claim(seeds=5), strata=2, planned=10, alpha=0.05) == 5
    assert fewest_seeds(claim(), strata=1, planned=7, alpha=0.01) is None


def test_spread_claim_needs_enough_seeds_to_detect_its_margin():
    spread = claim(Spread, statistic="spread", margin=0.1)
    assert fewest_seeds(spread, strata=1, planned=3, alpha=0.05) is None
    few = fewest_seeds(spread, strata=1, planned=20, alpha=0.05)
    assert few is not None
    assert 3 < few <= 20


def need(name, *seeds, methods=("vanilla",), lack=""):
    cells = tuple(Cell("one", method, "rte", seed) for method in methods for seed in seeds)
    return Requirement(claim(id=name), cells, cells, len(seeds), lack)


def test_budget_decides_as_many_claims_as_possible_per_hour(suite):
    wide = need("wide", 0, 1, 2, methods=("vanilla", "r-drop"))
    narrow, inner = need("narrow", 0, 1), need("inner", 1)
    hopeless = need("hopeless", 0, lack="no")
    choice = choose(suite, [wide, narrow, inner, hopeless], set(), lambda cell: 1.0, 3.0)
    # Two hours decide the two small claims; the rest of the wide one would take four more.
    assert {need.claim.id for need in choice.decided} == {"inner", "narrow"}
    assert choice.cells == (Cell("one", "vanilla", "rte", 0), Cell("one", "vanilla", "rte", 1))
    assert choice.hours == 2.0
    everything = choose(suite, [wide, narrow, inner], set(), lambda cell: 1.0, 6.0)
    assert len(everything.decided) == 3
    assert everything.hours == 6.0


def test_budget_counts_done_cells_as_free_and_skips_unknown_costs(suite):
    done = {Cell("one", "vanilla", "rte", 0)}
    choice = choose(suite, [need("done", 0), need("unknown", 1)], done, lambda cell: math.nan, 100.0)
    assert [need.claim.id for need in choice.decided] == ["done"]
    assert choice.cells == ()


def stage_rows(folder, task):
    """Write 600 rows for every split of a mini task, where staging would put them."""
    folder = folder / "store/datasets/steadytune/mini" / task
    folder.mkdir(parents=True)
    for split in ("train", "validation", "constructions", "vocabulary", "overlap"):
        pq.write_table(pa.table({"label": [0] * 600}), folder / f"{split}-00000-of-00001.parquet")


def test_plan_budget_writes_the_targets_of_the_chosen_claims(suite, tmp_path, capsys):
    value = SUITE | {
        "suite": "mini",
        "encoders": {"mini": {"model": "steadytune/mini"}},
        "claims": ["mini-lnsr-average"],
    }
    value["grid"] = [{"encoders": ["mini"], "methods": ["vanilla", "lnsr"], "seeds": 3,
                      "tasks": ["mini-rte", "mini-stsb", "mini-cola"]}]  # fmt: skip
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(value | {"transfer": {}}))
    command = ["plan", "m.yaml", "--device", "D=1e12", "--budget"]
    # The sizes of the mini tasks are unknown until they are staged, so nothing is estimated for them.
    assert main([*command, "1h"]) == 0
    said = capsys.readouterr().out
    assert "  mini  mini-rte   2 methods x seeds 0–2: 6/6 to run, ? (unknown)\n" in said
    assert re.search(r"assumption of yours\):\n  time: not known yet; `steadytune plan \S*m.yaml --probe`", said)
    assert "\ndisk: ? of records and predictions (18 cells of unknown size); " in said
    assert "no claim fits" in said
    stage_rows(tmp_path, "rte")
    assert main([*command, "1h"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"  mini  mini-rte   2 methods x seeds 0–2: 6/6 to run, \d+ s \(assumed\)\n", said)
    assert "  mini  mini-cola  2 methods x seeds 0–2: 6/6 to run, ? (unknown)\n" in said
    assert re.search(r"assumption of yours\):\n  at least \d+ s from start to end, ", said)
    assert re.search(r"\n  and 12 cells whose time is not known yet; .*--probe.*\n  at least ", said)
    assert "\n  of cells: pretraining, " in said
    assert "\ndisk: at least " in said
    assert " of records and predictions (12 cells of unknown size); " in said
    assert "  no claim fits, as far as hours are known\n" in said
    for task in ("stsb", "cola", "mnli", "mrpc"):
        stage_rows(tmp_path, task)
    assert main([*command, "1h"]) == 0
    said = capsys.readouterr().out
    assert "1e+12 FLOP/s each: an assumption of yours" in said
    assert "steadytune run m.yaml -- $(cat results/mini/plan.txt)" in said
    targets = (tmp_path / "results/mini/plan.txt").read_text().split()
    assert len(targets) == 18
    assert "results/mini/cells/mini/lnsr/mini-cola/seed-2/record.json" in targets
    assert main([*command, "0.00001h"]) == 0
    assert "no claim fits" in capsys.readouterr().out


def test_budget_of_a_suite_without_claims_has_nothing_to_choose(entries, capsys):
    encoders = {"one": {"model": "microsoft/deberta-base"}, "two": {"model": "microsoft/deberta-large"}}
    (entries / "demo.yaml").write_text(yaml.safe_dump(SUITE | {"encoders": encoders}))
    assert main(["plan", "demo.yaml", "--budget", "5h"]) == 0
    assert capsys.readouterr().out.endswith(
        "with 5 h of a device: nothing to choose, since demo.yaml names no claims\n"
    )
    assert not Path("results/demo/plan.txt").exists()


@pytest.fixture
def planned(world, root):
    """A world with the project's lock file and encoders."""
    (world.folder / "config/lock.yaml").write_bytes((root / "config/lock.yaml").read_bytes())
    (world.folder / "config/encoders").symlink_to(root / "config/encoders")
    return world


def test_plan_and_claims_agree_on_the_seeds_needed_after_a_pilot(planned, capsys):
    suite = planned.build(
        shifted(0.3, sd=2.0), claim_of_hype_n("wins", margin=1.5), claim_of_hype_n("more", margin=2.5)
    )
    verdicts = judge_all(suite, load_or_empty(suite))
    assert main(["plan", "demo"]) == 0
    said = capsys.readouterr().out
    (compared,) = verdicts.comparisons
    low, high = compared.finding.needs_range
    assert low < compared.finding.needs < high
    question = "hype-n against vanilla on mini: to see 1 point on average over these 4 tasks with 80 % power"
    assert f"{question}: {compared.finding.needs} seeds ({low} to {high}); 3 are planned" in said
    for judged in verdicts.claims:
        (line,) = [line for line in said.splitlines() if line.startswith(f"  {judged.id} ")]
        assert f" {judged.finding.needs} seeds" in line


def test_sd_and_effect_options_give_seed_counts_before_any_run(planned, capsys):
    tasks = (*TASKS, "mini-stsb")
    planned.build(Grid(methods=("vanilla", "hype-n"), tasks=tasks), claim_of_hype_n("wins", margin=1.0))
    assert main(["plan", "demo", "--sd", "2", "--effect", "1"]) == 0
    said = capsys.readouterr().out
    # (1.96 + 0.84)^2 x 2^2 / 5 = 6.3, plus one because t replaces z.
    assert "to see 1 point on average over these 5 tasks with 80 % power: 7 seeds\n" in said
    # A paired t test of one task: 33.4, as in power tables.
    assert "to see 1 point on one task with 80 % power: 34 seeds\n" in said
    assert "wins  30/30 to run: an effect of its size needs 7 seeds, 3 are planned" in said


def test_gain_claim_has_the_variance_of_two_differences(planned, capsys):
    grid = Grid(methods=("vanilla", "hype-n"), tasks=("mini-rte@100", "mini-rte"), seeds=20)
    gain = {"statistic": "gain", "tasks": ["mini-rte@100"], "reference": ["mini-rte"], "margin": 2.0}
    planned.build(grid, claim_of_hype_n("gains", **gain), claim_of_hype_n("wins", tasks=["mini-rte"], margin=2.0))
    assert main(["plan", "demo", "--sd", "2"]) == 0
    # For a paired t test, power tables give 10 pairs for an effect of one standard deviation. Variances add, so a
    # gain's effect is 1 / sqrt(2) of one, which takes 18.
    power = [stats.nct.sf(stats.t.isf(0.025, n - 1), n - 1, (n / 2) ** 0.5) for n in (17, 18)]
    assert power[0] < 0.8 <= power[1]
    said = capsys.readouterr().out
    assert [re.search(rf"{name} .*: (\d+) seeds for an effect", said)[1] for name in ("gains", "wins")] == ["18", "10"]


def test_plan_reports_too_few_seeds_for_the_sign_flip_test(planned, capsys):
    planned.build(Grid(methods=("vanilla", "hype-n"), tasks=("mini-rte",)), claim_of_hype_n("wins", margin=1.0))
    assert main(["plan", "demo", "--sd", "0.1"]) == 0
    said = capsys.readouterr().out
    # With three pairs a t test detects ten standard deviations; a claim's sign flips need 2^(1-n) <= 0.05.
    assert "to see 1 point on one task with 80 % power: 3 seeds\n" in said
    assert "wins  6/6 to run: 3 seeds are too few for its test: it takes 6" in said


def test_equal_pairs_are_reported_and_raise_the_smallest_p(planned, capsys):
    plain = values("vanilla", "mini-rte", *[70.0] * 6)
    suite = planned.build(
        Grid(tasks=("mini-rte",), seeds=6, values=plain | values("hype-n", "mini-rte", 70, 70, 70, 75, 75, 75)),
        claim_of_hype_n("wins", margin=1.0),
    )
    (judged,) = judge_all(suite, load_or_empty(suite)).claims
    # Three pairs have eight patterns of signs.
    assert "3 of 6 pairs equal" in judged.reason
    assert judged.finding.smallest_p == 0.25
    assert main(["plan", "demo"]) == 0
    assert f"an effect of its size needs {judged.finding.needs} seeds, 6 are planned" in capsys.readouterr().out


def test_pairs_at_the_bound_are_reported_and_have_no_sign(planned):
    scores = values("vanilla", "mini-rte", *[70.0] * 6) | values("hype-n", "mini-rte", 70, 70, 71, 71, 71, 75)
    grid = Grid(tasks=("mini-rte",), seeds=6, values=scores)
    suite = planned.build(grid, claim_of_hype_n("wins", margin=1.0, at_least=True))
    (judged,) = judge_all(suite, load_or_empty(suite)).claims
    # Two pairs are equal and three differ by exactly the margin, so three signs remain.
    assert "3 of 6 pairs at the bound" in judged.reason
    assert judged.finding.smallest_p == 0.25


def test_plan_needs_over_1000_seeds_if_all_pairs_are_equal(planned, capsys):
    scores = values("vanilla", "mini-rte", *[70.0] * 6) | values("hype-n", "mini-rte", *[70.0] * 6)
    planned.build(Grid(tasks=("mini-rte",), seeds=6, values=scores), claim_of_hype_n("wins", margin=1.0))
    assert main(["plan", "demo"]) == 0
    assert "an effect of its size needs over 1,000 seeds, 6 are planned" in capsys.readouterr().out


def test_planning_imports_no_torch(root, tmp_path):
    code = (
        "import sys; from pathlib import Path; from steadytune.suite.loading import load_suite\n"
        "from steadytune.planning.page import describe\n"
        "from steadytune.planning.plan import Plan\n"
        # Not this folder's results: records of other code are compared with the staged data, which imports datasets.
        f"describe(Plan.make(load_suite(Path('config/mini.yaml'), results=Path({str(tmp_path)!r}))))\n"
        "sys.exit(', '.join({'torch', 'transformers', 'datasets', 'matplotlib'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("keep", "weights"), [("all", 6), ("best", 2), ("none", 0)])
def test_disk_estimate_includes_the_weights_that_the_suite_keeps(suite, tmp_path, capsys, keep, weights):
    value = SUITE | {"suite": "mini", "encoders": {"mini": {"model": "steadytune/mini"}}, "keep": keep, "transfer": {}}
    value["grid"] = [{"encoders": ["mini"], "methods": ["vanilla", "lnsr"], "seeds": 3, "tasks": ["mini-rte"]}]
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(value))
    assert main(["plan", "m.yaml", "--device", "D=1e12"]) == 0
    said = capsys.readouterr().out
    (one,) = re.findall(r"up to ([\d.]+) MB of checkpoints", said)
    kept = re.findall(r"and ([\d.]+) MB of fine-tuned weights", said)
    # A checkpoint holds the weights and both moments of one cell.
    assert [float(size) for size in kept] == pytest.approx([weights * float(one) / 3] * bool(weights), rel=0.02)
