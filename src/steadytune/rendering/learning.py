"""Reports runs that learned nothing, ahead of all other results, because their scores mean nothing."""

from steadytune.results.model import Results
from steadytune.text import counted, listed

HELP = "What usually helps: more epochs or steps, another learning rate, a warm-up."


def nothing_learned(results: Results) -> str:
    """A sentence on the methods and tasks of which every run learned nothing (see `Results.stuck`); empty if none."""
    # Skip encoders with random weights: a suite includes them to show how little can be learned from them.
    drawn = {compared.random for compared in results.suite.pretraining_pairs}
    scored = [
        key[:3] for key, score in results.scores.items() if key[2] == key[3] and score.points and key[0] not in drawn
    ]
    stuck = [key for key in scored if key in results.stuck]
    if not stuck:
        return ""
    what = "every run gives one answer for every example, or scores no more than that would"
    if len(stuck) == len(scored):
        return f"Nothing was learned: {what} ({counted(len(stuck), 'encoder, method and task')}). {HELP}"
    return f"Nothing was learned by {'; '.join(_places(results, scored, stuck))}: {what}. {HELP}"


def _places(results: Results, scored: list[tuple[str, str, str]], stuck: list[tuple[str, str, str]]) -> list[str]:
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
