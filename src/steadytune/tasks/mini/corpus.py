"""Pretraining text: documents whose sentences are all true of one random world."""

from random import Random

from steadytune.tasks.mini import lexicon, valence
from steadytune.tasks.mini import syntax as t
from steadytune.tasks.mini.edits import edit
from steadytune.tasks.mini.sampling import BASIC, SHIFTED, Sampler, Topic, pick, reflexive, sample_topic
from steadytune.tasks.mini.semantics import Atom, Model, evaluate, referent

SENTENCES = 6
MAX_TOKENS = 13
_ANONYMOUS = 3


class World:
    """A finite world about a topic: constants and a few anonymous entities, each with a state per dimension."""

    def __init__(self, rng: Random, topic: Topic) -> None:
        """Draw every fact; the meaning postulates hold by construction."""
        self.constants = {referent(np): i for i, np in enumerate(topic.constants)}
        self.size = len(self.constants) + _ANONYMOUS
        self.facts: set[Atom] = set()
        named = {i: np.noun for i, np in enumerate(topic.constants) if isinstance(np, t.The)}
        properties = topic.adjectives + topic.intransitives + topic.places
        states = _states(properties)
        kinds = sorted({lexicon.predicate_of(noun) for noun in topic.nouns})
        for entity in range(self.size):
            self._add(lexicon.predicate_of(named.get(entity) or pick(rng, kinds)), entity, -1)
            for options in states:
                if rng.random() < 0.75:
                    self._add(pick(rng, options), entity, -1)
        verbs = [*_states(topic.transitives), ("near",)]
        for subject in range(self.size):
            for obj in range(self.size):
                for options in verbs:
                    if subject != obj and rng.random() < 0.6:
                        self._add(pick(rng, options), subject, obj)

    def _add(self, predicate: str, subject: int, obj: int) -> None:
        if predicate in lexicon.SYMMETRIC and subject > obj:
            return
        self.facts.update((above, subject, obj) for above in lexicon.ancestors(predicate))

    def verifies(self, sentence: t.Sentence) -> bool:
        """Whether the sentence is true here."""
        model = Model(self.constants, self.size, 1, lambda atom: int(atom in self.facts))
        return bool(evaluate(sentence, model))


def _states(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The predicates of some words, by dimension."""
    groups: dict[str, dict[str, None]] = {}
    for name in map(lexicon.predicate_of, words):
        groups.setdefault(lexicon.PREDICATES[name].dimension, {})[name] = None
    return [tuple(names) for names in groups.values()]


def _sound(sentence: t.Sentence) -> bool:
    return not reflexive(sentence) and len(t.realise(sentence).split()) <= MAX_TOKENS


def _story(rng: Random) -> tuple[list[str], list[str]]:
    """Sentences of the language of facts: (true ones, false ones); each changes the true one before it."""
    topic = sample_topic(rng, None)
    world = World(rng, topic)
    sampler = Sampler(rng, topic, BASIC | SHIFTED)
    told: list[t.Sentence] = []
    foils: list[t.Sentence] = []
    while len(told) < SENTENCES:
        true, false = None, None
        for _ in range(40):
            fresh = not told or rng.random() < 0.15
            changed = (sampler.sentence(), "") if fresh else edit(told[-1], sampler, 1 + int(rng.random() * 2))
            if changed is None or not _sound(changed[0]) or changed[0] in told:
                continue
            if world.verifies(changed[0]):
                true = true or changed[0]
            else:
                false = false or changed[0]
            if true and false:
                break
        if true is None or false is None:
            return _story(rng)
        told.append(true)
        foils.append(false)
    return [t.realise(s) for s in told], [t.realise(s) for s in foils]


def _criticism(rng: Random) -> tuple[list[str], list[str]]:
    """Sentences of the language of opinions about things of fixed quality."""
    pool = valence.things(None)
    about = tuple(dict.fromkeys(pick(rng, pool) for _ in range(2)))
    qualities = {thing: pick(rng, valence.QUALITIES) for thing in about}
    told: list[str] = []
    foils: list[str] = []
    while min(len(told), len(foils)) < SENTENCES:
        review = valence.review(rng, None, True, about)
        kept = told if valence.true_of(review, qualities) else foils
        text = valence.realise(review)
        if len(kept) < SENTENCES and text not in kept:
            kept.append(text)
    return told, foils


def rows(rng: Random, size: int) -> list[dict]:
    """`size` documents: `text`, the true sentences one a line, and `foils`, as many false of the same world."""
    found = []
    for _ in range(size):
        told, foils = _criticism(rng) if rng.random() < 0.25 else _story(rng)
        found.append({"text": "\n".join(told), "foils": "\n".join(foils)})
    return found
