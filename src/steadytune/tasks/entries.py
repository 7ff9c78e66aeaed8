"""The entries of the task table, except those of the mini language (`mini_entries.py`).

To add a task, add an entry. Labels have the numbers of the hub's files and the names that the data sets use;
`tasks/labels.py` lists names of different sets with the same meaning. Headline metrics follow Table 10 of HyPe
(arXiv 2212.08853). The transfer sets are defaults that a suite can replace.
"""

from dataclasses import replace

from steadytune.tasks.task import SPAN, Task

_ACCEPTABILITY = ("unacceptable", "acceptable")
_SENTIMENT = ("negative", "positive")
_PARAPHRASE = ("not_equivalent", "equivalent")
_DUPLICATE = ("not_duplicate", "duplicate")
TWO_WAY = ("entailment", "not_entailment")
_THREE_WAY = ("entailment", "neutral", "contradiction")

_SENTENCE = ("sentence",)
_SENTENCES = ("sentence1", "sentence2")
_NLI = ("premise", "hypothesis")

# All logged metrics by headline metric. MRPC and QQP always log accuracy, F1 and their mean, because papers differ in
# which of the three they report.
METRICS_BY_HEADLINE = {
    "accuracy": ("accuracy",),
    "f1": ("f1", "accuracy", "accuracy_f1"),
    "macro_f1": ("macro_f1", "accuracy"),
    "balanced_accuracy": ("balanced_accuracy", "accuracy"),
    "auroc": ("auroc", "accuracy"),
    "matthews": ("matthews", "accuracy"),
    "pearson_spearman": ("pearson_spearman", "pearson", "spearman"),
    "span_f1": ("span_f1", "exact_match"),
}

# Citation and licence by family: the task's name up to the first hyphen. Other tasks give their own `source`.
_SOURCES = {
    "cola": ("Warstadt et al. 2019", "CoLA (published linguistics examples)"),
    "sst2": ("Socher et al. 2013", "not stated"),
    "mrpc": ("Dolan and Brockett 2005", "Microsoft Research Paraphrase Corpus terms"),
    "stsb": ("Cer et al. 2017", "STS benchmark (mostly CC BY-SA)"),
    "qqp": ("Quora Question Pairs", "Quora terms"),
    "mnli": ("Williams et al. 2018", "MultiNLI (OANC and mixed)"),
    "qnli": ("Rajpurkar et al. 2016; Wang et al. 2018 (GLUE)", "SQuAD-derived, CC BY-SA 4.0"),
    "rte": (
        "Dagan et al. 2006; Bar-Haim et al. 2006; Giampiccolo et al. 2007; Bentivogli et al. 2009",
        "RTE (PASCAL), research use",
    ),
    "wnli": ("Levesque et al. 2012; Wang et al. 2018 (GLUE)", "WNLI"),
    "snli": ("Bowman et al. 2015", "CC BY-SA 4.0"),
    "sick": ("Marelli et al. 2014", "CC BY-NC-SA 3.0"),
    "scitail": ("Khot et al. 2018", "Apache-2.0"),
    "hans": ("McCoy et al. 2019", "MIT"),
    "anli": ("Nie et al. 2020", "CC BY-NC 4.0"),
    "cb": ("de Marneffe et al. 2019; Wang et al. 2019 (SuperGLUE)", "not stated"),
    "breaking": ("Glockner et al. 2018", "CC BY-SA 4.0"),
    "adv": ("Wang et al. 2021 (AdvGLUE)", "CC BY-SA 4.0"),
    "squad": ("Rajpurkar et al. 2016", "CC BY-SA 4.0"),
    "xquad": ("Artetxe et al. 2020", "CC BY-SA"),
    "mlqa": ("Lewis et al. 2020", "CC BY-SA"),
    "mrqa": ("Fisch et al. 2019 (MRQA)", "that of the source data set"),
}

# Transfer sets of models that distinguish entailment from the rest: those of HyPe Table 7, and HANS.
_ENTAILMENT_SETS = ("snli", "sick", "scitail", "hans", "qqp", "mnli", "mnli-mm")
# Further transfer sets of inference models: sets that were made hard, and CB, whose texts are of another kind.
_HARD_SETS = ("anli-r1", "anli-r2", "anli-r3", "cb", "breaking-nli")


