"""Adversarial pairs in the manner of HANS (McCoy, Pavlick, Linzen 2019): word overlap is complete and says nothing.

Every word of the hypothesis is in the premise. In training data that nearly always means entailment; here the
semantics says no for half of the rows.
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from minilanguage import edits
from minilanguage import syntax as t
from minilanguage.lexicon import CORE
from minilanguage.pairs import Pair, make_pair, quotas, shuffled
from minilanguage.sampling import BASIC, Sampler, pick, sample_topic

_SHRINKING = (edits.drop_modifier, edits.split, edits.exchange, edits.swap_roles, edits.negate)
LABELS = ("entailment", "not_entailment")


def heuristic(premise: t.Sentence, pair: Pair) -> str:
    """Which of the three heuristics of HANS, from the weakest to the strongest, would call the pair entailed."""
    clauses = [node for node in t.nodes(premise) if isinstance(node, t.Clause | t.Join) and node is not premise]
    if any(t.realise(node) == pair.second for node in clauses):
        return "constituent"
    return "subsequence" if f" {pair.second} " in f" {pair.first} " else "lexical_overlap"


def _reattach(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """From `the dog near the cat sleeps`: `the cat sleeps`, or what is said of the dog in passing."""

    def change(node: t.Node) -> t.Node | None:
        if not isinstance(node, t.Clause) or not isinstance(node.np, t.The | t.Quant) or not node.np.mods:
            return None
        inside = [n for mod in node.np.mods for n in t.nodes(mod) if isinstance(n, t.Name | t.The)]
        said = [mod.vp for mod in node.np.mods if isinstance(mod, t.Rel)]
        if inside and sampler.rng.random() < 0.6:
            return replace(node, np=inside[-1])
        return t.Clause(replace(node.np, mods=()), pick(sampler.rng, said)) if said else None

    return edits.rewrite_one(sentence, sampler.rng, change)


def _stream(rng: Random) -> Iterator[tuple[str, Pair]]:
    while True:
        sampler = Sampler(rng, sample_topic(rng, CORE), BASIC | {"relative", "prepositional", "passive"})
        premise = sampler.sentence()
        change = _reattach if rng.random() < 0.4 else pick(rng, _SHRINKING)
        hypothesis = change(premise, sampler)
        pair = make_pair(premise, hypothesis, "") if hypothesis is not None else None
        if pair is not None and pair.overlap == 1:
            yield heuristic(premise, pair), pair


def rows(rng: Random, size: int, columns: tuple[str, str], taken: set[tuple[str, str]]) -> list[dict]:
    """`size` rows, labels even within each heuristic as far as that goes, `label` an index into LABELS."""
    shares = {"lexical_overlap": 0.4, "subsequence": 0.4, "constituent": 0.2}
    left = quotas({f"{name}/{label}": share / 2 for name, share in shares.items() for label in (0, 1)}, size)
    found = []
    for name, pair in _stream(rng):
        label = 0 if pair.judgement.entails else 1
        key = (pair.first, pair.second)
        if left[f"{name}/{label}"] == 0 or key in taken:
            continue
        taken.add(key)
        left[f"{name}/{label}"] -= 1
        first, second = columns
        text = {first: pair.first, second: pair.second}
        found.append({**text, "label": label, "construction": pair.construction, "heuristic": name})
        if len(found) == size:
            return shuffled(rng, found)
    raise AssertionError("the stream of pairs is endless")
