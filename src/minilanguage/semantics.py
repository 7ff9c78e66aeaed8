"""Truth in finite worlds, and entailment decided over all of them.

A *world* has n entities; the first ones bear the names and definite descriptions in use (distinct expressions, distinct
entities), the others are anonymous. A proposition is an int whose bit w says whether it holds in world w, so that one
evaluation of a tree yields its truth value in every world at once: `and` is `&`, `some` is a big `|`. A single concrete
world is the same thing with one bit.

Why n entities suffice. Every quantifier is restricted by a noun, and a pair is only decided where the sentence (or its
negation) in prenex form never has an existential below a universal. Then any world verifying P and not H keeps doing so
when cut down to the named entities, one witness for each existential and one inhabitant for each noun: universals
survive in sub-worlds. And a smaller world can be filled up to n with entities of no kind, which no quantifier sees.
So truth in all worlds of exactly that n is truth in all worlds of any size.

Choices that the literature leaves open: every bare noun in use is inhabited (so `every dog sleeps` entails `some dog
sleeps`), a modified noun need not be; `two` is `at least two`; a definite is a discourse referent whose noun is
presupposed and whose modifiers are asserted, and they project out of negation.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations

from minilanguage import lexicon
from minilanguage import syntax as t

Atom = tuple[str, int, int]
"""(predicate, entity, entity); a property has -1 in the last place."""
Scope = Callable[[int], int]

MAX_ATOMS = 18
"""Pairs that touch more ground atoms than this (2**18 worlds) are not decided but refused."""


class UndecidedError(ValueError):
    """The pair lies outside the fragment that the finite class of worlds is complete for, or is too large."""


class Model:
    """One world or many: who is who, and the proposition of each atom."""

    def __init__(self, constants: dict[str, int], size: int, full: int, lookup: Callable[[Atom], int]) -> None:
        """`full` is the proposition true everywhere; `lookup` gives each atom's proposition."""
        self.constants, self.size, self.full, self._lookup = constants, size, full, lookup
        self._definites = {i: name[4:] for name, i in constants.items() if name.startswith("the ")}

    def has(self, predicate: str, entity: int) -> int:
        """The proposition that the entity has the property; a definite's kind is part of every world."""
        if entity in self._definites and lexicon.PREDICATES[predicate].category == "noun":
            stands = lexicon.relation(self._definites[entity], predicate)
            if stands != "around":
                return self.full if stands == "inside" else 0
        return self._lookup((predicate, entity, -1))

    def relates(self, verb: str, subject: int, obj: int) -> int:
        """The proposition that `subject verb obj`, converses and symmetric verbs brought to one form."""
        if verb in lexicon.CONVERSES:
            subject, obj = obj, subject
        predicate = lexicon.predicate_of(verb)
        if predicate in lexicon.SYMMETRIC and subject > obj:
            subject, obj = obj, subject
        return self._lookup((predicate, subject, obj))


def evaluate(s: t.Sentence, m: Model) -> int:
    """The proposition that a sentence expresses: bit w is its truth value in world w."""
    holds = _sentence(s, m)
    for definite in _definites(s):
        # Outside of every negation and disjunction: what is said of a definite in passing projects.
        holds &= _mods(definite.mods, m.constants[referent(definite)], m)
    return holds


def _sentence(s: t.Sentence, m: Model) -> int:
    match s:
        case t.Clause(np, vp) | t.Cleft(np, vp):
            return _np(np, lambda x: _vp(vp, x, m), m)
        case t.There(np):
            return _np(np, lambda x: m.full, m)
        case t.Join(left, word, right):
            a, b = _sentence(left, m), _sentence(right, m)
            return a | b if word == "or" else a & b


def _definites(s: t.Sentence) -> list[t.The]:
    return [node for node in t.nodes(s) if isinstance(node, t.The) and node.mods]


def _np(np: t.NP, scope: Scope, m: Model) -> int:
    if isinstance(np, t.Name):
        return scope(m.constants[np.name])
    if isinstance(np, t.The):
        return scope(m.constants[referent(np)])
    noun = lexicon.predicate_of(np.noun)
    restricted = [m.has(noun, x) & _mods(np.mods, x, m) for x in range(m.size)]
    quantifier = lexicon.DETERMINERS[np.det]
    if quantifier == "every":
        return m.full & ~_any(r & ~scope(x) for x, r in enumerate(restricted))
    satisfied = [r & scope(x) for x, r in enumerate(restricted)]
    if quantifier == "two":
        return _any(a & b for a, b in combinations(satisfied, 2))
    return _any(satisfied) if quantifier == "some" else m.full & ~_any(satisfied)


