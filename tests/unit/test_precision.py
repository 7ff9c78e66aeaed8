"""Half precision on a processor without instructions for it: said once, before anything runs."""

import pytest
import yaml

from steadytune.cli import main
from steadytune.planning import precision

SUITE = {
    "suite": "demo",
    "title": "A demonstration",
    "encoders": {"one": {"model": "microsoft/deberta-base"}},
    "protocol": {"precision": "bf16"},
    "grid": [{"encoders": ["one"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 3}],
    "transfer": {"rte": []},
}
SAID = "3 cells with precision: bf16, for which "
AVX2 = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx avx2 fma\n"


@pytest.fixture
def processor(entries, monkeypatch):
    """What sets the processor's description, in a folder with a suite in bf16 and no GPU."""
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
def test_instructions_are_read_from_the_processors_flags(processor, lines, bf16, fp16):
    processor(lines)
    assert [precision.multiplies_in(name) for name in ("bf16", "fp16", "fp32")] == [bf16, fp16, True]


def test_without_a_description_instructions_are_assumed(processor):
    assert precision.multiplies_in("bf16")


def test_the_plan_says_it_of_this_machine_alone(processor, capsys):
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


@pytest.mark.parametrize(
    ("passed", "recorded", "said"),
    [
        (["results/demo/table"], 0, ["3 cells with"]),
        (["results/demo/table"], 2, ["1 cell with"]),
        (["results/demo/table"], 3, []),
        (["--executor=slurm"], 0, []),
        (["--profile", "profiles/slurm"], 0, []),
    ],
)
def test_a_run_says_it_of_cells_that_it_will_train_here(
    processor, monkeypatch, tmp_path, caplog, passed, recorded, said
):
    processor(AVX2)
    for seed in range(recorded):
        folder = tmp_path / f"results/demo/cells/one/vanilla/rte/seed-{seed}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text("{")
    monkeypatch.setattr("steadytune.dag.runner.run", lambda *_, **__: 0)
    assert main(["run", "demo.yaml", "--", *passed]) == 0
    assert [line[: len(part)] for line, part in zip(caplog.messages, said, strict=True)] == said
