"""Every shipped config is valid, and the paper's ten sets run end to end on small samples in their formats."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from evaluation.settings import EvalSettings
from tests.documents import ROOT
from tests.evaluation.evaluations import run
from tests.evaluation.sets import DOCS, write_json

CONFIGS = sorted((ROOT / "configs" / "evaluation").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_is_valid(path: Path) -> None:
    settings = EvalSettings.resolve({}, path)
    assert settings.datasets
    for dataset in settings.datasets.values():
        assert not dataset.file.is_absolute()


def sample(name: str) -> list[dict[str, Any]]:
    """Two questions as the files of that set have them."""
    if name == "asqa":
        special: list[dict[str, Any]] = [
            {"sample_id": f"s{n}", "answer": "It is lit at dusk [1].", "qa_pairs": [{"short_answers": ["dusk"]}]}
            for n in (1, 2)
        ]
    elif name == "alce-eli5":
        special = [{"answer": "At dusk.", "claims": ["The lamp is lit at dusk.", "The tide turns."]} for _ in (1, 2)]
    elif name == "fever":
        special = [
            {"id": 70, "answers": ["SUPPORTS"], "gold_docs": ["lamp"]},
            {"id": 71, "answers": ["REFUTES"], "gold_docs": ["tide"]},
        ]
    else:
        special = [{"id": f"{name}-{n}", "answers": ["at dusk", "dusk"], "gold_docs": ["lamp"]} for n in (1, 2)]
    return [{"question": f"When is lamp {n} lit?", "docs": DOCS} | one for n, one in enumerate(special)]


@pytest.mark.slow
def test_the_papers_ten_sets_run_on_small_samples(tiny_pair: Path, tmp_path: Path) -> None:
    said = yaml.safe_load((ROOT / "configs" / "evaluation" / "paper.yaml").read_text("utf-8"))
    assert len(said["datasets"]) == 10
    for name, dataset in said["datasets"].items():
        path = write_json(tmp_path / f"{name}.json", sample(name))
        dataset |= {"file": str(path), "corpus": str(path)}
    said |= {"out": str(tmp_path / "out"), "pair": str(tiny_pair), "device": "cpu", "dtype": "float32"}
    said |= {"judge": "lexical", "resamples": 100}
    said["decoding"]["max_new_tokens"] = 6
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(said), "utf-8")
    report = run(EvalSettings.resolve({}, tmp_path / "config.yaml"))
    for name, one in report.sets.items():
        figures = one.systems["pair"].figures
        assert figures["paper_retrieval"].count == 2, name
        assert {"paper_correct", "paper_correct_lexical"} & figures.keys(), name
        assert set(one.published) <= {"paper_retrieval", "paper_correct"}
    retrieval = {name: report.sets[name].systems["bm25"].figures["paper_retrieval"].mean for name in ("nq", "fever")}
    assert retrieval == {"nq": 1.0, "fever": 0.5}  # BM25 finds the lamp, which is gold for one of the two
    assert report.sets["alce-eli5"].shown[:3] == ["paper_retrieval", "grounding_lexical", "paper_correct_lexical"]
    markdown = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "| *published* |  | 65.1 |" in markdown