def _any(propositions: Iterable[int]) -> int:
    union = 0
    for proposition in propositions:
        union |= proposition
    return union


def _mods(mods: tuple[t.Mod, ...], x: int, m: Model) -> int:
    holds = m.full
    for mod in mods:
        match mod:
            case t.Adj(word):
                holds &= m.has(lexicon.predicate_of(word), x)
            case t.In(place):
                holds &= m.has(lexicon.predicate_of(place), x)
            case t.Near(np):
                holds &= _vp(t.IsNear(np), x, m)
            case t.Rel(vp):
                holds &= _vp(vp, x, m)
            case t.RelObject(np, verb):
                holds &= _vp(t.Passive(verb, np), x, m)
    return holds


def _vp(vp: t.VP, x: int, m: Model) -> int:
    match vp:
        case t.Iv(word) | t.IsAdj(word) | t.IsNoun(word) | t.IsIn(word):
            return m.has(lexicon.predicate_of(word), x)
        case t.IvIn(verb, place):
            return m.has(lexicon.predicate_of(verb), x) & m.has(lexicon.predicate_of(place), x)
        case t.Tv(verb, np):
            return _np(np, lambda y: m.relates(verb, x, y), m)
        case t.Passive(verb, np):
            return _np(np, lambda y: m.relates(verb, y, x), m)
        case t.IsNear(np):
            return _np(np, lambda y: m.relates("near", x, y), m)
        case t.Not(inner):
            return m.full & ~_vp(inner, x, m)
        case t.Both(left, word, right):
            a, b = _vp(left, x, m), _vp(right, x, m)
            return a | b if word == "or" else a & b


def referent(np: t.Name | t.The) -> str:
    """Who is meant: a name, or `the` and a predicate (so that `the doctor` is `the physician`)."""
    return np.name if isinstance(np, t.Name) else "the " + lexicon.predicate_of(np.noun)


def constants_of(sentences: Iterable[t.Sentence]) -> dict[str, int]:
    """Referent -> entity number, in order of appearance."""
    found: dict[str, int] = {}
    for sentence in sentences:
        for node in t.nodes(sentence):
            if isinstance(node, t.Name | t.The):
                found.setdefault(referent(node), len(found))
    return found


def witnesses(node: t.Node, sign: bool, scope: t.VP | None = None, universal: bool = False) -> int:
    """How many existential witnesses the node demands when it is to be true (`sign`) or false.

    Raises UndecidedError where an existential stands below a universal, which the finite class is not complete for.
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
            below = sum(witnesses(child, sign, None, universal) for child in t.children(node))
            return below + (witnesses(scope, sign, None, universal) if scope is not None else 0)


def _demand(s: t.Sentence, sign: bool) -> int:
    """The witnesses of a whole sentence; modifiers of definites stand outside of its negations."""
    return witnesses(s, sign) + sum(witnesses(mod, sign) for definite in _definites(s) for mod in definite.mods)


def _quantified_nouns(sentences: Iterable[t.Sentence]) -> list[str]:
    found = {lexicon.predicate_of(n.noun): None for s in sentences for n in t.nodes(s) if isinstance(n, t.Quant)}
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
    """A pair of sentences over all their worlds: how many worlds, and how many make each or both true."""

    worlds: int
    first: int
    second: int
    both: int
    shared: float
    """Dice coefficient of what the two are about: the entities and predicates that their truth turns on."""

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
        """entailment, contradiction or neutral, of the second sentence given the first."""
        if self.entails:
            return "entailment"
        return "contradiction" if self.both == 0 else "neutral"

    @property
    def contingent(self) -> bool:
        """Neither sentence is true everywhere or nowhere, which would make every label trivial."""
        return 0 < self.first < self.worlds and 0 < self.second < self.worlds


def judge(first: t.Sentence, second: t.Sentence) -> Judgement:
    """Evaluate both sentences in every world that matters. Raises UndecidedError outside the decided fragment."""
    pair = (first, second)
    nouns = _quantified_nouns(pair)
    constants = constants_of(pair)
    # Both directions and the joint truth are asked for, so the largest demand of the three questions decides.
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
        admissible &= _any(model.has(noun, x) for x in range(size))
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
