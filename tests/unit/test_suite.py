"""Suite files: the cells they expand to, and a clear one-line error for every mistake."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from steadytune.cli import main
from steadytune.dag.checks import check_outputs
from steadytune.dag.dag import quoted
from steadytune.errors import SteadyTuneError
from steadytune.methods.registry import methods
from steadytune.store.inventory import check_lock
from steadytune.store.lock import load_lock
from steadytune.suite.cell import Cell
from steadytune.suite.file import EncoderEntry, Inside, SuiteFile
from steadytune.suite.loading import find_suite, load_suite

SUITE = {
    "suite": "demo",
    "title": "A demonstration",
    "encoders": {"mini": {"model": "steadytune/mini"}},
    "protocol": {"epochs": 2},
    "methods": {"hype-n": {"sigma": 0.01}},
    "grid": [{"encoders": ["mini"], "methods": ["vanilla", "hype-n"], "tasks": ["mini-rte"], "seeds": 3}],
    "overrides": [{"task": "mini-*", "method": "hype-*", "protocol": {"epochs": 5}}],
}


def load(tmp_path, changes=None, **more):
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(SUITE | (changes or {}) | more))
    suite = load_suite(path)
    check_outputs(suite)
    return suite


def message(tmp_path, changes=None, **more):
    """The error message for a suite, without the suite's path."""
    with pytest.raises(SteadyTuneError) as error:
        load(tmp_path, changes, **more)
    path, _, said = str(error.value).partition(": ")
    assert path == str(tmp_path / "demo.yaml")
    return said


def grid(**changes):
    return [SUITE["grid"][0] | changes]


@pytest.mark.parametrize(
    ("file", "argument"),
    [("demo.yaml", "demo"), ("config/demo.yaml", "demo"), ("exp.yaml", "exp.yaml"), ("sub/demo.yaml", "sub/demo.yaml"),
     ("my suites/demo.yml", "'my suites/demo.yml'")],
)  # fmt: skip
def test_printed_suite_argument_finds_the_suite_again(file, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    Path("config/lock.yaml").write_text("{}")  # the folder is the project's
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(yaml.safe_dump(SUITE))
    suite = load_suite(Path(file))
    assert suite.argument == argument
    assert find_suite(*shlex.split(argument)).samefile(file)
    # Another file may have the same name, here or in config/.
    if file != "demo.yaml":
        Path("demo.yaml").write_text("suite: demo")
        assert find_suite(*shlex.split(load_suite(Path(file)).argument)).samefile(file)


def test_grid_expands_every_combination_once_in_order(tmp_path):
    suite = load(tmp_path, grid=[*SUITE["grid"], *grid(seeds=[2, 7])])
    assert [str(cell) for cell in suite.cells][:4] == [
        "mini/vanilla/mini-rte/seed-0", "mini/vanilla/mini-rte/seed-1", "mini/vanilla/mini-rte/seed-2",
        "mini/hype-n/mini-rte/seed-0"]  # fmt: skip
    assert len(suite.cells) == 8
    assert {cell.seed for cell in suite.cells} == {0, 1, 2, 7}


def test_missing_analysis_plan_is_an_error(tmp_path):
    assert message(tmp_path, analysis_plan="plan.md") == f"analysis_plan: {tmp_path / 'plan.md'}: no such file"


@pytest.mark.parametrize(
    ("there", "key", "value"),
    [
        ("plan.md", "analysis_plan", "pln.md"),
        ("expected.yaml", "claims", ["expcted.yaml"]),
        ("my_method.py", "methods_from", ["my-method.py"]),
        ("my-bert", "encoders", {"mini": {"model": "./my-bret"}}),
    ],
)
def test_missing_file_error_names_the_key_and_the_closest_file(tmp_path, capsys, there, key, value):
    (tmp_path / there).mkdir() if key == "encoders" else (tmp_path / there).touch()
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(SUITE | {key: value}))
    assert main(["plan", str(path)]) == 2
    said = capsys.readouterr().err
    assert re.search(rf"demo\.yaml: {key}.*: no such (file|folder) \(did you mean '{re.escape(there)}'\?\)", said)


