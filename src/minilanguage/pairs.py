"""Sentence-pair tasks of the mini language: entailment in two and three classes, paraphrase, graded similarity."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from minilanguage import syntax as t
from minilanguage.edits import EDITS, edit
from minilanguage.entailment import Judgement, UndecidedError, judge
from minilanguage.quotas import collect, quotas
from minilanguage.realisation import realise
from minilanguage.sampling import BASIC, SHIFTED, Sampler, constructions_of, pick, reflexive, sample_topic

MAX_TOKENS = 20
"""Maximum length of a pair, in words of both sentences together."""


@dataclass(frozen=True)
class Pair:
    """Two sentences as text, their constructions, the edits that made the pair, and the semantics' judgement."""

    first: str
    second: str
    construction: str
    origin: str
    judgement: Judgement

    @property
    def overlap(self) -> float:
        """Share of the second sentence's words that occur in the first."""
        return overlap(self.first, self.second)


def overlap(first: str, second: str) -> float:
    """Share of the second string's words that occur in the first, counted with repetition."""
    have, want = Counter(first.split()), Counter(second.split())
    return sum((have & want).values()) / sum(want.values())


def stream(
    rng: Random,
    half: str | None,
    shifted: bool,
    favoured: tuple[str, ...] = (),
    wanted: Callable[[str, str], bool] = lambda first, second: True,
) -> Iterator[Pair]:
    """Endless random pairs; `shifted` pairs have at least one of the constructions held out of training.

    `favoured` edits make about half of the pairs, so that rare labels occur. Texts that are not `wanted` are skipped
    before they are judged, which is the costly part.
    """
    while True:
        sampler = Sampler(rng, sample_topic(rng, half), BASIC | SHIFTED if shifted else BASIC)
        sentence = sampler.sentence()
        for _ in range(3):
            if rng.random() < 0.05:
                second, origin = sampler.sentence(), "independent"
            elif favoured and rng.random() < 0.6:
                origin = pick(rng, favoured)
                second = EDITS[origin](sentence, sampler)
                if second is not None and rng.random() < 0.5:
                    # Half of these pairs get a second edit, so that traces of the first do not give the label away.
                    more = edit(second, sampler)
                    second, origin = (more[0], f"{origin}+{more[1]}") if more else (None, "")
            else:
                second, origin = edit(sentence, sampler, 1 + int(rng.random() * 2)) or (None, "")
            if second is None:
                continue
            # Most edits weaken a sentence about as often as they strengthen it, but removals mostly weaken it.
            turned = rng.random() < (0.2 if origin.split("+")[0] in favoured else 0.5)
            pair = make_pair(*((second, sentence) if turned else (sentence, second)), origin, shifted, wanted)
            if pair is not None:
                yield pair


def make_pair(
    first: t.Sentence,
    second: t.Sentence,
    origin: str,
    shifted: bool | None = None,
    wanted: Callable[[str, str], bool] = lambda first, second: True,
) -> Pair | None:
    """The judged pair, or None if it is undecided, trivial, reflexive, too long, twice the same text or not wanted.

    `shifted`: the pair must have held-out constructions (True), must not (False), or may (None).
    """
    if first == second or reflexive(first) or reflexive(second):
        return None
    construction = "+".join(sorted(constructions_of(first) | constructions_of(second))) or "basic"
    if shifted is not None and (construction != "basic") != shifted:
        return None
    texts = realise(first), realise(second)
    if texts[0] == texts[1] or sum(len(text.split()) for text in texts) > MAX_TOKENS or not wanted(*texts):
        return None
    try:
        judgement = judge(first, second)
    except UndecidedError:
        return None
    return Pair(*texts, construction, origin, judgement) if judgement.contingent else None


@dataclass(frozen=True)
class Design:
    """One task: a pair's label, stratum and columns, and the share of rows for each stratum."""

    label: Callable[[Pair], int | float]
    stratum: Callable[[Pair], str]
    shares: dict[str, float]
    """Stratum -> share of the rows; pairs of other strata are skipped."""
    favoured: tuple[str, ...] = ()
    """Edits that produce the rare strata."""
    columns: tuple[str, str] = ("sentence1", "sentence2")


