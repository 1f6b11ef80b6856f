"""A report made by hand: two seeds of three groups on two sets."""

from evaluation.results import CellResult, Report, SetAbout, SetFigures


def figures(recall: float, f1: float | None, note: str = "") -> SetFigures:
    return SetFigures(
        questions=100,
        recall_at_1=recall,
        recall_at_5=min(1.0, 2 * recall),
        answered=0 if f1 is None else 40,
        exact_match=f1,
        f1=f1,
        right=f1,
        grounded=f1,
        cites_gold=f1,
        wrong_lookups=0 if f1 is None else 5,
        right_on_wrong_lookup=f1,
        note=note,
    )


def cell(
    group: str,
    supervision: str,
    seed: int,
    recall: float,
    f1: float | None,
    *,
    nsp_weight: float | None = None,
    embseq: str = "default",
) -> CellResult:
    note = "it cannot write" if f1 is None else ""
    return CellResult(
        name=f"{group}-seed{seed}",
        group=group,
        supervision=supervision,
        nsp_weight=nsp_weight,
        embseq=embseq,
        seed=seed,
        digest="0",
        sets={"books": figures(recall, f1, note), "wiki": figures(recall / 2, f1, note)},
        curves={
            "ntp": [(float(step), 6.0 - step / 20 - seed / 5) for step in range(10, 101, 10)],
            "nsp": [(float(step), 4.0 - step / 50) for step in range(10, 101, 10)],
            "eval_dev_recall@1": [(50.0, recall / 2), (100.0, recall)],
        },
        seconds={"training": 60.0, "indexing": 2.0, "asking": 5.0},
    )


def made_report() -> Report:
    cells = [
        cell("co-supervised-lambda0.1", "co-supervised", 0, 0.40, 0.30, nsp_weight=0.1),
        cell("co-supervised-lambda0.1", "co-supervised", 1, 0.50, 0.34, nsp_weight=0.1),
        cell("co-supervised-lambda1", "co-supervised", 0, 0.60, 0.20, nsp_weight=1.0),
        cell("co-supervised-lambda1", "co-supervised", 1, 0.62, 0.22, nsp_weight=1.0),
        cell("separate", "separate", 0, 0.30, 0.28),
        cell("separate", "separate", 1, 0.44, 0.30),
        cell("nsp-only", "nsp-only", 0, 0.45, None),
        cell("nsp-only", "nsp-only", 1, 0.47, None),
    ]
    bm25 = SetFigures(questions=100, recall_at_1=0.35, recall_at_5=0.7, note="BM25 does not answer")
    return Report(
        title="A made experiment",
        sets={
            "books": SetAbout(domain="in-domain", passages=1000, questions=100),
            "wiki": SetAbout(domain="out-of-domain", passages=500, questions=100),
        },
        cells=cells,
        bm25={"books": bm25, "wiki": bm25},
        failures={},
        settings={"out": "somewhere"},
        made_with={"Python": "3"},
    )