def test_suite_name_with_wrong_extension_suggests_the_existing_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(SteadyTuneError, match=r"mine\.yml: no such file \(did you mean 'mine\.yaml'\?\)"):
        load_suite(Path("mine.yml"))


def test_claims_file_named_without_extension_gets_a_hint(tmp_path):
    (tmp_path / "expected.yaml").touch()
    said = message(tmp_path, claims=["expected"])
    assert said == "claims: unknown claim 'expected'; for the file beside the suite write `expected.yaml`"


def test_spec_resolves_defaults_overrides_and_variant_values(tmp_path):
    suite = load(tmp_path, grid=grid(methods=["vanilla", "hype-n", "hype-n~lr=3e-05~sigma=1e-04"]))
    vanilla, hype, variant = (suite.spec(cell) for cell in suite.cells if cell.seed == 0)
    assert (vanilla.protocol.epochs, hype.protocol.epochs) == (2, 5)
    assert vanilla.protocol.weight_decay == 0.1
    assert hype.parts[0].settings["sigma"] == 0.01
    assert hype.parts[0].settings["hidden_dropout"] == 0.0
    assert variant.parts[0].settings["sigma"] == 1e-4
    assert variant.protocol.learning_rate == 3e-5
    assert hype.transfer[0] == "mini-rte-constructions"
    assert len({spec.digest() for spec in (vanilla, hype, variant)}) == 3
    assert all(suite.spec(cell).cell == cell for cell in suite.cells)


