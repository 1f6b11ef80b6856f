"""The metrics by name: their headings in tables, and what each one says."""

from dataclasses import dataclass

LEXICAL = "lexical"
"""The name of the judge that needs no model; its figures carry it in their names."""


@dataclass(frozen=True)
class Metric:
    """A figure of a report. All are shares, given in percent; higher is better unless `meaning` says otherwise."""

    name: str
    label: str
    meaning: str


_BY_JUDGE = ("citation_recall", "citation_precision", "grounding", "claim_recall", "paper_correct")

METRICS = (
    Metric("success@1", "success@1", "lookups whose first passage is a gold one"),
    Metric("success@5", "success@5", "lookups with a gold passage among the first five"),
    Metric("mrr", "MRR", "mean of one over the rank of the first gold passage"),
    Metric("r_precision", "R-prec", "share of R gold pages or passages among the first R (KILT; the best set counts)"),
    Metric("recall@5", "recall@5", "share of the evidence sets that are complete within five rank points (KILT)"),
    Metric("em", "EM", "answers that are a reference in KILT's normal form"),
    Metric("f1", "F1", "mean token F1 against the closest reference (KILT)"),
    Metric("accuracy", "accuracy", "answers that are a reference letter by letter (KILT)"),
    Metric("rouge_l", "ROUGE-L", "mean ROUGE-L against the closest reference (KILT's package)"),
    Metric("right", "right", "answers that contain a reference in normal form, or reach the F1 that the set names"),
    Metric("kilt_em", "KILT-EM", "EM, counted only where R-precision is 1"),
    Metric("kilt_f1", "KILT-F1", "F1, counted only where R-precision is 1"),
    Metric("kilt_accuracy", "KILT-AC", "accuracy, counted only where R-precision is 1"),
    Metric("kilt_rouge_l", "KILT-RL", "ROUGE-L, counted only where R-precision is 1"),
    Metric("str_em", "STR-EM", "share of the short answers that the answer contains (ALCE)"),
    Metric("str_hit", "STR-Hit", "answers that contain all short answers (ALCE)"),
    Metric("claim_recall", "claim recall", "share of the claims that follow from the answer (ALCE)"),
    Metric("list_precision", "list precision", "share of the listed items that are right (ALCE's QAMPARI)"),
    Metric("list_recall", "list recall", "share of the wanted items that are listed (ALCE's QAMPARI)"),
    Metric("list_recall@5", "list recall-5", "the same, five items being all that can be asked for"),
    Metric("list_f1", "list F1", "harmonic mean of list precision and list recall"),
    Metric("list_f1@5", "list F1-5", "harmonic mean of list precision and list recall-5"),
    Metric("citation_recall", "citation recall", "share of sentences that follow from the passages they cite (ALCE)"),
    Metric("citation_precision", "citation precision", "share of citations that are needed or enough alone (ALCE)"),
    Metric("grounding", "grounding", "share of cited sentences that follow from their passage (the paper's; uncited "
           "text counts with the citation after it)"),
    Metric("grounded", "word for word", "answers that cite, and whose cited spans stand so in their passages"),
    Metric("cites_gold", "cites gold", "answers that looked up a gold passage"),
    Metric("right_lookup_wrong", "right, lookup wrong", "of the answers that looked up no gold passage, those that are "
           "right all the same: said from memory (lower: it leans on its passages)"),
    Metric("paper_retrieval", "retrieval (paper)", "share of passages looked up that hold an answer letter by letter, "
           "or are gold"),
    Metric("paper_correct", "correctness (paper)", "correct answers by the paper's rule for this set"),
    Metric("paper_correct_lookup_failed", "correct (paper), lookup failed", "the same, where no passage looked up was "
           "right"),
)  # fmt: skip
_BY_NAME = {metric.name: metric for metric in METRICS}


def metric_of(name: str) -> Metric:
    """A metric by its name; one judged by words alone says so in its label and meaning.

    Raises:
        KeyError: There is no such metric.
    """
    plain = name.removesuffix(f"_{LEXICAL}")
    metric = _BY_NAME[plain]
    if plain == name:
        return metric
    if plain not in _BY_JUDGE:
        raise KeyError(name)
    return Metric(name, f"{metric.label} ({LEXICAL})", f"{metric.meaning}; judged by shared words, not by an NLI model")


def is_metric(name: str) -> bool:
    """Whether there is a metric of this name."""
    try:
        metric_of(name)
    except KeyError:
        return False
    return True


def in_order(names: set[str]) -> list[str]:
    """Names of metrics in the order of the catalogue."""
    places = {metric.name: number for number, metric in enumerate(METRICS)}
    return sorted(names, key=lambda name: (places[name.removesuffix(f"_{LEXICAL}")], name))
