"""The task table: one entry a task, and everything the project knows about it by name.

A new task is one more entry. Label numbers are those of the hub's files; names are written as the data sets call them,
and `tasks/labels.py` says which names of different sets mean the same. Headline metrics follow Table 10 of HyPe
(arXiv 2212.08853). The transfer sets are defaults: a suite may name its own.
"""

import re
from dataclasses import dataclass, replace

from steadytune.errors import SteadyTuneError, unknown

SPAN = ("start", "end")
"""What stands for label names where the answer is a span: the head's two outputs at every token."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set with its label space, splits and metrics."""

    name: str
    dataset: str
    """`<owner>/<name>` on the hub and in the store."""
    config: str
    text: tuple[str, ...]
    """The one or two text columns, in the order a model reads them."""
    label: str = "label"
    """The label column."""
    labels: tuple[str, ...]
    """Label names in the order of the class index; none for regression; `SPAN` for question answering."""
    values: tuple[int | str, ...] = ()
    """What stands for each name in the file; 0, 1, ... where nothing is said."""
    train: str | None
    """The split trained on, or a part of one, `validation[train]`; None for a set that only evaluates."""
    evaluation: str
    """The split that the tables report, or a part of one."""
    group: str = ""
    """Where splits are cut into parts (`tasks/parts.py`): the column whose values are each in one part alone."""
    metric: str
    """The headline metric."""
    metrics: tuple[str, ...]
    """All metrics that are logged."""
    transfer: tuple[str, ...] = ()
    """Tasks whose evaluation split a model trained on this one is evaluated on too: its transfer group."""
    slices: tuple[str, ...] = ()
    """Columns by whose values scores are broken down: the heuristics of HANS, the constructions of AdvGLUE."""
    citation: str
    licence: str
    description: str

    def __post_init__(self) -> None:
        if not self.values:
            object.__setattr__(self, "values", tuple(range(len(self.labels))))

    @property
    def regression(self) -> bool:
        """Whether the label is a number and not a class."""
        return not self.labels

    @property
    def span(self) -> bool:
        """Whether the answer is a span of the second text: extractive question answering."""
        return self.labels == SPAN

    @property
    def num_labels(self) -> int:
        """Outputs of the model's head: the number of classes, 1 for regression, 2 at each token for a span."""
        return len(self.labels) or 1

    @property
    def dataset_key(self) -> str:
        """The folder below `store/datasets` and the key in the lock: `<owner>/<name>/<config>`."""
        return f"{self.dataset}/{self.config}"


_ACCEPTABILITY = ("unacceptable", "acceptable")
_SENTIMENT = ("negative", "positive")
_PARAPHRASE = ("not_equivalent", "equivalent")
_DUPLICATE = ("not_duplicate", "duplicate")
_TWO_WAY = ("entailment", "not_entailment")
_THREE_WAY = ("entailment", "neutral", "contradiction")

_SENTENCE = ("sentence",)
_SENTENCES = ("sentence1", "sentence2")
_NLI = ("premise", "hypothesis")

# All logged metrics by the headline metric. MRPC and QQP log accuracy and F1 always, because papers differ in which of
# them, or their mean, they print.
_METRICS = {
    "accuracy": ("accuracy",),
    "f1": ("f1", "accuracy", "accuracy_f1"),
    "matthews": ("matthews", "accuracy"),
    "pearson_spearman": ("pearson_spearman", "pearson", "spearman"),
    "span_f1": ("span_f1", "exact_match"),
}

# Citation and licence by the task's name without what follows a hyphen.
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
    "mini": ("generated by SteadyTune", "that of SteadyTune"),
}

# What a model that tells entailment from the rest is evaluated on: the sets of HyPe Table 7, and HANS.
_ENTAILMENT_SETS = ("snli", "sick", "scitail", "hans", "qqp", "mnli", "mnli-mm")
# What a model trained on inference is evaluated on besides: sets that were made hard, and one of another kind of text.
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
) -> Task:
    """An entry; `at` is the dataset key, the GLUE configuration of the same name where nothing is said."""
    dataset, _, config = (at or f"nyu-mll/glue/{name}").rpartition("/")
    citation, licence = _SOURCES[name.partition("-")[0]]
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
        metrics=_METRICS[metric],
        transfer=transfer,
        group=group,
        slices=slices,
        citation=citation,
        licence=licence,
        description=description,
    )


