"""Claims read from files of the project or next to a suite; every name in them must exist."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field, model_validator

from steadytune.claims.claim import Claim, Comparison, Difference, Gain, MeanDifference
from steadytune.errors import SteadyTuneError, nearest
from steadytune.files import nearest_file
from steadytune.layout import project_file
from steadytune.methods.registry import parse
from steadytune.safe_yaml import read_yaml
from steadytune.schema import StrictModel, check_all
from steadytune.suite.file import is_file_name
from steadytune.suite.start import Start
from steadytune.suite.suite import Suite
from steadytune.tasks.labels import has_reading
from steadytune.tasks.table import Task, find_task

CLAIMS = Path("config/claims")

Tasks = Mapping[str, Task]
NONE: Tasks = MappingProxyType({})


class ClaimFile(StrictModel):
    """A file of claims, which share its `paper`, `source` and `suite`; the default `family` is `paper`."""

    paper: str
    source: str
    suite: str | None = None
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _share(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not isinstance(value.get("claims"), list):
            return value
        shared = {key: value[key] for key in ("paper", "source", "suite") if key in value}
        shared["family"] = value.get("paper")
        each = [{**shared, **claim} if isinstance(claim, Mapping) else claim for claim in value["claims"]]
        return {**value, "claims": each}


def load_claims(path: Path, own: Tasks = NONE) -> tuple[Claim, ...]:
    """The claims of a file; `own`: a suite's own tasks, which claims may name.

    Raises:
        SteadyTuneError: one line naming file, claim, key, value and what was expected.
    """
    claims = check_all(ClaimFile, read_yaml(path), path).claims
    seen: set[str] = set()
    for claim in claims:
        try:
            if claim.id in seen:
                raise SteadyTuneError("listed twice")
            _check_names(claim, own)
        except SteadyTuneError as error:
            raise SteadyTuneError(f"{path}: claim '{claim.id}': {error}") from None
        seen.add(claim.id)
    return claims


def find_claims(
    names: Iterable[str], where: str, folder: Path | None = None, *, beside: Path = Path(), own: Tasks = NONE
) -> tuple[Claim, ...]:
    """The claims that a suite names, each once.

    Args:
        names: each is a file of the project without its ending, which means all of its claims; a file next to the
            suite with its ending; or the id of a single claim.
        where: where the names are listed, for messages.
        folder: the folder of the project's claims.
        beside: the folder that file names with an ending are relative to.
        own: a suite's own tasks.

    Raises:
        SteadyTuneError: an unknown name, or an invalid file.
    """
    folder = folder or project_file(CLAIMS)
    names, paths = tuple(names), {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    outside = {name: beside / name for name in names if is_file_name(name)}
    for path in outside.values():
        if not path.exists():
            raise SteadyTuneError(f"{where}: {path}: no such file{nearest_file(path)}")
    # Unless every name is a file, read all files: a claim's id may be in any of them.
    wanted = names if {*paths, *outside} >= set(names) else [*paths, *outside]
    files = {name: load_claims((paths | outside)[name], own) for name in wanted}
    known: dict[str, Sequence[Claim]] = dict(files)
    for claim in (claim for claims in files.values() for claim in claims):
        if claim.id in known:
            raise SteadyTuneError(f"{folder}: claim '{claim.id}': another claim or file has the same name")
        known[claim.id] = (claim,)
    found: dict[str, Claim] = {}
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f"; files of claims: {', '.join(paths) or 'none'}"
            if (beside / f"{name}.yaml").is_file():
                hint = f"; for the file beside the suite write `{name}.yaml`"
            raise SteadyTuneError(f"{where}: unknown claim '{name}'{hint}")
        found |= {claim.id: claim for claim in known[name]}
    return tuple(found.values())


def suite_claims(suite: Suite) -> tuple[Claim, ...]:
    """The claims that a suite's file names; a name that ends in `.yaml` or `.yml` is a file next to it.

    Raises:
        SteadyTuneError: as `find_claims`.
    """
    return find_claims(suite.file.claims, f"{suite.path}: claims", beside=suite.path.parent, own=suite.own_tasks)


def _check_names(claim: Claim, own: Tasks) -> None:
    """Check that the methods, tasks and printed rows that a claim names exist, and that its keys fit each other."""
    for method in claim.methods:
        parse(method)
        if start := Start.of(method):
            parse(start.method)
            find_task(start.task, own)
    if isinstance(claim, Comparison) and any(
        (encoder, claim.method) in claim.sides(encoder, baseline)[1:] for encoder, baseline in claim.encoder_pairs
    ):
        expected = "expected another method, or other `baseline_encoders`"
        raise SteadyTuneError(f"against: '{claim.method}' is also its `method`: {expected}")
    names = [] if claim.tasks == "*" else [*claim.tasks]
    if isinstance(claim, Gain):
        names += claim.reference
    if isinstance(claim, Difference) and claim.sets not in (None, "*"):
        sets = claim.sets.values() if isinstance(claim.sets, dict) else [claim.sets]
        names += [name for each in sets for name in each or ()]
        if isinstance(claim.sets, dict) and set(claim.sets) != set(claim.tasks):
            raise SteadyTuneError("sets: expected an entry for each of its tasks")
    for name in names:
        find_task(name, own)
    if isinstance(claim, Difference) and claim.reading == "two-way":
        _check_reading(claim, own)
    if claim.unreachable is None and isinstance(claim, MeanDifference):
        effect = claim.size() if claim.direction == "higher" or claim.margin is not None else -claim.size()
        if effect <= 0 and claim.direction != "either":
            hint = f"; `not-worse` with `margin: {-effect:g}` claims a bound below 0" if claim.margin else ""
            raise SteadyTuneError(f"direction is '{claim.direction}', but the effect is {effect:.3g} points{hint}")
    elif claim.unreachable is None and claim.margin is None:
        raise SteadyTuneError("expected a `margin`: a printed difference cannot be a bound or a ratio")
    # Check that the printed rows exist, even if a margin replaces their difference.
    claim.effect()


def _check_reading(claim: Difference, own: Tasks) -> None:
    """Check that every set a claim names can be read as entailment against the rest; `*` is refused."""
    if "*" in (claim.tasks, claim.sets):
        raise SteadyTuneError("reading: 'two-way': expected named `tasks` and `sets`, and not `*`")
    for task in claim.tasks:
        sets = claim.sets.get(task) if isinstance(claim.sets, dict) else claim.sets
        for name in sets or [task]:
            if not has_reading(find_task(task, own), find_task(name, own)):
                raise SteadyTuneError(f"reading: 'two-way': {task} on {name} is not about entailment")
