"""A lower-cased WordPiece tokenizer whose vocabulary is the words of a corpus, plus letters to spell other words."""

import string
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SPECIAL_IDS = {"pad": 0, "bos": 2, "cls": 2, "eos": 3, "sep": 3}
"""Numbers of the special tokens, by the names that model configurations use."""


def build_vocabulary(texts: Iterable[str], size: int) -> list[str]:
    """Special tokens, letters and digits (as first and as later pieces), then the most frequent words up to `size`.

    No merges are learned, because the trainer breaks ties by the order of a hash table; this list depends only on the
    texts.
    """
    letters = [*string.ascii_lowercase, *string.digits]
    vocabulary = [*SPECIAL_TOKENS, *letters, *(f"##{letter}" for letter in letters)]
    counts = Counter(word for text in texts for word in text.lower().split())
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return vocabulary + [word for word in ranked if word not in letters][: size - len(vocabulary)]


def build_backend(vocabulary: list[str]) -> "Tokenizer":
    """WordPiece with BERT's normalisation and pre-tokenisation, without special tokens around a text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    backend = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


def build_tokenizer(vocabulary: list[str], max_length: int) -> "PreTrainedTokenizerFast":
    """A fast tokenizer with BERT's normalisation, pre-tokenisation and pair template ([CLS] a [SEP] b [SEP])."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    backend = build_backend(vocabulary)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_length,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
