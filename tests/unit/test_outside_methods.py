"""Methods from files outside the package: loaded, checked, fingerprinted, and held to the registry's rules."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_cell import SPEC

from steadytune.cells.fingerprint import fingerprint, method_files
from steadytune.cli import main
from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.methods.support import outside
from steadytune.suite.loading import load_suite
from steadytune.suite.method_files import add_methods
from steadytune.suite.method_mistakes import mistakes
from steadytune.trials import checking, checks
from steadytune.trials.tiny import EVERY
from steadytune.trials.trial import Trial

FILES = Path(__file__).parent / "outside"


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(outside, "_files", {})
    registry.methods.cache_clear()
    yield
    monkeypatch.undo()
    registry.methods.cache_clear()


def write(tmp_path, old="", new="", name="noisy_words.py"):
    path = tmp_path / name
    text = (FILES / name).read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("file", "name", "ours"), [("noisy_words.py", "noisy-words", "neftune"), ("flat_minima.py", "flat-minima", "sam")]
)
def test_user_method_trains_like_the_equivalent_built_in_method(file, name, ours, tmp_path):
    assert registry.add(FILES / file) == [name]
    trials = Trial(name), Trial(ours)
    for place, made in enumerate(trials):
        made.fit(tmp_path / str(place))
    for key, weight in trials[0].weights().items():
        torch.testing.assert_close(weight, trials[1].weights()[key], atol=1e-6, rtol=0, msg=key)


def test_good_method_passes_every_check(capsys):
    assert main(["check-method", str(FILES / "agreeing_layers.py")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "agreeing-layers"
    assert len(lines) == 1 + 13 + len(EVERY)
    assert not [line for line in lines if "FAILED" in line]
    assert [line.split("  ")[-1] for line in lines if line.split()[0] == "-"] == ["it adds none"]


BAD = {
    "draws from the default generator in prepare": (
        "    def perturb_words", "    def prepare(self, setup):\n        next(setup.encoder.model.parameters()).data."
        "normal_(0, 0.02)\n\n    def perturb_words", checks.common_numbers),
    "draws from numpy's generator in prepare": (
        "    def perturb_words", "    def prepare(self, setup):\n        import numpy\n\n        setup.encoder.model."
        "get_input_embeddings().weight.data *= numpy.random.rand()\n\n    def perturb_words", checks.common_numbers),
    "draws from the default generator": ("generator=streams.noise", "", checks.common_numbers),
    "is never off": ("self.settings.alpha /", "(1 + self.settings.alpha) /", checks.off_is_vanilla),
    "has noise that becomes NaN": ("real.sum(1, keepdim=True)", "0 * real", checks.in_half_precision),
    "raises on hidden states of another width": (
        "noise * real", "noise * real * words.new_ones(16)", lambda *a: checks.on_layout("albert", *a)),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_checks_detect_a_faulty_method(fault, tmp_path):
    old, new, check = BAD[fault]
    registry.add(write(tmp_path, old, new))
    assert checking.make("", check, "noisy-words").passed is False


def test_failure_names_the_innermost_line_of_the_methods_file(tmp_path):
    path = write(tmp_path, "noise * real", "noise * real * words.new_ones(7)")
    registry.add(path)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), start=1) if "new_ones(7)" in text)
    detail = checking.make("", checks.in_half_precision, "noisy-words").detail
    assert detail.startswith("RuntimeError: ")
    assert detail.endswith(f" (noisy_words.py line {line}, perturb_words)")


def test_private_noise_that_breaks_resuming_gives_a_hint(tmp_path):
    path = write(tmp_path, "streams.noise", "OWN")
    path.write_text(f"{path.read_text()}\n\nimport torch\n\nOWN = torch.Generator()\n")
    registry.add(path)
    passed, detail = checks.resumes("noisy-words", tmp_path)
    assert passed is False
    assert "`state` and `restore`" in detail and "must come from `streams.noise`" in detail


def test_failed_off_check_hints_at_moves_every_word(tmp_path):
    registry.add(write(tmp_path, "    moves_every_word = False\n", name="flat_minima.py"))
    passed, detail = checks.off_is_vanilla("flat-minima", tmp_path)
    assert passed is False
    assert "`moves_every_word`" in detail


def test_loss_summed_over_the_batch_fails_with_a_hint_at_batch_whole(tmp_path):
    registry.add(write(tmp_path, "sum((1, 2))).mean()", "sum((1, 2))).sum()", "agreeing_layers.py"))
    passed, detail = checks.parts_add_up("agreeing-layers", tmp_path)
    assert passed is False
    assert "Batch.whole" in detail


NOISE = """
    def perturb(self, layer, hidden, streams):
        import torch

        return hidden + torch.randn(hidden.shape, generator=streams.noise, dtype=hidden.dtype)

    @property
    def passes"""


@pytest.mark.parametrize(("kind", "adds_up"), [("mean", True), ("sum", False)])
def test_noise_in_several_layers_does_not_mask_the_parts_check(kind, adds_up, tmp_path):
    path = write(tmp_path, "sum((1, 2))).mean()", f"sum((1, 2))).{kind}()", "agreeing_layers.py")
    path.write_text(path.read_text().replace("\n    @property\n    def passes", NOISE))
    registry.add(path)
    assert checks.parts_add_up("agreeing-layers", tmp_path)[0] is adds_up


SUITE = """
suite: mine
title: Mine
methods_from: [my methods/noisy_words.py]
encoders: {mini: {model: steadytune/mini}}
methods: {noisy-words: {alpha: 2.0}}
grid: [{encoders: [mini], methods: [vanilla, noisy-words+hype-n], tasks: [mini-rte], seeds: 1}]
"""


def test_methods_from_paths_are_relative_to_the_suite(tmp_path):
    (tmp_path / "my methods").mkdir()
    write(tmp_path / "my methods")
    (tmp_path / "mine.yaml").write_text(SUITE)
    suite = load_suite(tmp_path / "mine.yaml")
    (part, _) = suite.spec(suite.cells[1]).parts
    assert (part.name, part.settings) == ("noisy-words", {"alpha": 2.0})


@pytest.mark.parametrize("key", ["lr", "learning_rate"])
def test_method_setting_named_like_a_protocol_grid_key_is_refused(key, tmp_path):
    (tmp_path / "my methods").mkdir()
    write(tmp_path / "my methods", "alpha", key)
    grid = f"protocol: {{grid: {{{key}: [1.0e-5, 2.0e-5]}}}}"
    (tmp_path / "mine.yaml").write_text(SUITE.replace("alpha", key) + grid)
    with pytest.raises(SteadyTuneError, match=f"protocol.grid: '{key}' is also a setting of method 'noisy-words'"):
        load_suite(tmp_path / "mine.yaml")


def test_fingerprint_depends_on_file_content_not_location(tmp_path):
    marks = []
    for place, old, new in (("a", "", ""), ("b", "", ""), ("c", "5.0", "6.0")):
        (tmp_path / place).mkdir()
        outside._files.clear()
        registry.add(write(tmp_path / place, old, new))
        parts, _ = registry.parse("noisy-words")
        marks.append(fingerprint(replace(SPEC, method="noisy-words", parts=parts), {}))
    assert marks[0] == marks[1] != marks[2]


def test_fingerprint_covers_every_file_with_the_same_name(tmp_path):
    marks = []
    for strength in ("5.0", "6.0", "7.0"):
        outside._files.clear()
        for place, name, value in (("a", "first", strength), ("b", "second", "5.0")):
            (tmp_path / place).mkdir(exist_ok=True)
            path = write(tmp_path / place, '"noisy-words"', f'"{name}"')
            path.write_text(path.read_text().replace("5.0", value))
            registry.add(path)
        parts = tuple(part for name in ("first", "second") for part in registry.parse(name)[0])
        same = tuple(replace(part, settings={"alpha": 1.0}) for part in parts)
        marks.append(fingerprint(replace(SPEC, method="first+second", parts=same), {}))
    assert len(set(marks)) == 3


@pytest.mark.parametrize(
    ("line", "parent"),
    [
        ("from steadytune.methods.sam import SAM", "SAM"),
        ("from steadytune.methods import sam", "sam.SAM"),
        ("import steadytune.methods.sam", "steadytune.methods.sam.SAM"),
    ],
)
def test_fingerprint_covers_the_methods_a_file_builds_on(line, parent, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f'{line}\n\n\nclass Mine({parent}):\n    names = {{"mine": {{}}}}\n')
    registry.add(path)
    cls, _ = registry.methods()["mine"]
    assert method_files(frozenset([cls.__module__])) == (str(path), "methods/base.py", "methods/sam.py")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"noisy-words"', '"hype-n"', ("noisy_words.py", "'hype-n': a method has this name already")),
        ('"noisy-words"', '"a/../b"', ("noisy_words.py", "'a/../b'", "hyphens")),
        ("class NoisyWords(Method):", "class NoisyWords:", ("noisy_words.py", "Method")),
        ("from dataclasses", "fro dataclasses", ("noisy_words.py", "SyntaxError")),
        ("setting(5.0", "setting(-5.0", ("noisy-words", "alpha", "at least 0")),
    ],
)
def test_bad_method_file_is_a_one_line_error(old, new, said, tmp_path):
    path = write(tmp_path, old, new)
    with pytest.raises(SteadyTuneError) as error:
        registry.add(path)
    assert all(word in str(error.value) for word in said)
    assert "\n" not in str(error.value)


MISTAKES = '''"""Mistakes of every kind."""
from dataclasses import dataclass
import torch
from steadytune.methods.base import Hyperparameters, Method, settings

@dataclass
class Settings(Hyperparameters):
    sigma: float = setting(0.01, at_least=0)
    share: float
    beta = 3

class Mine(Method):
    Settings = Settings
    names = "mine"
    off = {"sgma": 0.0}
    def perturb_attention(self, hidden, streams):
        return hidden + torch.randn_like(hidden) * self.settings.sigm
    def pertub(self, layer, hidden, streams):
        return hidden
    def loss(self, forward, batch):
        self.number += 1
        return forwrd.task_loss(forward(batch), batch)
'''


def test_mistakes_of_a_method_file_are_reported_together(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(MISTAKES)
    assert main(["check-method", str(path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": line ")[2] for line in said] == [
        "4: steadytune.methods.base has no 'settings' (did you mean 'setting'?)",
        "7: class Settings: expected @dataclass(frozen=True, kw_only=True) above it",
        "8: 'setting' is not defined: import it from steadytune.methods.base",
        "8: Settings.sigma: nothing reads it",
        "9: Settings.share: expected a default",
        "9: Settings.share: nothing reads it",
        "10: Settings.beta: expected a type, such as `beta: float = 0.1`",
        "14: Mine.names: 'mine': expected a mapping, such as {\"my-method\": {}}",
        "15: Mine.off: unknown setting 'sgma' (did you mean 'sigma'?)",
        "16: Mine: def perturb_attention(self, hidden, streams): expected (self, layer, hidden, streams)",
        "17: Mine: self.settings has no 'sigm' (did you mean 'sigma'?)",
        "18: Mine: nothing calls 'pertub' (did you mean 'perturb'?)",
        "21: Mine: self.number is never set: set it in `prepare`",
        "22: 'forwrd' is not defined (did you mean 'forward'?)",
    ]


@pytest.mark.parametrize(
    ("reading", "read"),
    [("5", False), ("self.settings.alpha", False), ("self.settings.beta", True), ("vars(self.settings)", True)],
)
def test_unread_setting_is_a_mistake(reading, read, tmp_path):
    text = (FILES / "noisy_words.py").read_text()
    text = text.replace("    alpha: float", "    beta: float = setting(0.9)\n    alpha: float")
    text = text.replace("        noise = ", f"        self.held = {reading}\n        noise = ")
    assert mistakes(text) == ([] if read else [(10, "Settings.beta: nothing reads it")])


def test_shipped_method_files_have_no_mistakes(root):
    """No Python that the project's own methods use is reported as a mistake."""
    files = [*(root / "src/steadytune/methods").glob("*.py"), *FILES.glob("*.py"),
             root / "src/steadytune/starting/method.txt"]  # fmt: skip
    assert len(files) > 25
    assert [mistakes(file.read_text()) for file in files] == [[]] * len(files)


