"""Truth in finite worlds.

A *world* has n entities. The first ones bear the names and definite descriptions in use (different expressions are
different entities); the others are anonymous. A proposition is an int whose bit w says whether it holds in world w, so
evaluating a tree once yields its truth value in every world: `and` is `&`, `some` is a big `|`. A single concrete world
is the one-bit case.

Choices that the literature leaves open: every bare noun in use is inhabited (so `every dog sleeps` entails `some dog
sleeps`), a modified noun need not be; `two` means `at least two`; a definite is a discourse referent whose noun is
presupposed and whose modifiers are asserted, and they project out of negation.
"""

from collections.abc import Callable, Iterable
from itertools import combinations

from minilanguage import lexicon
from minilanguage import syntax as t

Atom = tuple[str, int, int]
"""(predicate, entity, entity); a property has -1 in the last place."""
Scope = Callable[[int], int]


class Model:
    """One world or many: the entity of each constant, and the proposition of each atom."""

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
        """The proposition that `subject verb obj`, with converse and symmetric verbs in a canonical form."""
        if verb in lexicon.CONVERSES:
            subject, obj = obj, subject
        predicate = lexicon.predicate_of(verb)
        if predicate in lexicon.SYMMETRIC and subject > obj:
            subject, obj = obj, subject
        return self._lookup((predicate, subject, obj))


def evaluate(s: t.Sentence, m: Model) -> int:
    """The proposition that a sentence expresses: bit w is its truth value in world w."""
    holds = _sentence(s, m)
    for definite in definites(s):
        # Outside every negation and disjunction: the modifiers of a definite project.
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


def definites(s: t.Sentence) -> list[t.The]:
    """The definite descriptions with modifiers in a sentence."""
    return [node for node in s.nodes if isinstance(node, t.The) and node.mods]


def _np(np: t.NP, scope: Scope, m: Model) -> int:
    if isinstance(np, t.Name):
        return scope(m.constants[np.name])
    if isinstance(np, t.The):
        return scope(m.constants[referent(np)])
    noun = lexicon.predicate_of(np.noun)
    restricted = [m.has(noun, x) & _mods(np.mods, x, m) for x in range(m.size)]
    quantifier = lexicon.DETERMINERS[np.det]
    if quantifier == "every":
        return m.full & ~some_of(r & ~scope(x) for x, r in enumerate(restricted))
    satisfied = [r & scope(x) for x, r in enumerate(restricted)]
    if quantifier == "two":
        return some_of(a & b for a, b in combinations(satisfied, 2))
    return some_of(satisfied) if quantifier == "some" else m.full & ~some_of(satisfied)


def some_of(propositions: Iterable[int]) -> int:
    """The disjunction of propositions."""
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
    """The referent's key: a name, or `the` and a predicate (so that `the doctor` is `the physician`)."""
    return np.name if isinstance(np, t.Name) else "the " + lexicon.predicate_of(np.noun)


def constants_of(sentences: Iterable[t.Sentence]) -> dict[str, int]:
    """Referent -> entity number, in order of appearance."""
    mentions = (referent(n) for s in sentences for n in s.nodes if isinstance(n, t.Name | t.The))
    return {name: number for number, name in enumerate(dict.fromkeys(mentions))}
