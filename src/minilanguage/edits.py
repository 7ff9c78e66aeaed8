"""Minimal edits of a sentence, to make the other half of a pair; how the two relate is computed, not assumed."""

from dataclasses import replace

from minilanguage import lexicon
from minilanguage import syntax as t
from minilanguage.sampling import Sampler, pick
from minilanguage.word_edits import Edit, exchange_word, related, rewrite_one


def negate(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Add or remove a negation."""

    def change(node: t.Node) -> t.Node | None:
        if isinstance(node, t.Clause | t.Cleft):
            if isinstance(node.vp, t.Not):
                return replace(node, vp=node.vp.vp)
            return replace(node, vp=t.Not(node.vp)) if not isinstance(node.vp, t.Both) else None
        return None

    return rewrite_one(sentence, sampler.rng, change)


def swap_roles(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Swap the phrases on the two sides of a transitive verb."""

    def change(node: t.Node) -> t.Node | None:
        if isinstance(node, t.Clause | t.Cleft):
            verb = node.vp.vp if isinstance(node.vp, t.Not) else node.vp
            if not isinstance(verb, t.Tv | t.Passive) or not _fits_object(node.np):
                return None
            if isinstance(node, t.Cleft) and isinstance(verb.np, t.Quant):
                return None
            swapped = replace(verb, np=node.np)
            return replace(node, np=verb.np, vp=t.Not(swapped) if isinstance(node.vp, t.Not) else swapped)
        return None

    return rewrite_one(sentence, sampler.rng, change)


def change_voice(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Change active to passive or back, or a verb to its converse, keeping who does what to whom."""
    partners = lexicon.CONVERSES | {partner: verb for verb, partner in lexicon.CONVERSES.items()}

    def change(node: t.Node) -> t.Node | None:
        if not isinstance(node, t.Clause) or not _fits_object(node.np):
            return None
        verb = node.vp.vp if isinstance(node.vp, t.Not) else node.vp
        if isinstance(verb, t.IsNear):
            return replace(node, np=verb.np, vp=t.IsNear(node.np)) if not isinstance(node.vp, t.Not) else None
        if not isinstance(verb, t.Tv | t.Passive):
            return None
        turned: t.VP
        if verb.verb in partners and (sampler.rng.random() < 0.5 or "passive" not in sampler.allowed):
            turned = replace(verb, verb=partners[verb.verb], np=node.np)
        elif "passive" in sampler.allowed:
            other = t.Passive if isinstance(verb, t.Tv) else t.Tv
            turned = other(verb.verb, node.np)
        else:
            return None
        return t.Clause(verb.np, t.Not(turned) if isinstance(node.vp, t.Not) else turned)

    return rewrite_one(sentence, sampler.rng, change)


def drop_modifier(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Remove one adjective, prepositional phrase or relative clause."""

    def change(node: t.Node) -> t.Node | None:
        if isinstance(node, t.IvIn):
            return t.Iv(node.verb)
        if not isinstance(node, t.The | t.Quant) or not node.mods:
            return None
        gone = pick(sampler.rng, node.mods)
        return replace(node, mods=tuple(mod for mod in node.mods if mod is not gone))

    return rewrite_one(sentence, sampler.rng, change)


def add_modifier(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Add an adjective or, if the sampler allows them, a post-nominal modifier."""

    def change(node: t.Node) -> t.Node | None:
        if not isinstance(node, t.The | t.Quant) or node.mods:
            return None
        kinds = tuple(k for k in ("prepositional", "relative") if k in sampler.allowed)
        if kinds and sampler.rng.random() < 0.5:
            return replace(node, mods=(sampler.postmodifier(kinds),))
        return replace(node, mods=sampler.adjectives(1.0))

    return rewrite_one(sentence, sampler.rng, change)


def change_determiner(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Replace a determiner: a subject's by any, an object's by `a` or `every`; existential sentences are left alone."""
    below = {id(n) for node in sentence.nodes for n in _objects(node)}

    def change(node: t.Node) -> t.Node | None:
        if not isinstance(node, t.Quant):
            return None
        known = ("a", "every") if id(node) in below else ("every", "all", "some", "a", "no", "two")
        return replace(node, det=pick(sampler.rng, [det for det in known if det != node.det]))

    return None if isinstance(sentence, t.There) else rewrite_one(sentence, sampler.rng, change)


def _fits_object(np: t.NP) -> bool:
    """Objects take only `a` and `every`: readers would give `some` and `no` scope over a negation before them."""
    return not isinstance(np, t.Quant) or np.det in ("a", "every")


def _objects(node: t.Node) -> list[t.NP]:
    return [node.np] if isinstance(node, t.Tv | t.Passive | t.There | t.IsNear) else []


def change_subject(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Replace a subject by another phrase: `the dog` -> `some dog`, `anna` -> `ben`."""

    def change(node: t.Node) -> t.Node | None:
        if not isinstance(node, t.Clause):
            return None
        if isinstance(node.np, t.The) and sampler.chance("quantifier", 0.5):
            determiner = pick(sampler.rng, ("some", "every", "no", "a"))
            return replace(node, np=t.Quant(determiner, node.np.noun, node.np.mods))
        return replace(node, np=sampler.constant() if sampler.rng.random() < 0.6 else sampler.subject())

    return rewrite_one(sentence, sampler.rng, change)


def split(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Keep one side of a coordination."""

    def change(node: t.Node) -> t.Node | None:
        if isinstance(node, t.Join | t.Both):
            return node.left if sampler.rng.random() < 0.5 else node.right
        return None

    return rewrite_one(sentence, sampler.rng, change)


def exchange(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Swap the two sides of a coordination."""

    def change(node: t.Node) -> t.Node | None:
        if isinstance(node, t.Join | t.Both):
            return replace(node, left=node.right, right=node.left)
        return None

    return rewrite_one(sentence, sampler.rng, change)


def extend(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Coordinate with a new clause."""
    if "coordination" not in sampler.allowed or isinstance(sentence, t.Join):
        return None
    return t.Join(sentence, pick(sampler.rng, ("and", "and", "or", "but")), sampler.clause())


def reframe(sentence: t.Sentence, sampler: Sampler) -> t.Sentence | None:
    """Turn into a cleft, out of a cleft, or between `some dog is in the park` and `there is a dog in the park`."""
    match sentence:
        case t.Cleft(np, vp):
            return t.Clause(np, vp)
        case t.Clause(t.Name() | t.The() as np, vp) if "cleft" in sampler.allowed:
            return t.Cleft(np, vp)
        case t.Clause(t.Quant(det, noun, mods), vp) if "existential" in sampler.allowed and det in ("some", "a", "two"):
            last = t.In(vp.place) if isinstance(vp, t.IsIn) else t.Rel(vp)
            det = "two" if det == "two" else "a"
            return t.There(t.Quant(det, noun, (*mods, last))) if all(isinstance(mod, t.Adj) for mod in mods) else None
        case t.There(t.Quant(det, noun, (*mods, t.Rel(vp)))):
            return t.Clause(t.Quant(det, noun, tuple(mods)), vp)
    return None


EDITS: dict[str, Edit] = {
    "synonym": exchange_word(related("same")),
    "broader": exchange_word(related("around")),
    "narrower": exchange_word(related("inside")),
    "contrary": exchange_word(related("disjoint")),
    "negate": negate,
    "swap-roles": swap_roles,
    "change-voice": change_voice,
    "drop-modifier": drop_modifier,
    "add-modifier": add_modifier,
    "change-determiner": change_determiner,
    "change-subject": change_subject,
    "split": split,
    "exchange": exchange,
    "extend": extend,
    "reframe": reframe,
}


def edit(sentence: t.Sentence, sampler: Sampler, count: int = 1) -> tuple[t.Sentence, str] | None:
    """The sentence after `count` random edits, and the names of the edits; None if one of them does not apply."""
    names = []
    for _ in range(count):
        name = pick(sampler.rng, list(EDITS))
        changed = EDITS[name](sentence, sampler)
        if changed is None:
            return None
        sentence, names = changed, [*names, name]
    return sentence, "+".join(names)
