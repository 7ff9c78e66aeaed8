"""Pretraining text: documents whose sentences are all true of one random world."""

from random import Random

from minilanguage import lexicon, valence
from minilanguage import syntax as t
from minilanguage.edits import edit
from minilanguage.realisation import realise
from minilanguage.sampling import BASIC, SHIFTED, Sampler, Topic, pick, reflexive, sample_topic
from minilanguage.semantics import Atom, Model, evaluate, referent

SENTENCES = 6
MAX_TOKENS = 11
_ANONYMOUS = 3
_ALTERNATIVES = 11
_COHESION = 0.9
_TRIES = 40
_REVIEWS = 0.4
_QUALITIES = (-2, -2, -1, 0, 1, 2, 2)
"""Qualities of the things in reviews: mostly not neutral."""


class Worlds:
    """One actual world about a topic (bit 0 of every proposition) and some alternatives to it (the other bits).

    The entities are constants and a few anonymous ones, each with a random state per dimension. The alternatives show
    what a sentence leaves open: what follows from it is true in every world in which it is true.
    """

    def __init__(self, rng: Random, topic: Topic) -> None:
        """Draw every fact; the meaning postulates hold by construction, and every noun of the topic is inhabited."""
        self._rng = rng
        self.constants = {referent(np): i for i, np in enumerate(topic.constants)}
        self.size = len(self.constants) + _ANONYMOUS
        self.full = (1 << (1 + _ALTERNATIVES)) - 1
        self.facts: dict[Atom, int] = {}
        named = {i: lexicon.predicate_of(np.noun) for i, np in enumerate(topic.constants) if isinstance(np, t.The)}
        properties = _states(topic.adjectives + topic.intransitives + topic.places)
        verbs = [*_states(topic.transitives), ("near",)]
        kinds = tuple(dict.fromkeys(map(lexicon.predicate_of, topic.nouns)))
        leaves = [k for k in kinds if not any(lexicon.PREDICATES[other].parent == k for other in kinds)]
        for entity in range(self.size):
            seated = entity - len(self.constants)
            fixed = named.get(entity) or (leaves[seated] if 0 <= seated < len(leaves) else None)
            self._draw(kinds if fixed is None else (fixed,), entity, -1, 1.0)
            for options in properties:
                self._draw(options, entity, -1, 0.75)
            for obj in range(self.size):
                for options in verbs if obj != entity else ():
                    self._draw(options, entity, obj, 0.6)

    def _draw(self, options: tuple[str, ...], subject: int, obj: int, probability: float) -> None:
        """Give each world one of the options or, with the remaining probability, none."""
        many = len(options) / probability
        for world in range(1 + _ALTERNATIVES):
            choice = int(self._rng.random() * many)
            if choice < len(options):
                for above in lexicon.ancestors(options[choice]):
                    atom = (above, subject, obj)
                    self.facts[atom] = self.facts.get(atom, 0) | 1 << world

    def evaluate(self, sentence: t.Sentence) -> int:
        """The proposition of the sentence; bit 0 is its truth."""
        return evaluate(sentence, Model(self.constants, self.size, self.full, lambda atom: self.facts.get(atom, 0)))


def _states(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The predicates of some words, grouped by dimension."""
    groups: dict[str, dict[str, None]] = {}
    for name in map(lexicon.predicate_of, words):
        groups.setdefault(lexicon.PREDICATES[name].dimension, {})[name] = None
    return [tuple(names) for names in groups.values()]


def _sound(sentence: t.Sentence) -> bool:
    return not reflexive(sentence) and len(realise(sentence).split()) <= MAX_TOKENS


def _story(rng: Random) -> tuple[list[str], list[str]]:
    """Factual sentences: (true ones, foils), mostly made by editing the true sentence before them.

    Most sentences follow from the one before, and most foils contradict it, as far as the alternative worlds show. The
    truth of the others depends only on the actual world.
    """
    topic = sample_topic(rng, None)
    worlds = Worlds(rng, topic)
    sampler = Sampler(rng, topic, BASIC | SHIFTED)
    told: list[t.Sentence] = []
    foils: list[t.Sentence] = []
    said = 0
    while len(told) < SENTENCES:
        cohesive = bool(told) and rng.random() < _COHESION
        # The best candidates so far: a coherent one, else any; None until there is one.
        true, false = None, None
        for _ in range(_TRIES):
            fresh = not told or rng.random() < 0.05
            changed = (sampler.sentence(), "") if fresh else edit(told[-1], sampler, 1 + int(rng.random() * 1.2))
            if changed is None or changed[0] in told or not _sound(changed[0]):
                continue
            proposition = worlds.evaluate(changed[0])
            if proposition in (0, worlds.full):
                continue
            if proposition & 1:
                true = _better(true, (changed[0], proposition, not said & ~proposition))
            else:
                false = _better(false, (changed[0], proposition, not said & proposition))
            if true and false and (not cohesive or (true[2] and false[2])):
                break
        if true is not None and false is not None:
            told.append(true[0])
            foils.append(false[0])
            said = true[1]
    return [realise(s) for s in told], [realise(s) for s in foils]


_Candidate = tuple[t.Sentence, int, bool]


def _better(old: _Candidate | None, new: _Candidate) -> _Candidate:
    return new if old is None or (new[2] and not old[2]) else old


def _criticism(rng: Random) -> tuple[list[str], list[str]]:
    """Opinions about things of fixed quality: (true ones, foils)."""
    pool = valence.things(None)
    about = tuple(dict.fromkeys(pick(rng, pool) for _ in range(pick(rng, (1, 1, 1, 2)))))
    qualities = {thing: pick(rng, _QUALITIES) for thing in about}
    told: list[str] = []
    foils: list[str] = []
    while min(len(told), len(foils)) < SENTENCES:
        review = valence.verdict(rng, about) if rng.random() < 0.4 else valence.review(rng, None, True, about, 0.2)
        if not isinstance(review, valence.Two) and not getattr(review, "framed", False) and rng.random() < 0.8:
            review = valence.attribute(rng, valence.attribute(rng, review))
        kept = told if valence.true_of(review, qualities) else foils
        text = valence.realise(review)
        if len(kept) < SENTENCES and text not in kept:
            kept.append(text)
    return told, foils


def rows(rng: Random, size: int) -> list[dict]:
    """`size` documents: `text`, the true sentences, one per line, and `foils`, as many that are false in that world."""
    found = []
    for _ in range(size):
        told, foils = _criticism(rng) if rng.random() < _REVIEWS else _story(rng)
        found.append({"text": "\n".join(told), "foils": "\n".join(foils)})
    return found
