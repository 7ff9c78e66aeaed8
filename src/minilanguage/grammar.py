"""The grammar that decides acceptability: a context-free recogniser (CYK) over word categories.

It is independent of the trees that `realisation.realise` turns into text, so each can be checked against the other.
Categories carry number: `NPs` takes `VPs` (`the dog sleeps`), `NPp` takes `VPp` (`two dogs sleep`).
"""

from functools import cache
from itertools import product

from minilanguage import lexicon

# `#` stands for s and p in turn.
_RULES = """
S -> C | C Coord C
C -> NP# VP# | There_is NPa | There_is NPa PostS | There_are NPtwo | There_are NPtwo PostP | It_is NPc RelS
There_is -> there is
There_are -> there are
It_is -> it is
PostS -> PP | RelS
PostP -> PP | RelP
NPc -> Name | the Ns | the Ns PostS
NPa -> a Ns
NPtwo -> two Np
NPs -> Name | Dets Ns | Dets Ns PostS
NPp -> Detp Np | Detp Np PostP
NPo -> Name | the Ns | a Ns | every Ns | the Ns PostS | a Ns PostS | every Ns PostS
Dets -> the | a | every | some | no
Detp -> all | two
Ns -> Ns0 | Adj Ns
Np -> Np0 | Adj Np
RelS -> that VPs | that NPs TVs | that NPp TVp
RelP -> that VPp | that NPs TVs | that NPp TVp
PP -> in the Place | near NPo
VP# -> V# | V# Conj V#
V# -> IV# | IV# PlaceP | TV# NPo | Be# Pred# | Be# not Pred# | Do# not VB
VB -> IVp | IVp PlaceP | TVp NPo
PlaceP -> in the Place
Preds -> Adj | PP | Part by NPo | a Ns0
Predp -> Adj | PP | Part by NPo | Np0
Coord -> and | or | but
Conj -> and | or
Bes -> is
Bep -> are
Dos -> does
Dop -> do
"""


# Category in the lexicon -> category in the grammar -> the word form that has it.
_FORMS = {
    "noun": {"Ns0": str, "Np0": lexicon.plural},
    "adjective": {"Adj": str},
    "place": {"Place": str},
    "intransitive": {"IVp": str, "IVs": lexicon.third_person},
    "transitive": {"TVp": str, "TVs": lexicon.third_person, "Part": lexicon.participle},
}


def _lexical() -> dict[str, set[str]]:
    table = {name: {"Name"} for names in lexicon.NAMES.values() for name in names}
    for category, forms in _FORMS.items():
        for word in lexicon.words(category):
            for symbol, form in forms.items():
                table.setdefault(form(word), set()).add(symbol)
    return table


@cache
def _tables() -> tuple[dict[str, frozenset[str]], dict[tuple[str, str], frozenset[str]]]:
    """(word -> categories, pair of adjacent categories -> categories), both closed under the unary rules."""
    lexical = _lexical()
    unary: dict[str, set[str]] = {}
    binary: dict[tuple[str, str], set[str]] = {}
    for line in _RULES.strip().splitlines():
        for number in "sp" if "#" in line else " ":
            left, _, right = line.replace("#", number).partition(" -> ")
            for alternative in right.split(" | "):
                symbols = alternative.split()
                for symbol in symbols:
                    if symbol.islower():
                        lexical.setdefault(symbol, set()).add(symbol)
                while len(symbols) > 2:  # A -> B C D becomes A -> B_C D
                    joined = f"{symbols[0]}_{symbols[1]}"
                    binary.setdefault((symbols[0], symbols[1]), set()).add(joined)
                    symbols = [joined, *symbols[2:]]
                if len(symbols) == 2:
                    binary.setdefault((symbols[0], symbols[1]), set()).add(left)
                else:
                    unary.setdefault(symbols[0], set()).add(left)

    def closed(categories: set[str]) -> frozenset[str]:
        todo, found = list(categories), set(categories)
        while todo:
            for above in unary.get(todo.pop(), ()):
                if above not in found:
                    found.add(above)
                    todo.append(above)
        return frozenset(found)

    return (
        {word: closed(found) for word, found in lexical.items()},
        {pair: closed(found) for pair, found in binary.items()},
    )


def acceptable(sentence: str) -> bool:
    """Whether the grammar derives the string, including agreement and the choice of `a` or `an`."""
    tokens = sentence.split()
    for i, token in enumerate(tokens):
        if token in ("a", "an"):
            vowel = i + 1 < len(tokens) and tokens[i + 1][0] in "aeiou"
            if vowel != (token == "an"):
                return False
            tokens[i] = "a"
    lexical, binary = _tables()
    size = len(tokens)
    chart: dict[tuple[int, int], set[str]] = {}
    for i, token in enumerate(tokens):
        chart[i, i + 1] = set(lexical.get(token, ()))
    for width in range(2, size + 1):
        for start in range(size - width + 1):
            cell: set[str] = set()
            for middle in range(start + 1, start + width):
                left, right = chart[start, middle], chart[middle, start + width]
                if left and right:
                    for pair in product(left, right):
                        cell |= binary.get(pair, frozenset())
            chart[start, start + width] = cell
    return size > 0 and "S" in chart[0, size]
