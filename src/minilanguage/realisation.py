"""The words of a syntax tree: agreement, do-support, `a` or `an`, and participles."""

from minilanguage import syntax as t
from minilanguage.lexicon import PLURAL_DETERMINERS, participle, plural, third_person


def is_plural(np: t.NP) -> bool:
    """Whether the phrase takes a plural verb."""
    return isinstance(np, t.Quant) and np.det in PLURAL_DETERMINERS


def realise(sentence: t.Sentence) -> str:
    """The words of a sentence in lower case, separated by single spaces, without a full stop."""
    return join_words(_sentence(sentence))


def join_words(tokens: list[str]) -> str:
    """The tokens as text, with `an` for `a` before a vowel."""
    following = [*tokens[1:], "-"]
    pairs = zip(tokens, following, strict=True)
    return " ".join("an" if token == "a" and after[0] in "aeiou" else token for token, after in pairs)


def _sentence(s: t.Sentence) -> list[str]:
    match s:
        case t.Clause(np, vp):
            return _np(np) + _vp(vp, is_plural(np))
        case t.There(np):
            return ["there", "are" if is_plural(np) else "is", *_np(np)]
        case t.Cleft(np, vp):
            return ["it", "is", *_np(np), "that", *_vp(vp, False)]
        case t.Join(left, word, right):
            return [*_sentence(left), word, *_sentence(right)]


def _np(np: t.NP) -> list[str]:
    if isinstance(np, t.Name):
        return [np.name]
    many = is_plural(np)
    before = [mod.word for mod in np.mods if isinstance(mod, t.Adj)]
    after = [token for mod in np.mods if not isinstance(mod, t.Adj) for token in _mod(mod, many)]
    determiner = np.det if isinstance(np, t.Quant) else "the"
    return [determiner, *before, plural(np.noun) if many else np.noun, *after]


def _mod(mod: t.Mod, many: bool) -> list[str]:
    match mod:
        case t.Adj(word):
            return [word]
        case t.In(place):
            return ["in", "the", place]
        case t.Near(np):
            return ["near", *_np(np)]
        case t.Rel(vp):
            return ["that", *_vp(vp, many)]
        case t.RelObject(np, verb):
            return ["that", *_np(np), verb if is_plural(np) else third_person(verb)]


def _vp(vp: t.VP, many: bool) -> list[str]:
    be = "are" if many else "is"
    match vp:
        case t.Iv(verb):
            return [verb if many else third_person(verb)]
        case t.Tv(verb, np):
            return [verb if many else third_person(verb), *_np(np)]
        case t.IvIn(verb, place):
            return [verb if many else third_person(verb), "in", "the", place]
        case t.Not(t.Iv(verb)):
            return ["do" if many else "does", "not", verb]
        case t.Not(t.Tv(verb, np)):
            return ["do" if many else "does", "not", verb, *_np(np)]
        case t.Not(t.IvIn(verb, place)):
            return ["do" if many else "does", "not", verb, "in", "the", place]
        case t.Not(inner):
            return [be, "not", *_complement(inner, many)]
        case t.Both(left, word, right):
            return [*_vp(left, many), word, *_vp(right, many)]
        case _:
            return [be, *_complement(vp, many)]


def _complement(vp: t.VP, many: bool) -> list[str]:
    """The words that follow `is`."""
    match vp:
        case t.IsAdj(word):
            return [word]
        case t.IsNoun(noun):
            return [plural(noun)] if many else ["a", noun]
        case t.IsIn(place):
            return ["in", "the", place]
        case t.IsNear(np):
            return ["near", *_np(np)]
        case t.Passive(verb, np):
            return [participle(verb), "by", *_np(np)]
        case _:
            raise TypeError(f"no complement of 'is': {vp!r}")
