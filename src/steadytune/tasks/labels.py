"""Label spaces that meet by name: what a model trained on one set says about another.

Numbers never decide, since sets number their classes differently (QQP's class 0 is not MNLI's). A label is first read
through the table of synonyms; two spaces then have a common reading where the labels of one are the labels of the
other, or parts of them: `neutral` and `contradiction` are both parts of `not_entailment`.

* The target is as coarse as the model or coarser: the model's probabilities are projected on the target's labels
  (`project`) and the gold labels stay.
* The target is finer (a two-way model on a three-way set): the gold labels are collapsed to the model's space
  (`collapse_gold`), and the model's probabilities stay.

HyPe (arXiv 2212.08853, Table 7) compares on two labels everywhere: contradiction becomes neutral, as SciTail has only
`entails` and `neutral`, and QQP's `duplicate` is read as entailment. Its "neutral" is then everything that is not
entailed, which is what `not_entailment` says here; the task table names SciTail's classes so.
"""

from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError
from steadytune.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np

SYNONYMS = {
    "entails": "entailment",
    "entailed": "entailment",
    "equivalent": "entailment",
    "duplicate": "entailment",
    "not_entailed": "not_entailment",
    "non_entailment": "not_entailment",
    "not_equivalent": "not_entailment",
    "not_duplicate": "not_entailment",
}
"""Labels of different sets that are read as the same one, in lower case with underscores."""

PART_OF = {"neutral": "not_entailment", "contradiction": "not_entailment"}
"""Each finer label's coarser label."""

TWO_WAY = ("entailment", "not_entailment")
"""The coarse entailment labels, on which HyPe's Table 7 compares."""

RULES = ("sum", "argmax")
"""How finer classes become a coarser one: their probabilities are added, or the arg-max chooses a finer class first."""


def canonical(label: str) -> str:
    """The one name of a label: `Non-Entailment` -> `not_entailment`."""
    plain = label.strip().lower().replace("-", "_").replace(" ", "_")
    return SYNONYMS.get(plain, plain)


def coarsening(fine: tuple[str, ...], coarse: tuple[str, ...]) -> tuple[int, ...] | None:
    """For each label of `fine` the index of the label of `coarse` that it is, or is a part of.

    None where the spaces have no such reading: a label of `fine` without a place, one of `coarse` that none reaches, or
    no labels at all (regression).
    """
    index = {canonical(label): i for i, label in enumerate(coarse)}
    names = [canonical(label) for label in fine]
    places = [index.get(name, index.get(PART_OF.get(name, ""), -1)) for name in names]
    return tuple(places) if places and set(places) == set(range(len(coarse))) else None


def shared_space(model_labels: tuple[str, ...], target_labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels that a model and a target set are compared on: the coarser of the two spaces, in its own order.

    The target's where both are equally fine; none where both are regression.

    Raises:
        SteadyTuneError: no common reading, as with sentiment and entailment, or with regression and classes.
    """
    if not model_labels and not target_labels:
        return ()
    if coarsening(model_labels, target_labels) is not None:
        return target_labels
    if coarsening(target_labels, model_labels) is not None:
        return model_labels
    raise SteadyTuneError(
        f"labels: a model of {_describe(model_labels)} says nothing about a set of {_describe(target_labels)}"
    )


def project(
    probabilities: "np.ndarray", model_labels: tuple[str, ...], target_labels: tuple[str, ...], rule: str = "sum"
) -> "np.ndarray":
    """A model's probabilities (n, C_model), on the labels of a target as coarse or coarser: (n, C_target), float64.

    With the rule `sum` a coarse class has the sum of its parts' probabilities; with `argmax` the most probable fine
    class decides (the first one of equals), and its coarse class has probability 1. Rows that hold NaN become NaN.

    Raises:
        SteadyTuneError: an unknown rule, or spaces that do not meet this way round.
    """
    if rule not in RULES:
        raise SteadyTuneError(f"labels: unknown rule '{rule}'; known: {', '.join(RULES)}")
    import numpy as np

    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.shape[1] != len(model_labels):
        raise ValueError(f"probabilities of shape {probabilities.shape} for {len(model_labels)} labels")
    places = _places(model_labels, target_labels)
    if rule == "argmax":
        winners = np.eye(len(model_labels))[probabilities.argmax(axis=1)]
        # The arg-max would make a certain answer of a row that holds NaN.
        winners[np.isnan(probabilities).any(axis=1)] = np.nan
        probabilities = winners
    return probabilities @ np.eye(len(target_labels))[places]


def collapse_gold(labels: "np.ndarray", target_labels: tuple[str, ...], space: tuple[str, ...]) -> "np.ndarray":
    """Gold class indices (n,) of a target set, as indices into a space as coarse or coarser: (n,) int64.

    Raises:
        SteadyTuneError: spaces that do not meet this way round.
    """
    return _places(target_labels, space)[labels]


def _places(fine: tuple[str, ...], coarse: tuple[str, ...]) -> "np.ndarray":
    import numpy as np

    places = coarsening(fine, coarse)
    if places is None:
        raise SteadyTuneError(f"labels: {_describe(fine)} cannot be read as {_describe(coarse)}")
    return np.array(places, dtype=np.int64)


def _describe(labels: tuple[str, ...]) -> str:
    return f"({', '.join(labels)})" if labels else "numbers (regression)"


def has_reading(task: Task, evaluation_set: Task) -> bool:
    """Whether what a model of `task` says about `evaluation_set` can be read as entailment or not."""
    return coarsening(shared_space(task.labels, evaluation_set.labels), TWO_WAY) is not None
