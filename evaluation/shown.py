"""Which figures a set can give, and which of them its table shows."""

from collections.abc import Callable, Mapping, Sequence

from evaluation.questions import Question
from evaluation.settings import DatasetSettings
from semiparametric.errors import InputError

_BY_FORMAT = {
    "examples": (
        *("success@1", "success@5", "f1", "em", "right", "grounded", "grounding", "cites_gold"),
        "right_lookup_wrong",
    ),
    "kilt": (
        *("r_precision", "recall@5", "em", "f1", "accuracy", "rouge_l"),
        *("kilt_em", "kilt_f1", "kilt_accuracy", "kilt_rouge_l"),
    ),
    "alce": (
        *("str_em", "str_hit", "claim_recall", "list_precision", "list_recall", "list_recall@5", "list_f1"),
        *("citation_recall", "citation_precision"),
    ),
}

_PAPER = ("paper_retrieval", "grounding", "paper_correct", "paper_correct_lookup_failed")

_NEEDS: Mapping[str, tuple[str, Callable[[Question], bool]]] = {
    "provenance": ("names the passages or pages that support its answers", lambda one: bool(one.evidence)),
    "pages": ("is of KILT, with provenance", lambda one: bool(one.evidence) and one.names == "page"),
    "references": ("has answers", lambda one: bool(one.references)),
    "parts": ("has qa_pairs with short answers", lambda one: bool(one.parts)),
    "listed": ("has answers that are lists", lambda one: bool(one.listed)),
    "claims": ("has claims", lambda one: bool(one.claims)),
}
_NEEDED_BY = {
    **dict.fromkeys(("success@1", "success@5", "mrr", "r_precision", "recall@5"), "provenance"),
    **dict.fromkeys(("cites_gold", "right_lookup_wrong"), "provenance"),
    **dict.fromkeys(("kilt_em", "kilt_f1", "kilt_accuracy", "kilt_rouge_l"), "pages"),
    **dict.fromkeys(("em", "f1", "accuracy", "rouge_l", "right"), "references"),
    **dict.fromkeys(("str_em", "str_hit"), "parts"),
    **dict.fromkeys(("list_precision", "list_recall", "list_recall@5", "list_f1", "list_f1@5"), "listed"),
    "claim_recall": "claims",
}


def check_metrics(name: str, settings: DatasetSettings, questions: Sequence[Question]) -> None:
    """Refuse figures that no question of the set can give.

    Raises:
        InputError: Names the figure and what it needs.
    """
    for metric in settings.metrics:
        if metric.startswith("paper_") and settings.paper_correct is None:
            raise InputError(
                f"{metric} needs the paper's rule of a correct answer",
                where=f"datasets.{name}.metrics",
                remedy="Set paper_correct",
            )
        rule, gives = _NEEDS.get(_NEEDED_BY.get(metric, ""), ("", lambda _: True))
        if not any(map(gives, questions)):
            raise InputError(
                f"{metric} needs a set that {rule}, and {settings.file} does not",
                where=f"datasets.{name}.metrics",
                remedy="Leave it out, or take another set",
            )


def shown_figures(settings: DatasetSettings, there: set[str], suffix: str) -> list[str]:
    """Names of the figures of the set's table: those that were asked for, else the usual ones that there are.

    Args:
        settings: The set's.
        there: Names of all figures that any question has.
        suffix: The judge's, which names of figures that rest on it end in.
    """
    usual = (*_PAPER, *settings.published) if settings.paper_correct else _BY_FORMAT[settings.format]
    wanted = settings.metrics or [name for name in usual if name in there or f"{name}{suffix}" in there]
    return list(dict.fromkeys(f"{name}{suffix}" if f"{name}{suffix}" in there else name for name in wanted))
