"""Entailment between two sentences, decided over all finite worlds that matter.

Why n entities suffice: every quantifier is restricted by a noun, and a pair is decided only if neither sentence, nor
its negation, has an existential below a universal in prenex form. Then a world that verifies P and not H still does so
when cut down to the named entities, one witness for each existential and one inhabitant for each noun, because
universals survive in sub-worlds. A smaller world can be padded to n with entities of no kind, which no quantifier
sees. So truth in all worlds of exactly n entities is truth in all worlds of any size.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations

from minilanguage import lexicon
from minilanguage import syntax as t
from minilanguage.semantics import Atom, Model, constants_of, definites, evaluate, some_of

MAX_ATOMS = 18
"""Pairs that touch more ground atoms than this (2**18 worlds) are refused."""


class UndecidedError(ValueError):
    """The pair is outside the decided fragment, or too large."""


def witnesses(node: t.Node, sign: bool, scope: t.VP | None = None, universal: bool = False) -> int:
    """Number of existential witnesses that the node needs to be true (`sign`) or false.

    Raises UndecidedError if an existential is below a universal: the worlds considered do not decide that case.
    """
    match node:
        case t.Clause(np, vp) | t.Cleft(np, vp):
            return witnesses(np, sign, vp, universal)
        case t.There(np):
            return witnesses(np, sign, None, universal)
        case t.Not(inner):
            return witnesses(inner, not sign, None, universal)
        case t.Quant(det, _, mods):
            quantifier = lexicon.DETERMINERS[det]
            exists = (quantifier in ("some", "two")) == sign
            if exists and universal:
                raise UndecidedError("an existential below a universal")
            below = universal or not exists
            restrictor = exists
            body = sign if quantifier != "no" else not sign
            inner = sum(witnesses(mod, restrictor, None, below) for mod in mods)
            inner += witnesses(scope, body, None, below) if scope is not None else 0
            copies = 2 if quantifier == "two" else 1
            return copies * (1 + inner) if exists else inner
        case t.Name() | t.The():
            return witnesses(scope, sign, None, universal) if scope is not None else 0
        case _:
            below = sum(witnesses(child, sign, None, universal) for child in node.children)
            return below + (witnesses(scope, sign, None, universal) if scope is not None else 0)


def _demand(s: t.Sentence, sign: bool) -> int:
    """Number of witnesses of a whole sentence; modifiers of definites are outside its negations."""
    return witnesses(s, sign) + sum(witnesses(mod, sign) for definite in definites(s) for mod in definite.mods)


def _quantified_nouns(sentences: Iterable[t.Sentence]) -> list[str]:
    found = {lexicon.predicate_of(n.noun): None for s in sentences for n in s.nodes if isinstance(n, t.Quant)}
    return list(found)


@lru_cache(maxsize=256)
def _column(variable: int, variables: int) -> int:
    """The truth-table column of one of `variables` atoms: bit w is bit `variable` of the number w."""
    pattern, width = ((1 << (1 << variable)) - 1) << (1 << variable), 2 << variable
    while width < 1 << variables:
        pattern |= pattern << width
        width *= 2
    return pattern


@dataclass(frozen=True)
class Judgement:
    """A pair of sentences over all their worlds: the number of worlds, and of those that make each or both true."""

    worlds: int
    first: int
    second: int
    both: int
    shared: float
    """Dice coefficient of the entities and predicates that the truth of each sentence depends on."""

    @property
    def entails(self) -> bool:
        """Every world that verifies the first verifies the second."""
        return self.both == self.first

    @property
    def entailed(self) -> bool:
        """Every world that verifies the second verifies the first."""
        return self.both == self.second

    @property
    def label(self) -> str:
        """The relation of the second sentence to the first: entailment, contradiction or neutral."""
        if self.entails:
            return "entailment"
        return "contradiction" if self.both == 0 else "neutral"

    @property
    def contingent(self) -> bool:
        """Each sentence is true in some worlds and false in others; otherwise the label would be trivial."""
        return 0 < self.first < self.worlds and 0 < self.second < self.worlds


def judge(first: t.Sentence, second: t.Sentence) -> Judgement:
    """Judge two sentences in every world that matters. Raises UndecidedError outside the decided fragment."""
    pair = (first, second)
    nouns = _quantified_nouns(pair)
    constants = constants_of(pair)
    # Both directions and the joint truth are decided, so the largest demand of the three counts.
    true, false = ([_demand(s, sign) for s in pair] for sign in (True, False))
    size = len(constants) + max(true[0] + false[1], false[0] + true[1], true[0] + true[1]) + len(nouns)
    touched: list[dict[Atom, None]] = [{}, {}]
    for seen, sentence in zip(touched, pair, strict=True):
        evaluate(sentence, Model(constants, size, 0, lambda atom, seen=seen: seen.setdefault(atom) or 0))
    atoms = list(touched[0] | touched[1])
    if len(atoms) > MAX_ATOMS:
        raise UndecidedError(f"{len(atoms)} ground atoms")
    full = (1 << (1 << len(atoms))) - 1
    columns = {atom: _column(i, len(atoms)) for i, atom in enumerate(atoms)}
    model = Model(constants, size, full, columns.__getitem__)
    admissible = _postulates(columns, full)
    for noun in nouns:
        admissible &= some_of(model.has(noun, x) for x in range(size))
    a, b = (evaluate(s, model) & admissible for s in pair)
    return Judgement(admissible.bit_count(), a.bit_count(), b.bit_count(), (a & b).bit_count(), _shared(*touched))


def _postulates(columns: dict[Atom, int], full: int) -> int:
    """The worlds in which every nesting and exclusion between the atoms in use holds."""
    admissible = full
    by_place: dict[tuple[int, int], list[Atom]] = {}
    for atom in columns:
        by_place.setdefault(atom[1:], []).append(atom)
    for atoms in by_place.values():
        for a, b in combinations(atoms, 2):
            match lexicon.relation(a[0], b[0]):
                case "inside":
                    admissible &= ~columns[a] | columns[b]
                case "around":
                    admissible &= columns[a] | ~columns[b]
                case "disjoint":
                    admissible &= ~(columns[a] & columns[b])
    return admissible


@cache
def _topics(atom: Atom) -> tuple[str, ...]:
    predicate, x, y = atom
    return (predicate, f"#{x}", f"#{y}") if y >= 0 else (predicate, f"#{x}")


def _shared(first: dict[Atom, None], second: dict[Atom, None]) -> float:
    a, b = ({topic for atom in atoms for topic in _topics(atom)} for atoms in (first, second))
    return 2 * len(a & b) / max(1, len(a) + len(b))