def test_suite_digest_of_a_cell_equals_the_digest_of_its_spec(tmp_path):
    started = grid(seeds=[0, 11], start={"task": "mini-mnli", "seed": 1})
    suite = load(tmp_path, grid=[*grid(methods=["vanilla", "hype-n", "hype-n~lr=3e-05"], seeds=[0, 1, 11]), *started])
    digests = {cell: suite.digest(cell) for cell in suite.cells}
    assert digests == {cell: suite.spec(cell).digest() for cell in suite.cells}
    assert len(set(digests.values())) == len(suite.cells) > 12


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"protocl": {}}, "unknown key 'protocl' (did you mean 'protocol'?)"),
        ({3: 4}, "3: 3: expected a word"),
        ({"store": "st{o}re"}, "store: 'st{o}re': expected a path without { or }"),
        ({"suite": "My Suite"}, "suite: 'My Suite': expected lower-case letters, digits and -, such as my-suite"),
        ({"encoders": {"größe": {"model": "a/b"}}},
         "encoders.größe: 'größe': expected letters from a to z, digits, _ . and -, a letter or digit first"),
        ({"store": 3}, "store: 3: expected a path"),
        ({"encoders": {"mini": {}}}, "encoders.mini: expected either `model`, or `hub` with `revision`"),
        ({"encoders": {"mini": "a/b"}}, "encoders.mini: 'a/b': expected a mapping of keys to values"),
        ({"encoders": {"mini": {"model": "a/b", "weights": "rand"}}},
         "encoders.mini.weights: 'rand': expected 'pretrained' or 'random' (did you mean 'random'?)"),
        ({"protocol": {"epoch": 3}}, "protocol: unknown key 'epoch' (did you mean 'epochs'?)"),
        ({"protocol": {"lr": 1e-5}}, "protocol: unknown key 'lr' (did you mean 'learning_rate'?)"),
        ({"protocol": {"epochs": "many"}}, "protocol: epochs: 'many': expected a whole number"),
        ({"protocol": {"epochs": None}}, "protocol: epochs: null: expected a whole number"),
        ({"protocol": {"epochs": True}}, "protocol: epochs: true: expected a number"),
        ({"methods": {"hype-n": {"sigma": True}}}, "methods.hype-n: method hype-n: sigma: true: expected a number"),
        ({"grid": grid(seeds=[True])}, "grid.0.seeds.0: true: expected a whole number"),
        ({"protocol": {"epochs": 0}}, "protocol: epochs is 0, expected above 0"),
        ({"protocol": {"precision": "bf61"}},
         "protocol: precision: 'bf61': expected 'fp32', 'bf16' or 'fp16' (did you mean 'bf16'?)"),
        ({"protocol": {"warmup": -1.0}}, "protocol: warmup is -1.0, expected 0 or more"),
        ({"protocol": {"weight_decay": float("inf")}}, "protocol: weight_decay is inf, expected a finite number"),
        ({"protocol": {"grid": {"lrr": [1.0]}}}, "protocol.grid: unknown key 'lrr' (did you mean 'lr'?)"),
        ({"protocol": {"grid": {"lr": [-1.0]}}}, "grid.0: vanilla~lr=-1: learning_rate is -1.0, expected above 0"),
        ({"methods": {"hype-n": {"sgima": 1}}},
         "methods.hype-n: method hype-n: unknown setting 'sgima' (did you mean 'sigma'?)"),
        ({"methods": {"hype-n": {"sigma": -1}}}, "methods.hype-n: method hype-n: sigma is -1.0, expected at least 0"),
        ({"methods": {"hype-n": {"sigma": "wide"}}},
         "methods.hype-n: method hype-n: sigma: 'wide': expected a number"),
        ({"methods": {"hype-n": {"sigma": float("inf")}}},
         "methods.hype-n: method hype-n: sigma is inf, expected a finite number"),
        ({"methods": {"r-drop": {"alfa": 1}}},
         "methods.r-drop: method r-drop: unknown setting 'alfa' (did you mean 'alpha'?)"),
        ({"methods": {"r-drpo": {"alpha": 1}}}, "methods.r-drpo: unknown method 'r-drpo' (did you mean 'r-drop'?)"),
        ({"methods": {"hype-n+r-drop": {"alpha": 1}}},
         "methods.hype-n+r-drop: unknown method 'hype-n+r-drop' (did you mean 'r-drop'?)"),
        ({"methods": {"hype-u": None}}, "methods.hype-u: null: expected a mapping of keys to values"),
        ({"methods": {"r-drop": {"grid": {"alfa": [1]}}}},
         "methods.r-drop.grid: r-drop~alfa=1: unknown key 'alfa' (did you mean 'alpha'?)"),
        ({"methods": {"hype-n": {"grid": {"sigma": [[]]}}}},
         "methods.hype-n.grid.sigma.0: []: expected a finite number, true, false, null, a word, or a list of whole "
         "numbers"),
        ({"methods": {"hype-n": {"grid": {"form": ["a/b"]}}}},
         "methods.hype-n.grid: method 'hype-n~form=a/b': 'a/b': expected a value without '/', '{' and '}'"),
        ({"grid": grid(methods=["hype-n~form={a}"])},
         "grid.0.methods: method 'hype-n~form={a}': '{a}': expected a value without '/', '{' and '}'"),
        ({"methods": {"hype-n": {"grid": {"sigma": [None]}}}},
         "methods.hype-n.grid: method hype-n: sigma: 'null': expected a number"),
        ({"protocol": {"grid": {"steps": [100, 200]}}, "grid": grid(methods=["vanilla", "freelb"])},
         "protocol.grid: 'steps' is also a setting of method 'freelb', which would take the values; "
         "expected no such grid for that method"),
        ({"grid": grid(methods=["hype-n+smart", "vanilla"], grid={"epsilon": [1e-6]})},
         "grid.0.grid: 'epsilon' is also a setting of method 'smart', which would take the values; "
         "expected no such grid for that method"),
        ({"grid": grid(methods=["hype-n~r-drop.sigma=1"])},
         "grid.0.methods: method 'hype-n~r-drop.sigma=1': '~r-drop.sigma=1': unknown part 'r-drop'; known: hype-n"),
        ({"grid": grid(methods=["hype-n+r-drop~r-drop.sigma=1"])},
         "grid.0.methods: method r-drop: unknown setting 'sigma'; known: alpha, form, hidden_dropout"),
        ({"grid": grid(methods=["hype-n+r-drop~sigma=1~hype-n.sigma=2"])},
         "grid.0.methods: method 'hype-n+r-drop~sigma=1~hype-n.sigma=2': 'sigma' is set twice"),
        ({"methods": {"hype-n": {"grid": {"sigma": [-1]}}}},
         "methods.hype-n.grid: method hype-n: sigma is -1.0, expected at least 0"),
        ({"grid": []}, "grid: []: expected 1 or more"),
        ({"grid": grid(encoders=["mino"])}, "grid.0.encoders: unknown encoder 'mino' (did you mean 'mini'?)"),
        ({"grid": grid(tasks=["mini-rtee"])}, "grid.0.tasks: unknown task 'mini-rtee' (did you mean 'mini-rte'?)"),
        ({"grid": grid(tasks=["mini-rte-overlap"])}, "grid.0.tasks: task 'mini-rte-overlap' is for evaluation only"),
        ({"grid": grid(methods=["vanila"])}, "grid.0.methods: unknown method 'vanila' (did you mean 'vanilla'?)"),
        ({"grid": grid(methods="vanilla")}, "grid.0.methods: 'vanilla': expected a list"),
        ({"grid": grid(methods=["hype-n~sgma=1"])},
         "grid.0.methods: hype-n~sgma=1: unknown key 'sgma' (did you mean 'sigma'?)"),
        ({"grid": grid(methods=["variability-tune"], tasks=["squad"])},
         "grid.0: method 'variability-tune' reads the variability of classes: 'squad' has none"),
        ({"grid": grid(grid={"lrr": [1.0]})}, "grid.0.grid: unknown key 'lrr' (did you mean 'lr'?)"),
        ({"grid": grid(seeds=[])}, "grid.0.seeds: []: expected 1 or more"),
        ({"grid": grid(seeds=0)}, "grid.0.seeds: 0: expected a list of seeds, or their number: 1 or more"),
        ({"grid": grid(seeds=-1)}, "grid.0.seeds: -1: expected a list of seeds, or their number: 1 or more"),
        ({"grid": grid(seeds=True)}, "grid.0.seeds: true: expected a list of seeds, or their number: 1 or more"),
        ({"grid": grid(seeds="three")}, "grid.0.seeds: 'three': expected a list of seeds, or their number: 1 or more"),
        ({"grid": grid(seeds=[-1])}, "grid.0.seeds.0: -1: expected at least 0"),
        ({"grid": grid(seeds=[0, 0])}, "grid.0.seeds: [0, 0]: expected each seed once"),
        ({"inside": grid(grid={"lrr": [1.0]})[0]}, "inside.grid: unknown key 'lrr' (did you mean 'lr'?)"),
        ({"transfer": {"mini-rt": ["mini-rte"]}}, "transfer: unknown task 'mini-rt' (did you mean 'mini-rte'?)"),
        ({"transfer": {"mini-rte": ["snly"]}}, "transfer.mini-rte: unknown task 'snly' (did you mean 'snli'?)"),
        ({"transfer": {"mini-rte": ["sst2"]}},
         "transfer.mini-rte: sst2: labels: a model of (entailment, not_entailment) says nothing about a set of "
         "(negative, positive)"),
        ({"overrides": [{"method": "hypen-n"}]}, "overrides.0: unknown method 'hypen-n' (did you mean 'hype-n'?)"),
        ({"overrides": [{"task": "mini-*", "protocol": {"epochz": 1}}]},
         "overrides.0.protocol: unknown key 'epochz' (did you mean 'epochs'?)"),
        ({"overrides": [{"protocol": {"warmup": -1}}]}, "overrides.0.protocol: warmup is -1.0, expected 0 or more"),
        ({"encoders": {"mini": {"model": "steadytune/mini"}, "Mini": {"model": "steadytune/mini"}}},
         "encoders.mini: differs from 'Mini' in case alone, which some disks ignore: choose another name"),
        ({"tasks": {"Mini-RTE": {"train": "rte.csv", "holdout": 0.2, "text": "text", "label": "label"}}},
         "tasks.Mini-RTE: differs from 'mini-rte' in case alone, which some disks ignore: choose another name"),
        ({"tasks": {"rte": {"train": "rte.csv", "holdout": 0.2, "text": "text", "label": "label"}}},
         "tasks.rte: the task table has a task 'rte': choose another name"),
        ({"variability": [3]}, "variability.0: 3: expected a text"),
        ({"variability": {"choose_by": "corrected", "resamples": 0}},
         "variability: expected `resamples` of at least 1 where `choose_by` is 'corrected'"),
        ({"tables": None}, "tables: null: expected a list"),
        ({"tables": ["mian"]}, "tables: unknown table 'mian' (did you mean 'main'?)"),
        ({"figures": ["seedspread"]}, "figures: unknown figure 'seedspread' (did you mean 'seed-spread'?)"),
    ],
)  # fmt: skip
def test_each_mistake_gives_a_one_line_error(changes, expected, tmp_path):
    assert message(tmp_path, changes) == expected