def _entailment_sets(*others: str, without: str = "") -> tuple[str, ...]:
    return tuple(name for name in (*_ENTAILMENT_SETS, *others) if name != without)


def _inference_sets(*others: str, without: str = "") -> tuple[str, ...]:
    return _entailment_sets(*others, *_HARD_SETS, without=without)


def _task(
    name: str,
    text: tuple[str, ...],
    labels: tuple[str, ...],
    metric: str,
    description: str,
    *,
    at: str = "",
    train: str | None = "train",
    evaluation: str = "validation",
    values: tuple[int | str, ...] = (),
    transfer: tuple[str, ...] = (),
    group: str = "",
    slices: tuple[str, ...] = (),
    source: tuple[str, str] | None = None,
) -> Task:
    """An entry of the table.

    at: the data set's key; by default, the GLUE configuration of the same name.
    source: citation and licence; by default, those of the family.
    """
    dataset, _, config = (at or f"nyu-mll/glue/{name}").rpartition("/")
    citation, licence = source or _SOURCES[name.partition("-")[0]]
    return Task(
        name=name,
        dataset=dataset,
        config=config,
        text=text,
        labels=labels,
        values=values,
        train=train,
        evaluation=evaluation,
        metric=metric,
        metrics=METRICS_BY_HEADLINE[metric],
        transfer=transfer,
        group=group,
        slices=slices,
        citation=citation,
        licence=licence,
        description=description,
    )


SENTENCES_AND_PAIRS = [
    _task("cola", _SENTENCE, _ACCEPTABILITY, "matthews", "Is the sentence grammatically acceptable?"),
    _task("sst2", _SENTENCE, _SENTIMENT, "accuracy", "Sentiment of a phrase of a film review.", transfer=("adv-sst2",)),
    _task("mrpc", _SENTENCES, _PARAPHRASE, "f1", "Do two news sentences say the same?",
          transfer=_entailment_sets("adv-qqp")),
    _task("stsb", _SENTENCES, (), "pearson_spearman", "Similarity of two sentences, from 0 to 5."),
    _task("qqp", ("question1", "question2"), _DUPLICATE, "f1", "Do two questions ask the same?",
          transfer=_entailment_sets("mrpc", "adv-qqp", without="qqp")),
    _task("mnli", _NLI, _THREE_WAY, "accuracy", "Entailment over several genres, on those of the training set.",
          evaluation="validation_matched",
          transfer=_inference_sets("rte", "adv-mnli", "adv-mnli-mm", without="mnli")),
    _task("mnli-mm", _NLI, _THREE_WAY, "accuracy", "Entailment over several genres, on those training lacks.",
          at="nyu-mll/glue/mnli", train=None, evaluation="validation_mismatched"),
    # For a store without MNLI's training set. No premise is in both parts.
    _task("mnli-dev", _NLI, _THREE_WAY, "accuracy", "MNLI's matched development set, cut in two by premises.",
          at="nyu-mll/glue/mnli", train="validation_matched[larger]", evaluation="validation_matched[smaller]",
          group="premise", transfer=_inference_sets("rte", "adv-mnli", "adv-mnli-mm", without="mnli")),
    _task("qnli", ("question", "sentence"), TWO_WAY, "accuracy", "Does the sentence answer the question?",
          transfer=("adv-qnli",)),
    _task("rte", _SENTENCES, TWO_WAY, "accuracy", "Does the first text entail the second?",
          transfer=_inference_sets("adv-rte")),
    _task("wnli", _SENTENCES, ("not_entailment", "entailment"), "accuracy",
          "Does a sentence entail itself with a pronoun resolved?"),
    _task("snli", _NLI, _THREE_WAY, "accuracy", "Entailment between image captions.",
          at="stanfordnlp/snli/plain_text", transfer=_inference_sets("rte", without="snli")),
    _task("sick", ("sentence_A", "sentence_B"), _THREE_WAY, "accuracy", "Entailment between everyday sentences.",
          at="RobZamp/sick/default", transfer=_inference_sets(without="sick")),
    _task("sick-test", ("sentence_A", "sentence_B"), _THREE_WAY, "accuracy", "SICK on its test split.",
          at="RobZamp/sick/default", train=None, evaluation="test"),
    # SciTail's "neutral" means everything that is not entailed: the two-way label, not the three-way one.
    _task("scitail", _NLI, TWO_WAY, "accuracy", "Does a web sentence entail the answer to a science question?",
          at="allenai/scitail/tsv_format", values=("entails", "neutral"),
          transfer=_inference_sets(without="scitail")),
    _task("scitail-test", _NLI, TWO_WAY, "accuracy", "SciTail on its test split.",
          at="allenai/scitail/tsv_format", values=("entails", "neutral"), train=None, evaluation="test"),
    _task("hans", _NLI, TWO_WAY, "accuracy", "Entailment where overlap, subsequence and constituent mislead.",
          at="jhu-cogsci/hans/plain_text", train=None, slices=("heuristic", "subcase")),
    *(_task(f"anli-r{n}", _NLI, _THREE_WAY, "accuracy", f"Entailment, written to fool models: round {n}.",
            at="facebook/anli/plain_text", train=f"train_r{n}", evaluation=f"dev_r{n}",
            transfer=_inference_sets("rte", without=f"anli-r{n}"))
      for n in (1, 2, 3)),
    # Here contradiction is class 1 and neutral class 2.
    _task("cb", _NLI, ("entailment", "contradiction", "neutral"), "accuracy",
          "Does the speaker hold the embedded clause to be true?",
          at="aps/super_glue/cb", transfer=_inference_sets("rte", without="cb")),
    _task("breaking-nli", _NLI, _THREE_WAY, "accuracy", "SNLI premises with one word replaced.",
          at="BIU-NLP/breaking_nli/default", train=None, evaluation="test", slices=("category",)),
]  # fmt: skip


