"""Random sentences about a small topic: the entities to talk about, and the words to use."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TypeVar

from minilanguage import lexicon
from minilanguage import syntax as t
from minilanguage.semantics import referent

T = TypeVar("T")
_NESTED = ("inside", "around")

BASIC = frozenset({"active", "copula", "negation", "adjective", "quantifier", "coordination"})
"""The constructions of fine-tuning data."""
SHIFTED = frozenset({"passive", "relative", "prepositional", "existential", "cleft"})
"""The constructions that occur only in pretraining text and in the `constructions` sets."""


@dataclass(frozen=True)
class Topic:
    """The words that one text or one sentence pair uses."""

    constants: tuple[t.Name | t.The, ...]
    nouns: tuple[str, ...]
    """Nouns for quantified phrases and predication."""
    adjectives: tuple[str, ...]
    intransitives: tuple[str, ...]
    transitives: tuple[str, ...]
    places: tuple[str, ...]


def pick(rng: Random, items: Sequence[T]) -> T:
    """`rng.choice` based on `random()` only, so that its results are the same on every Python version."""
    return items[int(rng.random() * len(items))]


def draw(rng: Random, items: Sequence[T], count: int) -> list[T]:
    """Up to `count` different items in random order."""
    pool = list(items)
    return [pool.pop(int(rng.random() * len(pool))) for _ in range(min(count, len(pool)))]


@cache
def _by_dimension(category: str, half: str | None) -> tuple[tuple[str, ...], ...]:
    """The words of each dimension; a converse verb follows its partner's words."""
    partners = {partner: (verb,) for verb, partner in lexicon.CONVERSES.items()}
    return tuple(
        tuple(word for name in names for word in (*lexicon.PREDICATES[name].words, *partners.get(name, ())))
        for names in lexicon.dimensions(category, half).values()
    )


@cache
def _names(half: str | None) -> tuple[str, ...]:
    return tuple(name for h, names in lexicon.NAMES.items() if half in (None, h) for name in names)


@cache
def _kinds(half: str | None) -> tuple[str, ...]:
    """Nouns that lie inside another noun."""
    words = lexicon.words("noun", half)
    return tuple(noun for noun in words if noun in lexicon.PREDICATES and lexicon.PREDICATES[noun].parent)


@cache
def _related(noun: str, half: str | None) -> tuple[str, ...]:
    """Nouns that lie inside a noun or around it."""
    kind, words = lexicon.predicate_of(noun), lexicon.words("noun", half)
    return tuple(n for n in words if lexicon.relation(lexicon.predicate_of(n), kind) in _NESTED)


def sample_topic(rng: Random, half: str | None, constants: int = 2) -> Topic:
    """A topic over the words of one half of the lexicon, or over all of them (None)."""
    pool: list[t.Name | t.The] = []
    for name, noun in zip(draw(rng, _names(half), constants), draw(rng, _kinds(half), constants), strict=True):
        pool.append(t.Name(name) if rng.random() < 0.5 else t.The(noun))
    return Topic(
        constants=tuple(pool),
        nouns=_related(pick(rng, _kinds(half)), half),
        adjectives=pick(rng, _by_dimension("adjective", half)),
        intransitives=pick(rng, _by_dimension("intransitive", half)),
        transitives=pick(rng, _by_dimension("transitive", half)),
        places=pick(rng, _by_dimension("place", half)),
    )