def test_error_shared_by_all_checks_is_printed_once(tmp_path, capsys, monkeypatch):
    path = write(tmp_path, "noise * real", "noise * real * words.new_ones(7).view(2, 2)")
    kept = {layout: EVERY[layout] for layout in ("bert",)}
    monkeypatch.setattr(checking, "EVERY", kept)
    assert main(["check-method", str(path)]) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    assert len(failed) > 3
    assert len([line for line in failed if "RuntimeError" in line]) == 1
    assert all("as in '" in line for line in failed[1:])


def test_every_method_with_bad_settings_is_reported(tmp_path):
    (tmp_path / "my methods").mkdir()
    write(tmp_path / "my methods")
    wrong = "methods: {noisy-words: {alhpa: 2.0}, hipe-n: {sigma: 1}, hype-n: {sigma: -1.0}}"
    (tmp_path / "mine.yaml").write_text(SUITE.replace("methods: {noisy-words: {alpha: 2.0}}", wrong))
    with pytest.raises(SteadyTuneError) as error:
        load_suite(tmp_path / "mine.yaml")
    lines = str(error.value).splitlines()
    assert [line.partition("methods.")[2].partition(":")[0] for line in lines] == ["noisy-words", "hipe-n", "hype-n"]


def test_package_file_adds_the_methods_the_registry_already_has(monkeypatch):
    # Contributors check a method that they add to the project in this way.
    source = Path(registry.__file__).with_name("r3f.py")
    before = registry.methods()
    assert add_methods(source) == ["r3f", "r3f-released", "r3f-u"]
    monkeypatch.chdir(source.parent)
    assert add_methods(Path("r3f.py")) == ["r3f", "r3f-released", "r3f-u"]
    assert registry.methods() == before
    with pytest.raises(SteadyTuneError, match="no subclass of Method"):
        add_methods(Path("spelling.py"))