def entry(name: str) -> Task:
    """The task of this name in `SENTENCES_AND_PAIRS`, whose columns and labels other sets share."""
    return next(task for task in SENTENCES_AND_PAIRS if task.name == name)


def _adversarial(base: str) -> Task:
    """The AdvGLUE set of a GLUE task: same columns and labels, no training split, scored by accuracy (HyPe Table 6)."""
    citation, licence = _SOURCES["adv"]
    return replace(
        entry(base),
        name=f"adv-{base}",
        dataset="AI-Secure/adv_glue",
        config=f"adv_{base.replace('-', '_')}",
        train=None,
        evaluation="validation",
        metric="accuracy",
        transfer=(),
        slices=("data_construction",),
        citation=citation,
        licence=licence,
        description=f"Adversarial examples against {base}.",
    )


ADVERSARIAL = [_adversarial(base) for base in ("sst2", "qqp", "mnli", "mnli-mm", "qnli", "rte")]

# The six out-of-domain development sets of MRQA 2019, configurations of one data set in the store.
_MRQA = ("bioasq", "drop", "duorc", "race", "relation-extraction", "textbookqa")


def _question_answering(
    name: str,
    at: str,
    description: str,
    *,
    train: str | None = None,
    evaluation: str = "validation",
    transfer: tuple[str, ...] = (),
) -> Task:
    """An entry in the schema of SQuAD 1.1. If a split is cut into parts, no article is in two of them."""
    task = _task(name, ("question", "context"), SPAN, "span_f1", description,
                 at=at, train=train, evaluation=evaluation, transfer=transfer)  # fmt: skip
    return replace(task, label="answers", group="title" if "[" in evaluation else "")


QUESTIONS = [
    _question_answering("squad", "rajpurkar/squad/plain_text", "Questions about Wikipedia paragraphs, SQuAD 1.1.",
                        train="train", transfer=("mlqa-en", *(f"mrqa-{name}" for name in _MRQA))),
    # XQuAD's English questions are a subset of SQuAD's development set.
    _question_answering("xquad-en", "google/xquad/xquad.en", "XQuAD's English questions about Wikipedia paragraphs."),
    _question_answering("xquad-en-parts", "google/xquad/xquad.en",
                        "XQuAD's English questions, trained on three quarters of the articles, evaluated on the rest.",
                        train="validation[train]", evaluation="validation[rest]", transfer=("mlqa-en",)),
    _question_answering("mlqa-en", "facebook/mlqa/mlqa.en.en", "MLQA's English questions about Wikipedia paragraphs."),
    *(_question_answering(f"mrqa-{name}", f"mrqa/mrqa/{name}", f"{name}, out of domain in MRQA 2019.")
      for name in _MRQA),
]  # fmt: skip
