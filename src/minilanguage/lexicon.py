"""The words of the mini language and the meaning postulates between them.

Predicates live in *dimensions*. Within one dimension two predicates are either nested (`sprint` lies inside `run`) or
disjoint (`run` excludes `sleep`); predicates of different dimensions are independent. The language has no other meaning
postulates, so lexical relations are read off the forests below and never listed by hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

CORE, HELD, BOTH = "core", "held", "both"
"""Core content words occur in fine-tuning data, held ones only in pretraining text and in the `vocabulary` sets."""


@dataclass(frozen=True)
class Predicate:
    """One meaning, the words that express it, and its place in its dimension's forest."""

    name: str
    category: str
    """noun, adjective, intransitive, transitive or place."""
    dimension: str
    parent: str | None
    words: tuple[str, ...]
    half: str


Forest = dict[str, "Forest"]

# In a forest, a key is one predicate (`=` joins synonyms) and its value holds the predicates inside it.
_MUSICIAN: Forest = {"violinist=fiddler": {}}
_PERSON: Forest = {"doctor=physician": {"surgeon": {}}, "teacher=tutor": {}, "musician": _MUSICIAN, "farmer": {}}
_BIRD: Forest = {"sparrow": {}}
_ANIMAL: Forest = {"dog=hound": {"poodle": {}}, "cat": {"kitten": {}}, "horse=steed": {"pony": {}}, "bird": _BIRD}
# Half, category, dimension, forest.
_DIMENSIONS: tuple[tuple[str, str, str, Forest], ...] = (
    (BOTH, "noun", "kind", {"person": _PERSON, "animal": _ANIMAL}),
    (CORE, "adjective", "mood", {"happy=glad": {}, "sad=unhappy": {}}),
    (CORE, "adjective", "temper", {"angry": {"furious=enraged": {}}, "calm": {}}),
    (CORE, "adjective", "height", {"tall": {}, "short": {}}),
    (HELD, "adjective", "wealth", {"rich=wealthy": {}, "poor=needy": {}}),
    (HELD, "adjective", "energy", {"tired=weary": {"exhausted": {}}, "fresh": {}}),
    (HELD, "adjective", "mind", {"clever=smart": {}, "foolish": {}}),
    (CORE, "intransitive", "motion", {"move": {"run=jog": {"sprint": {}}}, "sleep": {"doze": {}}}),
    (CORE, "intransitive", "voice", {"speak=talk": {"shout=yell": {}}, "listen": {}}),
    (HELD, "intransitive", "journey", {"travel": {"walk=stroll": {"march": {}}}, "wait=linger": {}}),
    (HELD, "intransitive", "feeling", {"laugh=chuckle": {"giggle": {}}, "cry=weep": {}}),
    (CORE, "transitive", "attitude", {"like": {"love": {}}, "hate=abhor": {}}),
    (CORE, "transitive", "pursuit", {"follow": {"chase=pursue": {}}}),
    (CORE, "transitive", "sight", {"see=spot": {}}),
    (HELD, "transitive", "esteem", {"admire": {"worship": {}}, "despise=scorn": {}}),
    (HELD, "transitive", "contact", {"touch": {"hug=embrace": {}}}),
    (HELD, "transitive", "service", {"help=assist": {}, "hinder": {}}),
    (BOTH, "near", "nearness", {"near": {}}),
    (CORE, "place", "spot", {"house=home": {"kitchen": {}}, "park": {}}),
    (HELD, "place", "site", {"farm": {"stable=barn": {}}, "forest": {}, "library": {}}),
)
_HELD_NOUNS = {"musician", "violinist", "farmer", "horse", "pony", "bird", "sparrow"}
_SHARED_NOUNS = {"person", "animal"}

NAMES = {CORE: ("anna", "ben", "clara", "david"), HELD: ("emma", "felix", "grace", "henry")}
SYMMETRIC = frozenset({"near"})
CONVERSES = {"lead": "follow"}
"""Verb -> the verb that means the same with subject and object swapped: `x leads y` iff `y follows x`."""

