"""Adversarial pairs in the style of HANS (McCoy, Pavlick, Linzen 2019): word overlap is complete and uninformative.

Every word of the hypothesis is in the premise. In training data that nearly always means entailment; here half of the
rows are not entailed.
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from minilanguage import edits
from minilanguage import syntax as t
from minilanguage.lexicon import CORE
from minilanguage.pairs import Pair, make_pair, row_of
from minilanguage.quotas import collect, quotas
from minilanguage.realisation import realise
from minilanguage.sampling import BASIC, Sampler, pick, sample_topic
from minilanguage.word_edits import rewrite_one

_SHRINKING = (edits.drop_modifier, edits.split, edits.exchange, edits.swap_roles, edits.negate)
LABELS = ("entailment", "not_entailment")


def heuristic(premise: t.Sentence, pair: Pair) -> str:
    """The most specific of the three heuristics of HANS that would call the pair entailed."""
    clauses = [node for node in premise.nodes if isinstance(node, t.Clause | t.Join) and node is not premise]
    if any(realise(node) == pair.second for node in clauses):
        return "constituent"
    return "subsequence" if f" {pair.second} " in f" {pair.first} " else "lexical_overlap"


def _reattach(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Turn `the dog near the cat sleeps` into `the cat sleeps`, or a subject and its relative clause into a clause."""

    def change(node: t.Node) -> t.Node | None:
        if not isinstance(node, t.Clause) or not isinstance(node.np, t.The | t.Quant) or not node.np.mods:
            return None
        inside = [n for mod in node.np.mods for n in mod.nodes if isinstance(n, t.Name | t.The)]
        said = [mod.vp for mod in node.np.mods if isinstance(mod, t.Rel)]
        if inside and sampler.rng.random() < 0.6:
            return replace(node, np=inside[-1])
        return t.Clause(replace(node.np, mods=()), pick(sampler.rng, said)) if said else None

    return rewrite_one(sentence, sampler.rng, change)


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
    """`size` rows with labels balanced within each heuristic, up to rounding; `label` is an index into LABELS."""
    shares = {"lexical_overlap": 0.4, "subsequence": 0.4, "constituent": 0.2}
    left = quotas({f"{name}/{label}": share / 2 for name, share in shares.items() for label in (0, 1)}, size)
    labelled = ((name, pair, int(not pair.judgement.entails)) for name, pair in _stream(rng))
    candidates = ((f"{name}/{label}", row_of(pair, columns, label, name)) for name, pair, label in labelled)
    return collect(rng, candidates, left, columns, taken)