def test_missing_method_file_error_names_the_suite_key(tmp_path):
    (tmp_path / "mine.yaml").write_text(SUITE)
    with pytest.raises(SteadyTuneError, match=r"mine.yaml: methods_from.0: .*noisy_words.py"):
        load_suite(tmp_path / "mine.yaml")


TWO = """
from steadytune.methods.base import Method

class First(Method):
    names = {"mine": {}}

class Second(First):
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("setting(5.0", 'setting("0.1"', "alpha: '0.1': expected 0.1"),
        ("alpha: float = setting(5.0", "alpha: int = setting(5.5", "alpha: 5.5: expected a whole number"),
        ("    alpha: float", '    beta: int = "x"\n    alpha: float', "beta: 'x': expected a whole number"),
        ("setting(5.0", "setting(True", "alpha: true: expected a number"),
        ("setting(5.0", "setting(-5.0", "alpha is -5.0, expected at least 0"),
        ('"noisy-words": {}', '"noisy-words": {"alpha": -1}', "alpha is -1.0, expected at least 0"),
        ('"noisy-words": {}', '"noisy-words": {"alhpa": 1}', "unknown setting 'alhpa' (did you mean 'alpha'?)"),
        ("alpha: float", 'alpha: "flaot"', "alpha: type 'flaot' is not defined (did you mean 'float'?)"),
        (
            "alpha: float",
            "alpha: Method",
            "alpha: type Method: expected one of numbers, texts, true and false, or lists of them",
        ),
    ],
)
def test_bad_default_error_names_file_and_setting(old, new, said, tmp_path):
    path = write(tmp_path, old, new)
    with pytest.raises(SteadyTuneError) as error:
        registry.add(path)
    assert str(error.value) == f"{path}: method noisy-words: {said}"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('"noisy-words": {}', '"hype-n": {}', 16, "method 'hype-n': a method has this name already"),
        ('"noisy-words": {}', '"Noisy": {}', 16, "method 'Noisy': expected lower-case letters"),
        ("setting(5.0", "setting(-5.0", 10, "method noisy-words: alpha is -5.0"),
        ('"noisy-words": {}', '"noisy-words": {"alpha": -1}', 16, "method noisy-words: alpha is -1.0"),
        ("setting(5.0", "setting(5.0 / 0", 10, "ZeroDivisionError"),
    ],
)
def test_errors_of_importing_give_the_line_and_the_path_as_given(old, new, line, said, tmp_path, monkeypatch):
    write(tmp_path, old, new)
    monkeypatch.chdir(tmp_path)
    for where, prefix in {"": "", "mine.yaml: methods_from.0": "mine.yaml: methods_from.0: "}.items():
        with pytest.raises(SteadyTuneError) as error:
            add_methods(Path("noisy_words.py"), where)
        assert str(error.value).startswith(f"{prefix}noisy_words.py: line {line}: {said}")


HOOK = """from steadytune.methods.base import Method
class M(Method):
    def perturb(self, {}):
        {}
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return torch.rand_like(hidden)", ["write `import torch` inside the function"]),
        ("return math.pi * hidden", ["write `import math` at the top"]),
        ("return hiden", ["did you mean 'hidden'?"]),
    ],
)
def test_undefined_names_that_have_to_be_imported_say_so(body, said):
    text = HOOK.format("layer, hidden, streams", body)
    ((line, message),) = mistakes(text)
    assert line == 4
    assert all(part in message for part in said)


