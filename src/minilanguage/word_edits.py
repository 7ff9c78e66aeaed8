"""Edits that replace one content word, and the rewriting of one node that all edits build on."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Any

from minilanguage import lexicon
from minilanguage import syntax as t
from minilanguage.sampling import Sampler, Topic, pick

Edit = Callable[[t.Sentence, Sampler], t.Sentence | None]
Relation = Callable[[str, Sampler], list[str]]


def rewrite_one(node: t.Node, rng: Random, change: Callable[[t.Node], t.Node | None]) -> Any:
    """The tree with one random node replaced, among those for which `change` returns a node; None if it never does."""
    options = [(target, changed) for target in node.nodes if (changed := change(target)) is not None]
    if not options:
        return None
    chosen, changed = pick(rng, options)
    # By identity: equal sub-trees (the same name twice) are different places in the sentence.
    return _replace(node, chosen, changed)


def _replace(node: t.Node, old: t.Node, new: t.Node) -> t.Node:
    if node is old:
        return new
    parts = []
    for name in node.__match_args__:
        value = getattr(node, name)
        if isinstance(value, tuple):
            value = tuple(_replace(item, old, new) for item in value)
        elif not isinstance(value, str):
            value = _replace(value, old, new)
        parts.append(value)
    return type(node)(*parts)


def _word_field(node: t.Node) -> str | None:
    """The field that holds a node's content word."""
    match node:
        case t.Adj() | t.IsAdj():
            return "word"
        case t.Iv() | t.Tv() | t.Passive() | t.IvIn() | t.RelObject():
            return "verb"
        case t.IsNoun() | t.Quant() | t.The():
            return "noun"
        case t.In() | t.IsIn():
            return "place"
    return None


def exchange_word(choices: Relation) -> Edit:
    """An edit that replaces one content word by one of `choices`."""

    def edit(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
        def change(node: t.Node) -> t.Node | None:
            field = _word_field(node)
            if field is None:
                return None
            word = getattr(node, field)
            options = choices(word, sampler)
            if isinstance(node, t.The):
                # Another noun would be another referent; only a synonym keeps the discourse together.
                options = [w for w in options if lexicon.predicate_of(w) == lexicon.predicate_of(word)]
            return replace(node, **{field: pick(sampler.rng, options)}) if options else None

        return rewrite_one(sentence, sampler.rng, change)

    return edit


def related(kind: str) -> Relation:
    """Words in the topic whose predicate has the given relation to a word's predicate."""
    return lambda word, sampler: list(_related(kind, word, sampler.topic))


@lru_cache(maxsize=1024)
def _related(kind: str, word: str, topic: Topic) -> tuple[str, ...]:
    if word in lexicon.CONVERSES:
        return ()
    # Include all synonyms of the word itself: a definite's noun need not be among the topic's.
    pool = lexicon.synonyms(word) + topic.nouns + topic.adjectives
    pool += topic.intransitives + topic.transitives + topic.places
    name = lexicon.predicate_of(word)
    found = []
    for other in dict.fromkeys(pool):
        if other != word and other not in lexicon.CONVERSES:
            predicate = lexicon.predicate_of(other)
            alike = lexicon.PREDICATES[predicate].category == lexicon.PREDICATES[name].category
            if alike and _stands(predicate, name) == kind:
                found.append(other)
    return tuple(found)


def _stands(first: str, second: str) -> str:
    return "same" if first == second else lexicon.relation(first, second)
