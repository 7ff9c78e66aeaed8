"""Syntax trees of the mini language. They hold base forms; `realisation.py` turns them into text."""

from dataclasses import dataclass

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


def children(node: Node) -> list[Node]:
    """The sub-trees directly below a node."""
    values = [getattr(node, field) for field in node.__match_args__]
    return [item for v in values if not isinstance(v, str) for item in (v if isinstance(v, tuple) else (v,))]


def nodes(node: Node) -> list[Node]:
    """The node and everything below it, top down."""
    return [node, *(below for child in children(node) for below in nodes(child))]
