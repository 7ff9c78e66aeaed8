"""Reports runs that learned nothing, ahead of all other results, because their scores mean nothing."""

from steadytune.results.model import Key, Results
from steadytune.text import listed

HELP = "What usually helps: more epochs or steps, another learning rate, a warm-up."
HELP_IF_FITTED = "What helps there: more training examples, a larger encoder or a better pretrained one."
FELL = 0.5
"""A run fits its training set if its training loss ends at or below this share of its first epoch's (our choice)."""


def nothing_learned(results: Results) -> str:
    """Sentences on the methods and tasks of which every run learned nothing (see `Results.stuck`); empty if none.

    Runs that fit their training set get a sentence of their own, with other advice.
    """
    # Skip encoders with random weights: a suite includes them to show how little can be learned from them.
    drawn = {compared.random for compared in results.suite.pretraining_pairs}
    scored = [
        key[:3] for key, score in results.scores.items() if key[2] == key[3] and score.points and key[0] not in drawn
    ]
    stuck = [key for key in scored if key in results.stuck]
    fitted = [key for key in stuck if _fits(results, key)]
    rest = [key for key in stuck if key not in fitted]
    sentences = []
    if rest:
        what = "every run gives one answer for every example, or scores no more than that would"
        sentences.append(f"Nothing was learned{_by(results, scored, rest)}: {what}. {HELP}")
    if fitted:
        what = (
            "every run fits its training set (its training loss fell by half or more), but on the evaluation split it "
            "gives one answer for every example, or scores no more than that would"
        )
        sentences.append(f"Nothing general was learned{_by(results, scored, fitted)}: {what}. {HELP_IF_FITTED}")
    return " ".join(sentences)


def _fits(results: Results, key: Key) -> bool:
    """Whether the recorded training loss of every run with a score fell to `FELL` of its first epoch's."""
    for seed in results.scores[*key, key[2]].points:
        losses = [value for _, value in results.history(*key, seed).get("train_loss", [])]
        if not losses or losses[-1] > FELL * losses[0]:
            return False
    return True


def _by(results: Results, scored: list[Key], found: list[Key]) -> str:
    """` by lora on every task`; empty if nothing else has a score."""
    return f" by {'; '.join(_places(results, scored, found))}" if len(found) < len(scored) else ""


def _places(results: Results, scored: list[Key], stuck: list[Key]) -> list[str]:
    """`lora on every task; any method on cola; l2-sp and smart on mrpc`, encoder by encoder."""
    places = []
    for encoder in results.encoders:
        left = {key[1:] for key in stuck if key[0] == encoder}
        all_of = {key[1:] for key in scored if key[0] == encoder}
        tasks = [t for t in results.tasks if len({m for m, task in all_of if task == t}) > 1
                 and {pair for pair in all_of if pair[1] == t} <= left]  # fmt: skip
        found = [f"any method on {listed(tasks)}"] if tasks else []
        left = {pair for pair in left if pair[1] not in tasks}
        by_tasks: dict[tuple[str, ...], list[str]] = {}
        for method in results.methods:
            on = tuple(task for task in results.tasks if (method, task) in left)
            if on:
                by_tasks.setdefault(on, []).append(method)
        found += [f"{listed(methods)} on {listed(list(on))}" for on, methods in by_tasks.items()]
        suffix = f" ({encoder})" if len({key[0] for key in scored}) > 1 else ""
        places += [f"{place}{suffix}" for place in found]
    return places
