"""Syntax trees of the mini language. They hold base forms; `realisation.py` turns them into text."""

from dataclasses import dataclass, fields
from functools import cache
from typing import cast


@cache
def _branches(kind: type) -> tuple[str, ...]:
    """The fields of a node class that hold nodes, in order; fields declared as `str` hold words."""
    return tuple(field.name for field in fields(kind) if field.type is not str)


class Tree:
    """A node of a syntax tree."""

    @property
    def children(self) -> list["Node"]:
        """The sub-trees directly below."""
        found = []
        for name in _branches(type(self)):
            value = getattr(self, name)
            if isinstance(value, tuple):
                found.extend(value)
            else:
                found.append(value)
        return found

    @property
    def nodes(self) -> list["Node"]:
        """The node itself and everything below it, top down."""
        # Cached, because a tree never changes and is walked a dozen times. `cached_property` locks, which takes longer
        # than the walk.
        known = self.__dict__.get("_nodes")
        if known is None:
            known = self.__dict__["_nodes"] = [cast("Node", self)]
            for child in self.children:
                known.extend(child.nodes)
        return known


# --- noun phrases and their modifiers


@dataclass(frozen=True)
class Name(Tree):
    """`anna`."""

    name: str


@dataclass(frozen=True)
class Adj(Tree):
    """Prenominal `happy`."""

    word: str


@dataclass(frozen=True)
class In(Tree):
    """`in the park`, after a noun."""

    place: str


@dataclass(frozen=True)
class Near(Tree):
    """`near anna`, after a noun."""

    np: "NP"


@dataclass(frozen=True)
class Rel(Tree):
    """`that chases anna`."""

    vp: "VP"


@dataclass(frozen=True)
class RelObject(Tree):
    """`that anna chases`."""

    np: "NP"
    verb: str


Mod = Adj | In | Near | Rel | RelObject


@dataclass(frozen=True)
class The(Tree):
    """`the happy dog`: the one dog of the discourse; its modifiers are asserted of it."""

    noun: str
    mods: tuple[Mod, ...] = ()


@dataclass(frozen=True)
class Quant(Tree):
    """`every happy dog that sleeps`."""

    det: str
    noun: str
    mods: tuple[Mod, ...] = ()


NP = Name | The | Quant

# --- verb phrases


@dataclass(frozen=True)
class Iv(Tree):
    """`sleeps`."""

    verb: str


@dataclass(frozen=True)
class Tv(Tree):
    """`chases anna`."""

    verb: str
    np: NP


@dataclass(frozen=True)
class Passive(Tree):
    """`is chased by anna`."""

    verb: str
    np: NP


@dataclass(frozen=True)
class IsAdj(Tree):
    """`is happy`."""

    word: str


@dataclass(frozen=True)
class IsNoun(Tree):
    """`is a doctor`."""

    noun: str


@dataclass(frozen=True)
class IsIn(Tree):
    """`is in the park`."""

    place: str


@dataclass(frozen=True)
class IsNear(Tree):
    """`is near anna`."""

    np: NP


@dataclass(frozen=True)
class IvIn(Tree):
    """`sleeps in the park`: sleeps and is in the park."""

    verb: str
    place: str


@dataclass(frozen=True)
class Not(Tree):
    """`does not sleep`, `is not happy`; scopes over the object, below the subject."""

    vp: "VP"


@dataclass(frozen=True)
class Both(Tree):
    """`sleeps and is happy`, or with `or`."""

    left: "VP"
    word: str
    right: "VP"


VP = Iv | Tv | Passive | IsAdj | IsNoun | IsIn | IsNear | IvIn | Not | Both

# --- sentences


@dataclass(frozen=True)
class Clause(Tree):
    """`anna sleeps`."""

    np: NP
    vp: VP


@dataclass(frozen=True)
class There(Tree):
    """`there is a dog in the park`: some entity satisfies noun and modifiers."""

    np: Quant


@dataclass(frozen=True)
class Cleft(Tree):
    """`it is anna that sleeps`; means what `anna sleeps` means (no exhaustiveness)."""

    np: Name | The
    vp: VP


@dataclass(frozen=True)
class Join(Tree):
    """`anna sleeps and ben runs`; `but` means `and`."""

    left: "Sentence"
    word: str
    right: "Sentence"


Sentence = Clause | There | Cleft | Join
Node = Sentence | NP | VP | Mod