SINGULAR_DETERMINERS = {"every": "every", "some": "some", "a": "some", "no": "no"}
PLURAL_DETERMINERS = {"all": "every", "two": "two"}
DETERMINERS = SINGULAR_DETERMINERS | PLURAL_DETERMINERS
"""Determiner -> quantifier: `all` means `every`, `a` means `some`, `two` means at least two."""

_PLURALS = {"person": "people"}
_PARTICIPLES = {"see": "seen", "lead": "led"}
_DOUBLED = {"spot", "hug", "abhor", "regret"}


def _walk(forest: Forest, parent: str | None) -> Iterator[tuple[tuple[str, ...], str | None]]:
    for key, inside in forest.items():
        words = tuple(key.split("="))
        yield words, parent
        yield from _walk(inside, words[0])


def _half(half: str, category: str, name: str) -> str:
    if category != "noun" or name in _SHARED_NOUNS:
        return half
    return HELD if name in _HELD_NOUNS else CORE


def _build() -> dict[str, Predicate]:
    table = {}
    for half, category, dimension, forest in _DIMENSIONS:
        for words, parent in _walk(forest, None):
            half_of_word = _half(half, category, words[0])
            table[words[0]] = Predicate(words[0], category, dimension, parent, words, half_of_word)
    return table


PREDICATES: dict[str, Predicate] = _build()
_BY_WORD = {word: name for name, predicate in PREDICATES.items() for word in predicate.words} | CONVERSES


def predicate_of(word: str) -> str:
    """The predicate that a word (base form) expresses; for a converse verb, its partner's predicate."""
    return _BY_WORD[word]


@cache
def ancestors(predicate: str) -> tuple[str, ...]:
    """`predicate` itself and every predicate that it lies inside, nearest first."""
    parent = PREDICATES[predicate].parent
    return (predicate,) if parent is None else (predicate, *ancestors(parent))


@cache
def relation(first: str, second: str) -> str:
    """The relation of two predicates: `inside` (first in second, or equal), `around`, `disjoint` or `independent`."""
    if second in ancestors(first):
        return "inside"
    if first in ancestors(second):
        return "around"
    return "disjoint" if PREDICATES[first].dimension == PREDICATES[second].dimension else "independent"


@cache
def words(category: str, half: str | None = None) -> tuple[str, ...]:
    """Base forms of a category; `half` keeps only that half's words and shared words. Converse verbs are transitive."""
    kept = [p for p in PREDICATES.values() if p.category == category and (half is None or p.half in (half, BOTH))]
    names = {p.name for p in kept}
    extra = [verb for verb, partner in CONVERSES.items() if partner in names]
    return tuple([word for p in kept for word in p.words] + extra)


@cache
def dimensions(category: str, half: str | None = None) -> dict[str, tuple[str, ...]]:
    """Dimension -> its predicates of that category and half, in the order of the forest."""
    found: dict[str, list[str]] = {}
    for p in PREDICATES.values():
        if p.category == category and (half is None or p.half in (half, BOTH)):
            found.setdefault(p.dimension, []).append(p.name)
    return {dimension: tuple(names) for dimension, names in found.items()}


def synonyms(word: str) -> tuple[str, ...]:
    """Other words with the same meaning and the same argument order."""
    if word in CONVERSES:
        return ()
    return tuple(other for other in PREDICATES[predicate_of(word)].words if other != word)


def third_person(verb: str) -> str:
    """`chase` -> `chases`, `cry` -> `cries`, `march` -> `marches`."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("sh", "ch", "s")) else "s")


def participle(verb: str) -> str:
    """`chase` -> `chased`, `see` -> `seen`."""
    stem = verb + verb[-1] if verb in _DOUBLED else verb
    return _PARTICIPLES.get(verb) or (stem + ("d" if stem.endswith("e") else "ed"))


def plural(noun: str) -> str:
    """`dog` -> `dogs`, `person` -> `people`."""
    return _PLURALS.get(noun) or noun + "s"