class Sampler:
    """Draws sentences about a topic from a set of allowed constructions."""

    def __init__(self, rng: Random, topic: Topic, constructions: frozenset[str]) -> None:
        """`constructions` is a subset of BASIC | SHIFTED."""
        self.rng, self.topic, self.allowed = rng, topic, constructions

    def chance(self, construction: str, probability: float) -> bool:
        """True with the given probability if the construction is allowed, else False."""
        return construction in self.allowed and self.rng.random() < probability

    def sentence(self) -> t.Sentence:
        """One sentence of one or two clauses."""
        if self.chance("coordination", 0.12):
            word = "and" if self.rng.random() < 0.7 else pick(self.rng, ("or", "but"))
            return t.Join(self.clause(), word, self.clause())
        return self.clause()

    def clause(self) -> t.Sentence:
        """One clause."""
        if self.chance("existential", 0.12):
            mods = (*self.adjectives(0.3), self.postmodifier(("prepositional", "relative")))
            return t.There(t.Quant(pick(self.rng, ("a", "two", "a")), pick(self.rng, self.topic.nouns), mods))
        if self.chance("cleft", 0.12):
            return t.Cleft(self.constant(), self.vp())
        return t.Clause(self.subject(), self.vp())

    def constant(self) -> t.Name | t.The:
        """A name or a bare definite."""
        return pick(self.rng, self.topic.constants)

    def adjectives(self, probability: float) -> tuple[t.Mod, ...]:
        """A prenominal adjective or nothing."""
        return (t.Adj(pick(self.rng, self.topic.adjectives)),) if self.chance("adjective", probability) else ()

    def postmodifier(self, kinds: tuple[str, ...]) -> t.Mod:
        """A relative clause or a prepositional phrase, of a kind in `kinds` that is allowed."""
        kind = pick(self.rng, [k for k in kinds if k in self.allowed])
        if kind == "prepositional":
            return t.In(pick(self.rng, self.topic.places)) if self.rng.random() < 0.7 else t.Near(self.constant())
        roll = self.rng.random()
        if roll < 0.35:
            return t.RelObject(self.constant(), pick(self.rng, self.topic.transitives))
        return t.Rel(self.transitive(self.constant()) if roll < 0.7 else self.simple_vp())

    def subject(self) -> t.NP:
        """A constant or a quantified phrase, with modifiers."""
        post: tuple[t.Mod, ...] = ()
        kinds = tuple(k for k in ("prepositional", "relative") if k in self.allowed)
        if kinds and self.rng.random() < 0.2:
            post = (self.postmodifier(kinds),)
        if self.chance("quantifier", 0.45):
            det = pick(self.rng, ("every", "all", "some", "a", "no", "two", "every", "some", "no"))
            return t.Quant(det, pick(self.rng, self.topic.nouns), self.adjectives(0.35) + post)
        constant = self.constant()
        return t.The(constant.noun, self.adjectives(0.2) + post) if isinstance(constant, t.The) else constant

    def transitive(self, np: t.NP) -> t.VP:
        """A transitive verb with its object, active or passive."""
        verb = pick(self.rng, self.topic.transitives)
        return t.Passive(verb, np) if self.chance("passive", 0.35) else t.Tv(verb, np)

    def simple_vp(self) -> t.VP:
        """A verb phrase without an object, not negated."""
        roll = self.rng.random()
        if roll < 0.45:
            verb = pick(self.rng, self.topic.intransitives)
            return t.IvIn(verb, pick(self.rng, self.topic.places)) if self.chance("prepositional", 0.2) else t.Iv(verb)
        if roll < 0.75:
            return t.IsAdj(pick(self.rng, self.topic.adjectives))
        return t.IsIn(pick(self.rng, self.topic.places)) if roll < 0.9 else t.IsNoun(pick(self.rng, self.topic.nouns))

    def vp(self) -> t.VP:
        """Any verb phrase."""
        if self.rng.random() < 0.45:
            obj: t.NP = self.constant()
            if self.chance("quantifier", 0.25):
                obj = t.Quant(pick(self.rng, ("a", "every")), pick(self.rng, self.topic.nouns), self.adjectives(0.25))
            vp = t.IsNear(self.constant()) if self.rng.random() < 0.12 else self.transitive(obj)
        else:
            vp = self.simple_vp()
        if self.chance("negation", 0.25):
            return t.Not(vp)
        if self.chance("coordination", 0.12):
            return t.Both(vp, pick(self.rng, ("and", "and", "or")), self.simple_vp())
        return vp


def reflexive(sentence: t.Sentence) -> bool:
    """Whether some verb has the same referent on both sides (`anna likes anna`), which no row may have."""
    for node in sentence.nodes:
        match node:
            case t.Clause(t.Name() | t.The() as outer, vp) | t.Cleft(outer, vp):
                below = vp.nodes
            case t.The(_, mods) if mods:
                outer, below = node, [n for mod in mods for n in mod.nodes]
            case _:
                continue
        if any(isinstance(n, t.Name | t.The) and referent(n) == referent(outer) for n in below):
            return True
    return False


def constructions_of(sentence: t.Sentence) -> frozenset[str]:
    """The shifted constructions in a sentence."""
    found = set()
    for node in sentence.nodes:
        match node:
            case t.Passive():
                found.add("passive")
            case t.Rel() | t.RelObject():
                found.add("relative")
            case t.In() | t.Near() | t.IvIn():
                found.add("prepositional")
            case t.There():
                found.add("existential")
            case t.Cleft():
                found.add("cleft")
    return frozenset(found)
