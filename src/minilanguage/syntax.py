"""Syntax trees of the mini language and the strings that they are pronounced as.

A tree holds base forms; agreement, do-support, `a`/`an` and participles are the business of `realise`.
"""

from dataclasses import dataclass

from minilanguage.lexicon import PLURAL_DETERMINERS, participle, plural, third_person

# --- noun phrases and their modifiers


@dataclass(frozen=True)
class Name:
    """`anna`."""

    name: str


@dataclass(frozen=True)
class Adj:
    """Prenominal `happy`."""

    word: str


@dataclass(frozen=True)
class In:
    """`in the park`, after a noun."""

    place: str


@dataclass(frozen=True)
class Near:
    """`near anna`, after a noun."""

    np: "NP"


@dataclass(frozen=True)
class Rel:
    """`that chases anna`."""

    vp: "VP"


@dataclass(frozen=True)
class RelObject:
    """`that anna chases`."""

    np: "NP"
    verb: str


Mod = Adj | In | Near | Rel | RelObject


@dataclass(frozen=True)
class The:
    """`the happy dog`: the one dog of the discourse; its modifiers are asserted of it."""

    noun: str
    mods: tuple[Mod, ...] = ()


@dataclass(frozen=True)
class Quant:
    """`every happy dog that sleeps`."""

    det: str
    noun: str
    mods: tuple[Mod, ...] = ()


NP = Name | The | Quant

# --- verb phrases


@dataclass(frozen=True)
class Iv:
    """`sleeps`."""

    verb: str


@dataclass(frozen=True)
class Tv:
    """`chases anna`."""

    verb: str
    np: NP


@dataclass(frozen=True)
class Passive:
    """`is chased by anna`."""

    verb: str
    np: NP


@dataclass(frozen=True)
class IsAdj:
    """`is happy`."""

    word: str


@dataclass(frozen=True)
class IsNoun:
    """`is a doctor`."""

    noun: str


@dataclass(frozen=True)
class IsIn:
    """`is in the park`."""

    place: str


@dataclass(frozen=True)
class IsNear:
    """`is near anna`."""

    np: NP


@dataclass(frozen=True)
class IvIn:
    """`sleeps in the park`: sleeps and is in the park."""

    verb: str
    place: str


@dataclass(frozen=True)
class Not:
    """`does not sleep`, `is not happy`; scopes over the object, below the subject."""

    vp: "VP"


@dataclass(frozen=True)
class Both:
    """`sleeps and is happy`, or with `or`."""

    left: "VP"
    word: str
    right: "VP"


VP = Iv | Tv | Passive | IsAdj | IsNoun | IsIn | IsNear | IvIn | Not | Both

# --- sentences


@dataclass(frozen=True)
class Clause:
    """`anna sleeps`."""

    np: NP
    vp: VP


@dataclass(frozen=True)
class There:
    """`there is a dog in the park`: some entity satisfies noun and modifiers."""

    np: Quant


@dataclass(frozen=True)
class Cleft:
    """`it is anna that sleeps`; means what `anna sleeps` means (no exhaustiveness)."""

    np: Name | The
    vp: VP


@dataclass(frozen=True)
class Join:
    """`anna sleeps and ben runs`; `but` means `and`."""

    left: "Sentence"
    word: str
    right: "Sentence"


Sentence = Clause | There | Cleft | Join
Node = Sentence | NP | VP | Mod


def is_plural(np: NP) -> bool:
    """Whether the phrase takes a plural verb."""
    return isinstance(np, Quant) and np.det in PLURAL_DETERMINERS


def realise(sentence: Sentence) -> str:
    """The words of a sentence, lower case, separated by single blanks, without a full stop."""
    tokens = _sentence(sentence)
    for i in range(len(tokens) - 1):
        if tokens[i] == "a" and tokens[i + 1][0] in "aeiou":
            tokens[i] = "an"
    return " ".join(tokens)


def _sentence(s: Sentence) -> list[str]:
    match s:
        case Clause(np, vp):
            return _np(np) + _vp(vp, is_plural(np))
        case There(np):
            return ["there", "are" if is_plural(np) else "is", *_np(np)]
        case Cleft(np, vp):
            return ["it", "is", *_np(np), "that", *_vp(vp, False)]
        case Join(left, word, right):
            return [*_sentence(left), word, *_sentence(right)]


def _np(np: NP) -> list[str]:
    if isinstance(np, Name):
        return [np.name]
    many = is_plural(np)
    before = [mod.word for mod in np.mods if isinstance(mod, Adj)]
    after = [token for mod in np.mods if not isinstance(mod, Adj) for token in _mod(mod, many)]
    determiner = np.det if isinstance(np, Quant) else "the"
    return [determiner, *before, plural(np.noun) if many else np.noun, *after]


def _mod(mod: Mod, many: bool) -> list[str]:
    match mod:
        case Adj(word):
            return [word]
        case In(place):
            return ["in", "the", place]
        case Near(np):
            return ["near", *_np(np)]
        case Rel(vp):
            return ["that", *_vp(vp, many)]
        case RelObject(np, verb):
            return ["that", *_np(np), verb if is_plural(np) else third_person(verb)]


def _vp(vp: VP, many: bool) -> list[str]:
    be = "are" if many else "is"
    match vp:
        case Iv(verb):
            return [verb if many else third_person(verb)]
        case Tv(verb, np):
            return [verb if many else third_person(verb), *_np(np)]
        case IvIn(verb, place):
            return [verb if many else third_person(verb), "in", "the", place]
        case Not(Iv(verb)):
            return ["do" if many else "does", "not", verb]
        case Not(Tv(verb, np)):
            return ["do" if many else "does", "not", verb, *_np(np)]
        case Not(IvIn(verb, place)):
            return ["do" if many else "does", "not", verb, "in", "the", place]
        case Not(inner):
            return [be, "not", *_complement(inner, many)]
        case Both(left, word, right):
            return [*_vp(left, many), word, *_vp(right, many)]
        case _:
            return [be, *_complement(vp, many)]


def _complement(vp: VP, many: bool) -> list[str]:
    """What follows `is`."""
    match vp:
        case IsAdj(word):
            return [word]
        case IsNoun(noun):
            return [plural(noun)] if many else ["a", noun]
        case IsIn(place):
            return ["in", "the", place]
        case IsNear(np):
            return ["near", *_np(np)]
        case Passive(verb, np):
            return [participle(verb), "by", *_np(np)]
        case _:
            raise TypeError(f"no complement of 'is': {vp!r}")


def nodes(node: Node) -> list[Node]:
    """The node and everything below it, top down."""
    found = [node]
    for field in node.__match_args__:
        value = getattr(node, field)
        if isinstance(value, tuple):
            for item in value:
                found += nodes(item)
        elif not isinstance(value, str):
            found += nodes(value)
    return found


def children(node: Node) -> list[Node]:
    """The sub-trees directly below a node."""
    values = [getattr(node, field) for field in node.__match_args__]
    return [item for v in values if not isinstance(v, str) for item in (v if isinstance(v, tuple) else (v,))]