_REAL = [
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
    # For a store without MNLI's training set: no premise is on both sides.
    _task("mnli-dev", _NLI, _THREE_WAY, "accuracy", "MNLI's matched development set, cut in two by premises.",
          at="nyu-mll/glue/mnli", train="validation_matched[larger]", evaluation="validation_matched[smaller]",
          group="premise", transfer=_inference_sets("rte", "adv-mnli", "adv-mnli-mm", without="mnli")),
    _task("qnli", ("question", "sentence"), _TWO_WAY, "accuracy", "Does the sentence answer the question?",
          transfer=("adv-qnli",)),
    _task("rte", _SENTENCES, _TWO_WAY, "accuracy", "Does the first text entail the second?",
          transfer=_inference_sets("adv-rte")),
    _task("wnli", _SENTENCES, ("not_entailment", "entailment"), "accuracy",
          "Does a sentence entail itself with a pronoun resolved?"),
    _task("snli", _NLI, _THREE_WAY, "accuracy", "Entailment between image captions.",
          at="stanfordnlp/snli/plain_text", transfer=_inference_sets("rte", without="snli")),
    _task("sick", ("sentence_A", "sentence_B"), _THREE_WAY, "accuracy", "Entailment between everyday sentences.",
          at="RobZamp/sick/default", transfer=_inference_sets(without="sick")),
    _task("sick-test", ("sentence_A", "sentence_B"), _THREE_WAY, "accuracy", "SICK on its test split.",
          at="RobZamp/sick/default", train=None, evaluation="test"),
    # SciTail writes "neutral" for everything that is not entailed: the two-way label, not the three-way one.
    _task("scitail", _NLI, _TWO_WAY, "accuracy", "Does a web sentence entail the answer to a science question?",
          at="allenai/scitail/tsv_format", values=("entails", "neutral"),
          transfer=_inference_sets(without="scitail")),
    _task("scitail-test", _NLI, _TWO_WAY, "accuracy", "SciTail on its test split.",
          at="allenai/scitail/tsv_format", values=("entails", "neutral"), train=None, evaluation="test"),
    _task("hans", _NLI, _TWO_WAY, "accuracy", "Entailment where overlap, subsequence and constituent mislead.",
          at="jhu-cogsci/hans/plain_text", train=None, slices=("heuristic", "subcase")),
    *(_task(f"anli-r{n}", _NLI, _THREE_WAY, "accuracy", f"Entailment, written to fool models: round {n}.",
            at="facebook/anli/plain_text", train=f"train_r{n}", evaluation=f"dev_r{n}",
            transfer=_inference_sets("rte", without=f"anli-r{n}"))
      for n in (1, 2, 3)),
    # Contradiction is class 1 here, and neutral 2.
    _task("cb", _NLI, ("entailment", "contradiction", "neutral"), "accuracy",
          "Does the speaker hold the embedded clause to be true?",
          at="aps/super_glue/cb", transfer=_inference_sets("rte", without="cb")),
    _task("breaking-nli", _NLI, _THREE_WAY, "accuracy", "SNLI premises with one word replaced.",
          at="BIU-NLP/breaking_nli/default", train=None, evaluation="test", slices=("category",)),
]  # fmt: skip