def test_arguments_that_a_hook_lacks_are_reported_once():
    text = HOOK.format("hidden", "return hidden + streams.noise")
    assert [line for line, _ in mistakes(text)] == [3]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("setup.encoder.layer_paramters(0)", "did you mean 'layer_parameters'?"),
        ("self.extra = nn.Linear(16, 16); self.extra(setup.encoder.model.get_input_embeddings().weight)", "dtype"),
    ],
)
def test_failed_checks_advise_on_frequent_mistakes(line, hint, tmp_path):
    prepare = f"    def prepare(self, setup):\n        from torch import nn\n\n        {line}\n\n    def perturb_words"
    registry.add(write(tmp_path, "    def perturb_words", prepare))
    found = checking.make("", lambda name, folder: (bool(Trial(name, double=True)), ""), "noisy-words")
    assert found.passed is False
    assert hint in found.detail


@pytest.mark.parametrize("status", ["0", "1"])
def test_method_file_that_raises_system_exit_is_an_error(status, tmp_path, capsys):
    path = write(tmp_path)
    path.write_text(f"{path.read_text()}\n\nraise SystemExit({status})\n")
    assert main(["check-method", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"steadytune: {path}: importing it exits Python: ")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "class Settings(Hyperparameters):",
            "class Settings:",
            (9, "class Settings: expected class Settings(Hyperparameters)"),
        ),
        (
            "Settings = Settings",
            "Settings = dict",
            (15, "NoisyWords.Settings: dict: expected a subclass of Hyperparameters"),
        ),
    ],
)
def test_settings_class_not_based_on_hyperparameters_is_a_mistake(old, new, said):
    assert said in mistakes((FILES / "noisy_words.py").read_text().replace(old, new))