def _biased(name: Callable[[Pair], str]) -> Callable[[Pair], str]:
    """Strata split by whether every word of the hypothesis is in the premise."""
    return lambda pair: f"{name(pair)}/{'full' if pair.overlap == 1 else 'part'}"


def _entailed(pair: Pair) -> str:
    """Whether entailed and, if not, whether the hypothesis is the shorter text: length alone then predicts little."""
    if pair.judgement.entails:
        return "yes"
    return "no/shorter" if len(pair.second.split()) < len(pair.first.split()) else "no"


def _equivalent(pair: Pair) -> bool:
    return pair.judgement.entails and pair.judgement.entailed


def similarity(judgement: Judgement) -> float:
    """Graded similarity from 0 to 5: the mean of agreement and shared topic, times 5.

    Agreement is the Jaccard index of the two sets of verifying worlds (1 for paraphrases, 0 for contraries); shared
    topic is the Dice coefficient of the entities and predicates that the two sentences' truth depends on.
    """
    either = judgement.first + judgement.second - judgement.both
    return round(2.5 * (judgement.both / either + judgement.shared), 3)


_WEAKENING = ("drop-modifier", "split", "broader")

DESIGNS = {
    "rte": Design(
        lambda pair: int(not pair.judgement.entails),
        _biased(_entailed),
        {"yes/full": 0.33, "yes/part": 0.17, "no/full": 0.04, "no/shorter/full": 0.08}
        | {"no/part": 0.17, "no/shorter/part": 0.21},
        _WEAKENING,
    ),
    "mnli": Design(
        lambda pair: ("entailment", "neutral", "contradiction").index(pair.judgement.label),
        _biased(lambda pair: pair.judgement.label),
        {"entailment/full": 0.23, "entailment/part": 0.11, "neutral/full": 0.08, "neutral/part": 0.25}
        | {"contradiction/full": 0.03, "contradiction/part": 0.3},
        (*_WEAKENING, "negate", "contrary", "change-determiner"),
        ("premise", "hypothesis"),
    ),
    "mrpc": Design(
        lambda pair: int(_equivalent(pair)),
        lambda pair: "yes" if _equivalent(pair) else "no",
        {"yes": 0.6, "no": 0.4},
        ("synonym", "broader", "narrower", "contrary", "change-voice", "swap-roles", "exchange", "reframe"),
    ),
    "stsb": Design(
        lambda pair: similarity(pair.judgement),
        lambda pair: str(min(4, int(similarity(pair.judgement)))),
        {"0": 0.14, "1": 0.2, "2": 0.22, "3": 0.22, "4": 0.22},
        ("contrary", "synonym", "exchange", "reframe"),
    ),
}


def rows(config: str, rng: Random, size: int, half: str | None, shifted: bool, taken: set) -> list[dict]:
    """`size` rows of a task by its quotas; text pairs in `taken` are skipped, and new ones are added to it."""
    design = DESIGNS[config]
    left = quotas(design.shares, size)

    def wanted(first: str, second: str) -> bool:
        end = "full" if overlap(first, second) == 1 else "part"
        return any(count for stratum, count in left.items() if "/" not in stratum or stratum.endswith(end))

    candidates = (
        (design.stratum(pair), row_of(pair, design.columns, design.label(pair), pair.origin))
        for pair in stream(rng, half, shifted, design.favoured, wanted)
    )
    return collect(rng, candidates, left, design.columns, taken)


def row_of(pair: Pair, columns: tuple[str, str], label: float, heuristic: str) -> dict:
    """A row with the pair's texts in `columns`."""
    texts = dict(zip(columns, (pair.first, pair.second), strict=True))
    return {**texts, "label": label, "construction": pair.construction, "heuristic": heuristic}
