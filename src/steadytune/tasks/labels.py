"""Label spaces matched by name, for evaluating a model trained on one data set on another.

Class numbers are never compared, because data sets number their classes differently (QQP's class 0 is not MNLI's).
Labels are first replaced by their synonyms. Two label spaces are then comparable if each label of one is a label of the
other, or a part of one: `neutral` and `contradiction` are both parts of `not_entailment`.

* If the target's labels are as coarse as the model's, or coarser, the model's probabilities are projected onto the
  target's labels (`project`), and the gold labels are unchanged.
* If the target's labels are finer (a two-way model on a three-way set), the gold labels are collapsed to the model's
  labels (`collapse_gold`), and the model's probabilities are unchanged.

HyPe (arXiv 2212.08853, Table 7) always compares two labels: contradiction becomes neutral, because SciTail has only
`entails` and `neutral`, and QQP's `duplicate` counts as entailment. "Neutral" there means everything that is not
entailed. This is `not_entailment` here, and the task table uses that name for SciTail.
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
"""Labels of different data sets with the same meaning, in lower case with underscores."""

PART_OF = {"neutral": "not_entailment", "contradiction": "not_entailment"}
"""The coarser label of each finer one."""

TWO_WAY = ("entailment", "not_entailment")
"""The coarse entailment labels, which HyPe's Table 7 uses."""

RULES = ("sum", "argmax")
"""How finer classes become coarser ones: add their probabilities, or let the arg-max choose a finer class first."""


def canonical(label: str) -> str:
    """The canonical name of a label: `Non-Entailment` -> `not_entailment`."""
    plain = label.strip().lower().replace("-", "_").replace(" ", "_")
    return SYNONYMS.get(plain, plain)


def coarsening(fine: tuple[str, ...], coarse: tuple[str, ...]) -> tuple[int, ...] | None:
    """For each label of `fine`, the index of the label of `coarse` that it equals or is a part of.

    None if the spaces do not match in this direction: a label of `fine` has no counterpart, a label of `coarse` is not
    reached, or there are no labels (regression).
    """
    index = {canonical(label): i for i, label in enumerate(coarse)}
    names = [canonical(label) for label in fine]
    places = [index.get(name, index.get(PART_OF.get(name, ""), -1)) for name in names]
    return tuple(places) if places and set(places) == set(range(len(coarse))) else None


def shared_space(model_labels: tuple[str, ...], target_labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels on which a model and a target set are compared: the coarser of the two spaces, in its order.

    If both are equally fine, the target's labels; if both are regression, an empty tuple.

    Raises:
        SteadyTuneError: the spaces are not comparable, like sentiment and entailment, or regression and classes.
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
    """Project a model's probabilities (n, C_model) onto the labels of a target that is as coarse or coarser.

    With the rule `sum`, a coarse class gets the sum of its parts' probabilities. With `argmax`, the coarse class of the
    most probable fine class (the first if tied) gets probability 1. Rows that contain NaN become NaN.

    Returns:
        Probabilities (n, C_target), float64.

    Raises:
        SteadyTuneError: the rule is unknown, or the spaces do not match in this direction.
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
        # The arg-max would turn a row that contains NaN into a certain prediction.
        winners[np.isnan(probabilities).any(axis=1)] = np.nan
        probabilities = winners
    return probabilities @ np.eye(len(target_labels))[places]


def collapse_gold(labels: "np.ndarray", target_labels: tuple[str, ...], space: tuple[str, ...]) -> "np.ndarray":
    """Gold class indices (n,) of a target set as indices into a space that is as coarse or coarser: (n,) int64.

    Raises:
        SteadyTuneError: the spaces do not match in this direction.
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
    """Whether predictions of a model of `task` on `evaluation_set` can be read as entailment or not entailment."""
    return coarsening(shared_space(task.labels, evaluation_set.labels), TWO_WAY) is not None