def places(tmp_path, changes):
    """The keys that the lines of a suite's error message name."""
    with pytest.raises(SteadyTuneError) as error:
        load(tmp_path, changes)
    lines = [line.removeprefix(f"{tmp_path / 'demo.yaml'}: ") for line in str(error.value).splitlines()]
    return [line.partition(": ")[0] for line in lines]


def test_mistakes_in_all_settings_are_reported_together(tmp_path):
    changes = {
        "protocol": {"epochs": 0, "lr": 1, "grid": {"zzz": [1]}},
        "methods": {"hype-n": {"sgma": 1}, "vanila": {}},
        "grid": [*grid(encoders=["mino"], methods=["hype-n", "vanilla~epochs=-1"]), *grid(methods=["r-drop~alpha=-1"])],
        "overrides": [{"protocol": {"epochz": 1}}, {"protocol": {"beta1": 2, "precision": "fp8"}}],
        "transfer": {"mini-rte": ["mini-mnl"]},
        "analysis_plan": "plan.md",
    }
    said = places(tmp_path, changes)
    assert sorted(said) == sorted([
        "protocol", "protocol", "protocol.grid", "methods.hype-n", "methods.vanila", "grid.0.encoders",
        "grid.1.methods", "overrides.0.protocol", "overrides.1.protocol", "transfer.mini-rte",
        "analysis_plan"])  # fmt: skip


