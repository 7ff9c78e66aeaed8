"""The warning, before anything runs, about half precision on a processor without instructions for it."""

import pytest
import yaml

from steadytune.cells.freshness import CellStatus
from steadytune.cli import main
from steadytune.planning import precision
from steadytune.suite.cell import Cell

SUITE = {
    "suite": "demo",
    "title": "A demonstration",
    "encoders": {"one": {"model": "microsoft/deberta-base"}},
    "protocol": {"precision": "bf16"},
    "grid": [{"encoders": ["one"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 3}],
    "transfer": {"rte": []},
}
SAID = "3 cells with precision: bf16, for which "
FRESH, MISSING, DAMAGED = ("fresh",), ("missing",), ("quarantined", "damaged")
OTHER_SETTINGS, OTHER_CODE = ("stale", "", "settings"), ("stale", "", "code")
AVX2 = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx avx2 fma\n"


@pytest.fixture
def processor(entries, monkeypatch):
    """Return a function that sets the processor's description, in a folder with a bf16 suite and no GPU."""
    (entries / "demo.yaml").write_text(yaml.safe_dump(SUITE))
    monkeypatch.setattr(precision, "PROCESSOR", entries / "cpuinfo")
    monkeypatch.setenv("PATH", "")
    return (entries / "cpuinfo").write_text


@pytest.mark.parametrize(
    ("lines", "bf16", "fp16"),
    [
        (AVX2, False, False),
        ("flags\t\t: avx512f avx512vl avx512_vnni\n", False, False),
        ("flags\t\t: avx512f avx512_bf16\n", True, False),
        ("flags\t\t: amx_bf16 avx512_fp16 amx_tile\n", True, True),
        ("Features\t: fp asimd fphp asimdhp\n", False, True),
        ("Features\t: fp asimd asimdhp bf16\n", True, True),
        ("vendor_id\t: IBM/S390\n", True, True),
    ],
)
def test_half_precision_support_is_read_from_the_cpu_flags(processor, lines, bf16, fp16):
    processor(lines)
    assert [precision.multiplies_in(name) for name in ("bf16", "fp16", "fp32")] == [bf16, fp16, True]


def test_bf16_support_is_assumed_without_a_cpu_description(processor):
    assert precision.multiplies_in("bf16")


def test_plan_warns_about_this_machines_processor_only(processor, capsys):
    processor(AVX2)
    assert main(["plan", "demo.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.count(SAID) == 1
    assert "may take ten times as long as in fp32; set `protocol: {precision: fp32}` in demo.yaml\n" in said
    assert main(["plan", "demo.yaml", "--device", "H100=1e14"]) == 0
    assert SAID not in capsys.readouterr().out
    processor("flags\t\t: avx512_bf16\n")
    assert main(["plan", "demo.yaml"]) == 0
    assert SAID not in capsys.readouterr().out


@pytest.fixture
def run(processor, monkeypatch, caplog):
    """Return a function that lists the warnings of `run` for cells in given states, without running anything."""
    processor(AVX2)
    monkeypatch.setattr("steadytune.dag.runner.run", lambda *_, **__: 0)

    def warned(*options, states=(MISSING,) * 3):
        found = [CellStatus(Cell("one", "vanilla", "rte", seed), *state) for seed, state in enumerate(states)]
        monkeypatch.setattr("steadytune.cells.freshness.statuses", lambda suite: found)
        assert main(["run", "demo.yaml", *options]) == 0
        return [line.partition(" with precision")[0] for line in caplog.messages]

    return warned


@pytest.mark.parametrize("options", [["--executor=slurm"], ["-e", "slurm"], ["--profile", "profiles/slurm"]])
def test_run_on_other_machines_gives_no_warning_about_this_one(run, options):
    assert run("--", *options) == []


@pytest.mark.parametrize(
    ("states", "options", "said"),
    [
        ((MISSING, MISSING, MISSING), [], ["3 cells"]),
        ((FRESH, FRESH, MISSING), [], ["1 cell"]),
        ((FRESH, OTHER_SETTINGS, DAMAGED), [], ["2 cells"]),
        ((FRESH, OTHER_CODE, OTHER_CODE), [], []),
        ((FRESH, OTHER_CODE, OTHER_CODE), ["--stale"], ["2 cells"]),
    ],
)
def test_run_warning_counts_only_cells_that_will_be_trained(run, states, options, said):
    assert run(*options, "--", "results/demo/table", states=states) == said
