"""A generated fragment of English with a model-theoretic semantics: the project's built-in default data."""

from random import Random

from minilanguage import corpus, overlap, pairs, single
from minilanguage.lexicon import CORE, HELD

PAIR_CONFIGS = ("rte", "mnli", "mrpc", "stsb")
SINGLE_CONFIGS = ("cola", "sst2")
CONFIGS = (*PAIR_CONFIGS, *SINGLE_CONFIGS, "corpus")
TRAIN_ROWS, EVALUATION_ROWS, DOCUMENTS = 600, 400, 5000

# Split -> (rows, half of the lexicon, shifted constructions); train first, so that the others avoid its rows.
_SPLITS = {
    "train": (TRAIN_ROWS, CORE, False),
    "validation": (EVALUATION_ROWS, CORE, False),
    "constructions": (EVALUATION_ROWS, CORE, True),
    "vocabulary": (EVALUATION_ROWS, HELD, False),
}


def generate(config: str, seed: int = 0) -> dict[str, list[dict]]:
    """Return the rows of every split of one configuration; they depend only on `config` and `seed`.

    Raises:
        ValueError: an unknown configuration.
    """
    if config not in CONFIGS:
        raise ValueError(f"configuration '{config}', expected one of {', '.join(CONFIGS)}")
    if config == "corpus":
        return {"train": corpus.rows(_stream(config, "train", seed), DOCUMENTS)}
    taken: set = set()
    module = pairs if config in PAIR_CONFIGS else single
    splits = {
        split: module.rows(config, _stream(config, split, seed), size, half, shifted, taken)
        for split, (size, half, shifted) in _SPLITS.items()
    }
    if config in ("rte", "mnli"):
        columns = pairs.DESIGNS[config].columns
        splits["overlap"] = overlap.rows(_stream(config, "overlap", seed), EVALUATION_ROWS, columns, taken)
    return splits


def _stream(config: str, split: str, seed: int) -> Random:
    # Random hashes a str seed with SHA-512, which is the same in every process, unlike hash().
    return Random(f"mini/{config}/{split}/{seed}")