def test_mistakes_found_from_the_cells_are_reported_together(tmp_path):
    changes = {
        "overrides": [{"task": "rt*", "protocol": {"epochs": 1}}, {"encoder": "x", "protocol": {"epochs": 1}}],
        "transfer": {"mini-rt": ["mini-mnli"]},
        "predict": {"mini-rtt": "test"},
        "variability": ["mino"],
        "inside": SUITE["grid"][0] | {"tasks": ["mini-mnli"]},
        "selection": "nested",
    }
    assert places(tmp_path, changes) == [
        "overrides.0", "overrides.1", "transfer", "predict", "variability", "inside.tasks", "selection"]  # fmt: skip


def test_unknown_claims_tables_and_figures_are_reported_together(tmp_path):
    assert places(tmp_path, {"claims": "nobodys", "tables": ["mian", "x"], "figures": ["y"]}) == [
        "claims", "tables", "tables", "figures"]  # fmt: skip


def test_schema_errors_and_unknown_grid_names_are_reported_together(tmp_path):
    changes = {"keep": "bst", "titel": "x", "grid": grid(seeds=[0, 0], methods="vanilla"), "encoders": {"mini": {}}}
    with pytest.raises(SteadyTuneError) as error:
        load(tmp_path, changes)
    said = [line.removeprefix(f"{tmp_path / 'demo.yaml'}: ") for line in str(error.value).splitlines()]
    assert sorted(said) == [
        "encoders.mini: expected either `model`, or `hub` with `revision`",
        "grid.0.methods: 'vanilla': expected a list",
        "grid.0.seeds: [0, 0]: expected each seed once",
        "keep: 'bst': expected 'best', 'all' or 'none' (did you mean 'best'?)",
        "unknown key 'titel' (did you mean 'title'?)",
    ]
    names = grid(encoders=["mino"], methods=["vanila", "hype-n+r-drpo"], tasks=["mini-rtee@1k"])
    with pytest.raises(SteadyTuneError) as error:
        load(tmp_path, {"grid": names})
    assert [line.rpartition("unknown ")[2].partition(" (")[0] for line in str(error.value).splitlines()] == [
        "encoder 'mino'", "method 'vanila'", "method 'r-drpo'", "task 'mini-rtee'"]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"xyz": 1}, set(SuiteFile.model_fields)),
        # Here the encoder itself is named `model`, which is also a key of its entry.
        ({"encoders": {"model": {"model": "a/b", "xyz": 1}}}, set(EncoderEntry.model_fields)),
        ({"encoders": {"mini": {"model": "a/b", "xyz": 1}}}, set(EncoderEntry.model_fields)),
        ({"grid": [SUITE["grid"][0] | {"start": {"task": "rte", "xyz": 1}}]}, {"task", "method", "seed"}),
        ({"inside": SUITE["grid"][0] | {"xyz": 1}}, set(Inside.model_fields)),
    ],
)
def test_unknown_key_error_lists_the_known_keys_of_that_level(changes, known, tmp_path):
    said = message(tmp_path, changes)
    assert set(said.partition("; known: ")[2].split(", ")) == known


