"""A fingerprint depends on settings, inputs and the meaning of code, but not on comments or other methods."""

import hashlib
from dataclasses import replace

import pytest

from steadytune.cells import fingerprint as cells
from steadytune.cells.fingerprint import code_digest, fingerprint, fingerprint_by_seed, method_files
from steadytune.cells.meaning import meaning
from steadytune.methods.registry import parse
from steadytune.suite.cell import Spec, canonical_digest
from steadytune.suite.protocol import Protocol
from steadytune.tasks.table import find_task

DIGEST = "6d06fe6d19af085739c6c4ab269845b109f8732a3ddfa485b3e1433a9949a0b4"
"""The same on Python 3.11, 3.12 and 3.13."""

SPEC = Spec(suite="demo", encoder="mini", model="steadytune/mini", weights="pretrained", method="hype-n",
            parts=parse("hype-n")[0], task="rte", transfer=("hans",), seed=0, protocol=Protocol(),
            tasks={name: find_task(name) for name in ("rte", "hans")})  # fmt: skip


def test_spec_digest_is_that_of_its_json_and_changes_with_its_seed():
    other = replace(SPEC, seed=1)
    assert SPEC.reads_selection is False, "what is remembered beside the fields is no part of it"
    assert SPEC.digest() == canonical_digest(SPEC.to_dict())
    assert other.digest() == canonical_digest({**SPEC.to_dict(), "seed": 1}) != SPEC.digest()


def test_comments_docstrings_and_layout_do_not_change_the_meaning():
    plain = "def f(x):\n    return x + 1\n"
    dressed = '"""Module."""\n\n\ndef f(x):\n    """Docstring."""\n    # why\n    return (x +\n            1)\n'
    assert meaning(plain) == meaning(dressed)
    assert meaning(plain) != meaning(plain.replace("+", "-"))
    assert meaning("x = 'text'\n") != meaning("x = 'other'\n")


def test_function_with_only_a_docstring_means_the_same_as_pass():
    assert meaning('def f():\n    """Nothing."""\n') == meaning("def f():\n    pass\n")


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"protocol": Protocol(learning_rate=1e-5)}, {"parts": parse("hype-n~sigma=1e-03")[0]},
     {"transfer": ()}, {"task": "rte@1k"}, {"weights": "random"}],
)  # fmt: skip
def test_every_setting_changes_the_fingerprint(change):
    assert fingerprint(SPEC, {"a": "1"}) != fingerprint(replace(SPEC, **change), {"a": "1"})


def test_fingerprint_by_seed_equals_each_cells_fingerprint():
    of_seed = fingerprint_by_seed(SPEC, {"a": "1"})
    for seed in (0, 1, 12345):
        assert of_seed(seed) == fingerprint(replace(SPEC, seed=seed), {"a": "1"})


def test_inputs_and_task_labels_change_the_fingerprint():
    # Without transfer sets, only the task's own entry is read.
    spec = SPEC.without_transfer()
    before = fingerprint(spec, {"a": "1"})
    assert before == fingerprint(spec, {"a": "1"})
    assert before != fingerprint(spec, {"a": "2"})
    task = spec.tasks[spec.task]
    described, relabelled = replace(task, description="another"), replace(task, labels=task.labels[::-1])
    assert before == fingerprint(replace(spec, tasks={spec.task: described}), {"a": "1"})
    assert before != fingerprint(replace(spec, tasks={spec.task: relabelled}), {"a": "1"})


def test_meaning_of_code_is_the_same_on_every_python_version():
    # Python 3.12's syntax tree has fields and empty f-string pieces that 3.11's lacks: they must not show.
    source = 'def f(x: int, *y) -> str:\n    return f"{x:>{len(y)}}/{x!r}" + u"a"\n'
    assert hashlib.sha256(meaning(source).encode()).hexdigest() == DIGEST
    assert meaning('f"{x:>{y}}"') != meaning('f"{x:<{y}}"')
    assert meaning('["", "a"]') != meaning('["a"]')


def test_code_digest_changes_with_code_but_not_with_comments(tmp_path, monkeypatch):
    digests = []
    for number, text in enumerate(("a = 1\n", "a = 1  # why\n", "a = 2\n")):
        package = tmp_path / str(number)
        (package / "training").mkdir(parents=True)
        (package / "training/loop.py").write_text(text)
        monkeypatch.setattr(cells, "PACKAGE", package)
        code_digest.cache_clear()
        digests.append(code_digest(("training",)))
    code_digest.cache_clear()
    assert digests[0] == digests[1] != digests[2]


def test_fingerprint_ignores_the_code_of_other_methods(monkeypatch):
    seen = []
    monkeypatch.setattr(cells, "code_digest", lambda paths: seen.append(paths) or "digest")
    fingerprint(SPEC, {})
    assert "methods/hype.py" in seen[0]
    assert not any("lnsr" in path for path in seen[0])


def test_method_files_include_the_methods_whose_code_it_uses():
    files = method_files(frozenset({"steadytune.methods.adapters"}))
    assert {f"methods/{name}.py" for name in ("adapters", "layer_tuning", "top_k")} <= set(files)
    assert not any("lnsr" in path for path in files)