def test_two_classes_with_one_method_name_are_refused(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f'{TWO}    names = {{"mine": {{}}}}\n')
    with pytest.raises(SteadyTuneError) as error:
        registry.add(path)
    assert str(error.value) == f"{path}: method 'mine' is defined twice (First, Second)"


def test_subclass_without_names_does_not_inherit_its_parents(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"{TWO}    pass\n")
    assert registry.add(path) == ["mine"]
    assert registry.methods()["mine"][0].__name__ == "First"


def announce(tmp_path, monkeypatch, entry):
    """Fake an installed package `noise` with an entry point."""
    (tmp_path / "noise-1.0.dist-info").mkdir()
    (tmp_path / "noise-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: noise\nVersion: 1.0\n")
    (tmp_path / "noise-1.0.dist-info/entry_points.txt").write_text(f"[steadytune.methods]\nnoise = {entry}\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_installed_packages_add_methods_by_entry_point(tmp_path, monkeypatch):
    write(tmp_path)
    announce(tmp_path, monkeypatch, "noisy_words")
    assert "noisy-words" in registry.methods()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("broken_words", "NameError: name 'missing' is not defined; repair or uninstall it"),
        ("no_such_words", "ModuleNotFoundError: No module named 'no_such_words'; repair or uninstall it"),
        ("collections:Counter", "expected the name of a module"),
    ],
)
def test_broken_entry_point_error_names_the_package(entry, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "broken_words.py").write_text("missing\n")
    announce(tmp_path, monkeypatch, entry)
    assert main(["methods"]) == 2
    where = f"entry point 'noise = {entry}' in steadytune.methods of the installed package 'noise'"
    assert capsys.readouterr().err == f"steadytune: {where}: {said}\n"