def test_repeated_mistakes_share_a_line_and_hide_no_others(tmp_path):
    with pytest.raises(SteadyTuneError) as error:
        load(tmp_path, grid=grid(seeds=[*map(str, "abcdefghijklmnopqrstuvwxyz"), -1]), title=3)
    said = [line.removeprefix(f"{tmp_path / 'demo.yaml'}: ") for line in str(error.value).splitlines()]
    assert said == [
        "title: 3: expected a text",
        "grid.0.seeds.0: 'a': expected a whole number (and 25 more)",
        "grid.0.seeds.26: -1: expected at least 0",
    ]


def test_keys_of_another_level_are_not_suggested(tmp_path):
    assert "'seeds'?" not in message(tmp_path, seeds=3), "the grid's blocks have it"


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("key", ["store", "analysis_plan", "methods_from", "sources.local", "tasks.t.evaluation"])
def test_blank_path_is_refused(key, blank, tmp_path):
    value = {
        "methods_from": {"methods_from": [blank]},
        "sources.local": {"sources": {"local": blank}},
        "tasks.t.evaluation": {"tasks": {"t": {"train": "a.csv", "evaluation": blank, "text": "body"}}},
    }.get(key, {key: blank})
    said = message(tmp_path, value)
    assert said.startswith(key) and f"{blank!r}: expected a path" in said


def test_unknown_setting_without_a_close_match_lists_all(tmp_path):
    said = message(tmp_path, protocol={"zzz": 1})
    assert said.startswith("protocol: unknown key 'zzz'; known: adamw, attention, ")
    assert "learning_rate, max_length" in said


def test_weights_missing_from_the_lock_are_reported_with_the_suite_key(tmp_path, root):
    encoders = {"mini": {"model": "steadytune/mini", "models": {"mini-rte": "steadytune/minni"}}}
    lock = load_lock(root / "config/lock.yaml")
    check_lock(load(tmp_path), lock)
    with pytest.raises(SteadyTuneError) as error:
        check_lock(load(tmp_path, encoders=encoders), lock)
    assert str(error.value).endswith(
        "demo.yaml: encoders.mini.models.mini-rte: "
        f"{root}/config/lock.yaml: models: unknown model 'steadytune/minni' (did you mean 'steadytune/mini'?)"
    )


def test_encoder_can_use_other_weights_for_some_tasks(tmp_path):
    encoders = {"mini": {"model": "steadytune/mini", "models": {"mini-rte": "steadytune/tuned"}}}
    suite = load(tmp_path, encoders=encoders, grid=grid(tasks=["mini-rte", "mini-cola"]))
    assert {cell.task: suite.spec(cell).model for cell in suite.cells} == {
        "mini-rte": "steadytune/tuned",
        "mini-cola": "steadytune/mini",
    }
    assert suite.models() == ["steadytune/mini", "steadytune/tuned"]
    assert "encoders.mini.models: unknown task 'mini-cola'" in message(tmp_path, encoders={
        "mini": {"model": "steadytune/mini", "models": {"mini-cola": "steadytune/tuned"}}})  # fmt: skip


