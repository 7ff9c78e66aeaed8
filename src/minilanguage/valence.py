"""Sentiment in the mini language: opinions as sets of possible qualities, their valence computed, not looked up.

A thing has a quality from -2 (worst) to 2 (best). An opinion word allows some qualities (`good` 1 and 2, `awful` -2),
`very` keeps the extreme one, `somewhat` the milder one, negation takes the complement. The valence of a clause is the
mean of the qualities it allows; so `not good` (-2, -1, 0) is negative and `not awful` (-1 to 2) mildly positive.
`and` adds the valences of two clauses; `X but Y` and `although X Y` count Y, their main point, twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from minilanguage.lexicon import BOTH, CORE, HELD, NAMES, participle, third_person
from minilanguage.realisation import join_words
from minilanguage.sampling import pick

QUALITIES = (-2, -1, 0, 1, 2)
_GOOD, _SUPERB, _BAD, _AWFUL = (1, 2), (2,), (-1, -2), (-2,)

ADJECTIVES: dict[str, dict[str, tuple[int, ...]]] = {
    CORE: {
        **dict.fromkeys(("good", "nice", "pleasant", "lovely", "charming", "decent"), _GOOD),
        **dict.fromkeys(("excellent", "superb", "perfect", "brilliant"), _SUPERB),
        **dict.fromkeys(("bad", "dull", "boring", "weak", "ugly", "bland"), _BAD),
        **dict.fromkeys(("awful", "terrible", "horrible", "dreadful"), _AWFUL),
    },
    HELD: {
        **dict.fromkeys(("fine", "delightful", "elegant", "clever", "funny", "fresh"), _GOOD),
        **dict.fromkeys(("wonderful", "fantastic", "marvellous", "magnificent"), _SUPERB),
        **dict.fromkeys(("nasty", "tedious", "clumsy", "shallow", "stale", "silly"), _BAD),
        **dict.fromkeys(("disgusting", "appalling", "atrocious", "dire"), _AWFUL),
    },
}
VERBS: dict[str, dict[str, tuple[int, ...]]] = {
    CORE: {"enjoy": _GOOD, "praise": _GOOD, "adore": _SUPERB, "dislike": _BAD, "criticize": _BAD, "detest": _AWFUL},
    HELD: {"recommend": _GOOD, "value": _GOOD, "cherish": _SUPERB, "avoid": _BAD, "regret": _BAD, "loathe": _AWFUL},
}
VERDICTS = {"success": _GOOD, "failure": _BAD}
THINGS = {
    CORE: ("film", "soup", "song", "hotel", "plot", "music"),
    HELD: ("novel", "cake", "concert", "museum", "story", "dinner"),
}


@dataclass(frozen=True)
class Quality:
    """`the film is [not] [very] good`, or framed as `it is [not] a [very] good film`."""

    thing: str
    adjective: str
    degree: str = ""
    negated: bool = False
    framed: bool = False
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attitude:
    """`anna does not enjoy the film`, `nobody enjoys the film`, or `the film is enjoyed by everybody`."""

    holder: str
    verb: str
    thing: str
    negated: bool = False
    passive: bool = False
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """`the film is [not] a success`: a summary of opinions, which occurs in pretraining text only."""

    thing: str
    word: str
    negated: bool = False
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Two:
    """Two clauses about two things, joined by `and`, `but` or `although` (which comes first)."""

    left: "Opinion"
    word: str
    right: "Opinion"


Opinion = Quality | Attitude | Verdict
Review = Opinion | Two


def _allowed_by(table: dict[str, dict[str, tuple[int, ...]]], word: str) -> tuple[int, ...]:
    return next(half[word] for half in table.values() if word in half)


def allowed(opinion: Opinion) -> frozenset[int]:
    """The qualities that the thing may have if the clause is true."""
    if isinstance(opinion, Verdict):
        kept, turned = set(VERDICTS[opinion.word]), opinion.negated
    elif isinstance(opinion, Attitude):
        # Tastes agree in this world: everyone enjoys a thing for its quality.
        kept = set(_allowed_by(VERBS, opinion.verb))
        turned = opinion.negated != (opinion.holder == "nobody")
    else:
        kept = set(_allowed_by(ADJECTIVES, opinion.adjective))
        if opinion.degree:
            kept = {(max if opinion.degree == "very" else min)(kept, key=abs)}
        turned = opinion.negated
    said = frozenset(q for q in QUALITIES if (q in kept) != turned)
    # Attributes are not negated: `the dull film is not good` also says that it is dull.
    return said.intersection(*(_allowed_by(ADJECTIVES, word) for word in opinion.attributes))


def valence(review: Review) -> float:
    """The sentiment: positive above 0, negative below 0, neutral at 0."""
    if isinstance(review, Two):
        weight = 1 if review.word == "and" else 2
        return valence(review.left) + weight * valence(review.right)
    kept = allowed(review)
    return sum(kept) / len(kept)


def true_of(review: Review, qualities: dict[str, int]) -> bool:
    """Whether the review is true if things have these qualities."""
    if isinstance(review, Two):
        return true_of(review.left, qualities) and true_of(review.right, qualities)
    return qualities[review.thing] in allowed(review)


def realise(review: Review) -> str:
    """The words of a review, as `realisation.realise` gives them."""
    return join_words(_tokens(review))


def _tokens(review: Review) -> list[str]:
    match review:
        case Two(left, "although", right):
            return ["although", *_tokens(left), *_tokens(right)]
        case Two(left, word, right):
            return [*_tokens(left), word, *_tokens(right)]
        case Quality(thing, adjective, degree, negated, True):
            return ["it", "is", *["not"] * negated, "a", *[degree] * bool(degree), adjective, thing]
        case Quality(_, adjective, degree, negated):
            return [*_thing(review), "is", *["not"] * negated, *[degree] * bool(degree), adjective]
        case Verdict(_, word, negated):
            return [*_thing(review), "is", *["not"] * negated, "a", word]
        case Attitude(holder, verb, _, negated, True):
            return [*_thing(review), "is", *["not"] * negated, participle(verb), "by", holder]
        case Attitude(holder, verb, _, negated):
            return [holder, *(["does", "not", verb] if negated else [third_person(verb)]), *_thing(review)]


def _thing(opinion: Opinion) -> list[str]:
    return ["the", *opinion.attributes, opinion.thing]


def _halves(half: str | None) -> tuple[str, ...]:
    return (CORE, HELD) if half in (None, BOTH) else (half,)


def _opinion(rng: Random, half: str | None, thing: str, shifted: bool, negation: float) -> Opinion:
    halves = _halves(half)
    negated = rng.random() < negation
    if rng.random() < 0.6:
        table = ADJECTIVES[pick(rng, halves)]
        adjective = pick(rng, list(table))
        degree = pick(rng, ("", "", "very", "somewhat")) if len(table[adjective]) == 2 else ""
        return Quality(thing, adjective, degree, negated and degree != "somewhat", shifted and rng.random() < 0.5)
    universal = "nobody" if rng.random() < negation else "everybody"
    holder = pick(rng, (universal, pick(rng, NAMES[CORE] if half == CORE else NAMES[pick(rng, halves)])))
    verb = pick(rng, list(VERBS[pick(rng, halves)]))
    negated = negated and holder not in ("nobody", "everybody")
    return Attitude(holder, verb, thing, negated, shifted and holder != "nobody" and rng.random() < 0.6)


def verdict(rng: Random, about: tuple[str, ...]) -> Verdict:
    """One random verdict."""
    return Verdict(pick(rng, about), pick(rng, list(VERDICTS)), rng.random() < 0.1)


def attribute(rng: Random, opinion: Opinion) -> Opinion:
    """The opinion with one more adjective before its thing, consistent with it: `the dull film is a failure`."""
    known = {word: kept for table in ADJECTIVES.values() for word, kept in table.items()}
    may_be = allowed(opinion)
    fitting = [w for w, kept in known.items() if not may_be.isdisjoint(kept) and w not in opinion.attributes]
    return replace(opinion, attributes=(*opinion.attributes, pick(rng, fitting))) if fitting else opinion


def things(half: str | None) -> tuple[str, ...]:
    """The things that reviews of a half (None: of both) are about."""
    return tuple(thing for h in _halves(half) for thing in THINGS[h])


def review(rng: Random, half: str | None, shifted: bool, about: tuple[str, ...] = (), negation: float = 0.45) -> Review:
    """One random review of one or two things; `shifted` allows `although`, passives and `it is a ...`.

    `negation` is the share of negated clauses: lower in pretraining text, which must show what words mean first.
    """
    pool = list(about or things(half))
    first = pool.pop(int(rng.random() * len(pool)))
    left = _opinion(rng, half, first, shifted, negation)
    if not pool or rng.random() < 0.4:
        return left
    word = pick(rng, ("and", "but", "but", "although") if shifted else ("and", "but", "but"))
    return Two(left, word, _opinion(rng, half, pick(rng, pool), shifted, negation))


def is_shifted(review: Review) -> bool:
    """Whether the review has a construction held out of fine-tuning data."""
    return any(
        (isinstance(part, Two) and part.word == "although")
        or (isinstance(part, Attitude) and part.passive)
        or (isinstance(part, Quality) and part.framed)
        for part in _parts(review)
    )


def _parts(review: Review) -> Iterator[Review]:
    yield review
    if isinstance(review, Two):
        yield from (review.left, review.right)