def _adversarial(base: str) -> Task:
    """The AdvGLUE set of a GLUE task: same columns and labels, no training split, accuracy (HyPe Table 6)."""
    origin = next(task for task in _REAL if task.name == base)
    citation, licence = _SOURCES["adv"]
    return replace(
        origin,
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


_ADV_GLUE = [_adversarial(base) for base in ("sst2", "qqp", "mnli", "mnli-mm", "qnli", "rte")]

# The six sets that MRQA 2019 kept for development out of domain, as configurations of one data set in the store.
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
    """An entry in the schema of SQuAD 1.1; where a split is cut into parts, no article is in two of them."""
    task = _task(name, ("question", "context"), SPAN, "span_f1", description,
                 at=at, train=train, evaluation=evaluation, transfer=transfer)  # fmt: skip
    return replace(task, label="answers", group="title" if "[" in evaluation else "")


_QUESTIONS = [
    _question_answering("squad", "rajpurkar/squad/plain_text", "Questions about Wikipedia paragraphs, SQuAD 1.1.",
                        train="train", transfer=("mlqa-en", *(f"mrqa-{name}" for name in _MRQA))),
    # XQuAD's English questions are a part of SQuAD's development set.
    _question_answering("xquad-en", "google/xquad/xquad.en", "XQuAD's English questions about Wikipedia paragraphs."),
    _question_answering("xquad-en-parts", "google/xquad/xquad.en",
                        "XQuAD's English questions, trained on three quarters of the articles, evaluated on the rest.",
                        train="validation[train]", evaluation="validation[rest]", transfer=("mlqa-en",)),
    _question_answering("mlqa-en", "facebook/mlqa/mlqa.en.en", "MLQA's English questions about Wikipedia paragraphs."),
    *(_question_answering(f"mrqa-{name}", f"mrqa/mrqa/{name}", f"{name}, out of domain in MRQA 2019.")
      for name in _MRQA),
]  # fmt: skip

# The mini language imitates six GLUE tasks, columns and label numbers included. Each has shifted evaluation sets:
# constructions and words that training never shows, and, for entailment, pairs in which word overlap misleads.
_SHIFTS = {
    "constructions": "constructions held out of training",
    "vocabulary": "words held out of training",
    "overlap": "pairs in which word overlap misleads",
}
_MINI_SHIFTS = {
    "cola": ("constructions", "vocabulary"),
    "sst2": ("constructions", "vocabulary"),
    "mrpc": ("constructions", "vocabulary"),
    "stsb": ("constructions", "vocabulary"),
    "rte": ("constructions", "vocabulary", "overlap"),
    "mnli": ("constructions", "vocabulary", "overlap"),
}
# Entailment and paraphrase models of the mini language are evaluated on each other's sets, as the real ones are.
_MINI_RELATED = {"rte": ("mnli", "mrpc"), "mnli": ("rte", "mrpc"), "mrpc": ("rte", "mnli")}


def _mini(base: str) -> list[Task]:
    """A task of the mini language and its shifted sets."""
    origin = next(task for task in _REAL if task.name == base)
    name = f"mini-{base}"
    citation, licence = _SOURCES["mini"]
    related = tuple(f"mini-{other}" for other in _MINI_RELATED.get(base, ()))
    task = replace(
        origin,
        name=name,
        dataset="steadytune/mini",
        config=base,
        train="train",
        evaluation="validation",
        transfer=tuple(f"{name}-{shift}" for shift in _MINI_SHIFTS[base]) + related,
        citation=citation,
        licence=licence,
        description=f"The mini language's imitation of {base}.",
    )
    shifted = [
        replace(
            task,
            name=f"{name}-{shift}",
            train=None,
            evaluation=shift,
            labels=_TWO_WAY if shift == "overlap" else task.labels,
            values=(),
            transfer=(),
            slices=("heuristic",) if shift == "overlap" else (),
            description=f"{name} on {_SHIFTS[shift]}.",
        )
        for shift in _MINI_SHIFTS[base]
    ]
    return [task, *shifted]


TASKS: dict[str, Task] = {
    task.name: task
    for task in (*_REAL, *_ADV_GLUE, *_QUESTIONS, *(entry for base in _MINI_SHIFTS for entry in _mini(base)))
}


def parse_task(name: str) -> tuple[Task, int | None]:
    """The task that `name` names, and the size of its fixed subset: `rte@1k` -> (RTE, 1000), `rte` -> (RTE, None).

    A subset has one spelling only, the short one, because names become paths: `@1k`, not `@1000`.

    Raises:
        SteadyTuneError: an unknown task, or a subset that is not a positive number in its one spelling.
    """
    base, at, size = name.partition("@")
    if base not in TASKS:
        raise unknown("task", base, TASKS)
    if not at:
        return TASKS[base], None
    match = re.fullmatch(r"(\d+)(k?)", size, flags=re.ASCII)
    count = int(match[1]) * (1000 if match[2] else 1) if match else 0
    if count < 1:
        raise SteadyTuneError(
            f"task '{name}': expected a number of examples after '@', such as {base}@500 or {base}@1k"
        )
    if size != spell_size(count):
        raise SteadyTuneError(f"task '{name}': write {base}@{spell_size(count)}")
    return TASKS[base], count


def spell_size(count: int) -> str:
    """A number of examples as names spell it: 1000 -> `1k`, 1500 -> `1500`."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)