def test_missing_or_invalid_suite_files_are_refused(tmp_path):
    with pytest.raises(SteadyTuneError, match="no such file"):
        load_suite(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("suite: [unclosed\ntitle: x\n")
    with pytest.raises(SteadyTuneError, match="not valid YAML at line 2"):
        load_suite(tmp_path / "broken.yaml")
    (tmp_path / "twice.yaml").write_text("suite: a\nsuite: b\n")
    with pytest.raises(SteadyTuneError, match=r"line 2.*duplicate key 'suite'"):
        load_suite(tmp_path / "twice.yaml")


@pytest.mark.parametrize(
    ("text", "line", "cure"),
    [
        ("suite: a\ngrid:\n\t- x\n", 3, "a tab"),
        ("suite: a\r\nencoders:\r\n  \tb: c\r\n", 3, "a tab"),
        ("\ufefftitle: @b\n", 1, "'@'.*quotation marks"),
        ("suite: a\ntitle: %b\n", 2, "'%'.*quotation marks"),
        ("suite: a\ntitle: HyPe: again\n", 2, "quotation marks.*': '"),
        ("suite: a\ntitle: \tb\n", 2, "a tab"),
        ("suite: a\ntasks: {a: {text: x,\tlabel: y}}\n", 2, "a tab"),
        ("suite: a\n\ntasks: {a: {label: gleich?, text: x}}\n", 3, "'\\?'.*quotation marks"),
        ("suite: a\ntasks: {a: {text: [x?, y]}}\n", 2, "'\\?'.*quotation marks"),
    ],
)
def test_yaml_error_names_the_line_and_the_fix(tmp_path, text, line, cure):
    (tmp_path / "a.yaml").write_bytes(text.encode())
    with pytest.raises(SteadyTuneError, match=f"a.yaml: not valid YAML at line {line}, .*{cure}"):
        load_suite(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("mini/hype-m/mini-rte/seed-0", "unknown method 'hype-m' (did you mean 'hype-n'?)"),
        ("mini/vanilla/mini-rte/seed-9", "seed 9 is not among its seeds [0, 1, 2]"),
        ("mni/vanilla/mini-rte/seed-0", "unknown encoder 'mni' (did you mean 'mini'?)"),
    ],
)
def test_error_for_a_cell_outside_the_grid_says_what_is_wrong(cell, expected, tmp_path):
    with pytest.raises(SteadyTuneError, match="no cell") as error:
        load(tmp_path).spec(Cell.parse(cell))
    assert expected in str(error.value)


@pytest.mark.parametrize("last", ["", "/0", "/seed-x", "/seed-²", "/seed-" + "9" * 5000])
def test_malformed_cell_name_is_refused(last):
    with pytest.raises(SteadyTuneError, match="expected encoder/method/task/seed-<n>"):
        Cell.parse(f"mini/vanilla/rte{last}")


def test_every_shipped_suite_loads_and_is_found_by_name(root, monkeypatch):
    monkeypatch.chdir(root)
    for path in sorted(Path("config").glob("*.yaml")):
        if path.name != "lock.yaml":
            assert load_suite(find_suite(path.stem)).cells
    with pytest.raises(SteadyTuneError, match=r"unknown suite 'mnii' \(did you mean 'mini'\?\)"):
        find_suite("mnii")
    with pytest.raises(SteadyTuneError, match="known: glue-small, "):
        find_suite("xyz")


def test_mini_methods_suite_names_every_method(root, monkeypatch):
    monkeypatch.chdir(root)
    # Another test may have registered methods from outside the package.
    own = {name for name, (method, _) in methods().items() if method.__module__.startswith("steadytune.methods.")}
    assert set(load_suite(find_suite("mini-methods")).named) >= own
    assert "hype-n" in own


def test_environment_variable_overrides_the_local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYTUNE_STORE", "/elsewhere")
    assert load(tmp_path, sources={"order": ["local"], "local": "here"}).sources.local == Path("/elsewhere")


def test_planning_imports_no_heavy_packages(root):
    code = (
        "import sys; from pathlib import Path; from steadytune.dag.dag import Dag; Dag.load([], {}).tables;"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'pandas', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": str(root / "src"), "PATH": ""})  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_quoted_path_keeps_its_braces_when_formatted():
    assert quoted("/home/u {x}/src").format(x="another") == "'/home/u {x}/src'"
