"""Single-sentence tasks of the mini language: acceptability and sentiment."""

from collections.abc import Iterator
from random import Random

from minilanguage import lexicon, valence
from minilanguage.grammar import acceptable
from minilanguage.quotas import collect, quotas
from minilanguage.realisation import realise
from minilanguage.sampling import BASIC, SHIFTED, Sampler, constructions_of, pick, reflexive, sample_topic

_AGREEMENT = {"is": "are", "are": "is", "does": "do", "do": "does", "a": "an", "an": "a"}


def _inflections() -> dict[str, tuple[str, ...]]:
    """Word form -> the other forms of the same word."""
    groups = [(noun, lexicon.plural(noun)) for noun in lexicon.words("noun")]
    groups += [(verb, lexicon.third_person(verb)) for verb in lexicon.words("intransitive")]
    groups += [(v, lexicon.third_person(v), lexicon.participle(v)) for v in lexicon.words("transitive")]
    return {form: tuple(other for other in group if other != form) for group in groups for form in group}


INFLECTIONS = _inflections()


def _agree(tokens: list[str], rng: Random) -> list[str] | None:
    places = [i for i, token in enumerate(tokens) if token in _AGREEMENT or token in INFLECTIONS]
    if not places:
        return None
    i = pick(rng, places)
    return [*tokens[:i], _AGREEMENT.get(tokens[i]) or pick(rng, INFLECTIONS[tokens[i]]), *tokens[i + 1 :]]


def _order(tokens: list[str], rng: Random) -> list[str] | None:
    i = int(rng.random() * (len(tokens) - 1))
    return [*tokens[:i], tokens[i + 1], tokens[i], *tokens[i + 2 :]]


def _omit(tokens: list[str], rng: Random) -> list[str] | None:
    i = int(rng.random() * len(tokens))
    return tokens[:i] + tokens[i + 1 :]


def _insert(tokens: list[str], rng: Random) -> list[str] | None:
    i, word = int(rng.random() * (len(tokens) + 1)), pick(rng, tokens)
    return [*tokens[:i], word, *tokens[i:]]


def _exchange(tokens: list[str], rng: Random) -> list[str] | None:
    i, j = int(rng.random() * len(tokens)), int(rng.random() * len(tokens))
    changed = list(tokens)
    changed[i], changed[j] = changed[j], changed[i]
    return changed


CHANGES = {"agreement": _agree, "order": _order, "omission": _omit, "insertion": _insert, "exchange": _exchange}


def _cola(rng: Random, half: str, shifted: bool) -> Iterator[tuple[str, str, str, str]]:
    """Yield (stratum, text, construction, change); the recogniser decides the label, not the change."""
    while True:
        sentence = Sampler(rng, sample_topic(rng, half), BASIC | SHIFTED if shifted else BASIC).sentence()
        construction = "+".join(sorted(constructions_of(sentence))) or "basic"
        if reflexive(sentence) or (construction != "basic") != shifted:
            continue
        tokens, change = realise(sentence).split(), "none"
        if len(tokens) < 3 or len(tokens) > 14:
            continue
        if rng.random() < 0.6:
            change = pick(rng, ("agreement", "agreement", "order", "omission", "insertion", "exchange"))
            tokens = CHANGES[change](tokens, rng)
            if tokens is None:
                continue
        text = " ".join(tokens)
        yield str(int(acceptable(text))), text, construction, change


def _sst2(rng: Random, half: str, shifted: bool) -> Iterator[tuple[str, str, str, str]]:
    """Yield (stratum, text, construction, how it is composed)."""
    while True:
        review = valence.review(rng, half, shifted)
        value = valence.valence(review)
        if value == 0 or valence.is_shifted(review) != shifted:
            continue
        parts = (review.left, review.right) if isinstance(review, valence.Two) else (review,)
        turned = any(p.negated or getattr(p, "holder", "") == "nobody" for p in parts)
        composed = [review.word] if isinstance(review, valence.Two) else []
        composed += ["negation"] if turned else []
        construction = "shifted" if shifted else "basic"
        yield str(int(value > 0)), valence.realise(review), construction, "+".join(composed) or "plain"


STREAMS = {"cola": _cola, "sst2": _sst2}
SHARES = {"cola": {"0": 0.4, "1": 0.6}, "sst2": {"0": 0.48, "1": 0.52}}


def rows(config: str, rng: Random, size: int, half: str, shifted: bool, taken: set) -> list[dict]:
    """`size` rows by the shares of the labels; texts in `taken` are skipped, and new ones are added to it."""
    candidates = (
        (label, {"sentence": text, "label": int(label), "construction": construction, "heuristic": heuristic})
        for label, text, construction, heuristic in STREAMS[config](rng, half, shifted)
    )
    return collect(rng, candidates, quotas(SHARES[config], size), ("sentence",), taken)
