"""Evaluations of a tiny pair from beginning to end: every system, what is left in the folder, and going on."""

import json
import re
from pathlib import Path
from typing import Any

import faiss
import pytest

from evaluation.predictions import Prediction
from evaluation.settings import DatasetSettings
from evaluation.systems import Asker
from semiparametric.errors import CosupError, InputError, StoreError
from semiparametric.store.layout import version_folder
from tests.conftest import save_tiny_pair, tiny_tokenizer
from tests.evaluation.evaluations import Counted, run, settings_of
from tests.evaluation.sets import (
    DOCS,
    EXAMPLES,
    KILT_PASSAGES,
    kilt_record,
    write_corpus,
    write_json,
    write_lines,
)
from tests.small_index import build_small_index


def predictions(out: Path) -> dict[tuple[str, str], Prediction]:
    lines = (out / "predictions.jsonl").read_text("utf-8").splitlines()
    made = [Prediction.model_validate_json(line) for line in lines]
    return {(one.system, one.id): one for one in made}


def small(tmp_path: Path, pair: Path, **given: Any) -> dict[str, Any]:
    """Settings of an evaluation of the three examples, with its index built."""
    dataset = {"file": write_lines(tmp_path / "e.jsonl", *EXAMPLES), "index": tmp_path / "index"}
    if not (tmp_path / "index").exists():
        build_small_index(pair, tmp_path / "index")
    return {"pair": pair, "datasets": {"small": dataset}} | given


def test_all_systems_are_asked_the_same_questions_and_read_the_passages_they_found(
    tiny_pair: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    report = run(settings_of(out, **small(tmp_path, tiny_pair, systems=["pair", "bm25", "closed-book", "oracle"])))
    made = predictions(out)
    assert set(made) == {(s, f"e{n}") for s in ("pair", "bm25", "closed-book") for n in (1, 2, 3)} | {
        ("oracle", "e1"),
        ("oracle", "e2"),  # the third has no gold passage to give
    }
    for name, gold in (("e1", "lamp"), ("e2", "tide")):
        assert [one.id for one in made["oracle", name].passages] == [gold]
        assert made["oracle", name].found is None
        by_words = made["bm25", name]
        assert by_words.found is not None
        assert [one.id for one in by_words.passages] == [by_words.found[0].id] == [gold]
        assert made["closed-book", name].passages == []
        asked = made["pair", name]
        assert asked.found is not None
        assert asked.passages[0].id == asked.found[0].id
    figures = report.sets["small"].systems
    assert figures["bm25"].figures["success@1"].mean == figures["oracle"].figures["cites_gold"].mean == 1.0
    assert "success@1" not in figures["closed-book"].figures
    assert (report.sets["small"].questions, report.sets["small"].unanswerable) == (3, 1)
    assert figures["pair"].figures["f1"].count == 2


def test_the_folder_holds_report_scores_plots_page_and_trec_files(tiny_pair: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    title = "Lamps </script><b>"
    run(settings_of(out, title=title, **small(tmp_path, tiny_pair, systems=["pair", "closed-book"])))
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {
        *("abstention.png", "asked.json", "figures.png", "index.html", "predictions.jsonl", "report.json", "report.md"),
        *("scores.jsonl", "trec/small.pair.run", "trec/small.qrels"),
    }
    assert (out / "trec" / "small.qrels").read_text("utf-8") == "e1 0 lamp 1\ne2 0 tide 1\n"
    lines = [json.loads(line) for line in (out / "scores.jsonl").read_text("utf-8").splitlines()]
    assert [(line["system"], line["id"]) for line in lines] == [
        (system, name) for system in ("pair", "closed-book") for name in ("e1", "e2", "e3")
    ]
    page = (out / "index.html").read_text("utf-8")
    embedded = page.split('<script id="data" type="application/json">')[1].split("</script>")[0]
    told = json.loads(embedded)
    assert told["title"] == title
    assert told["sets"][0]["questions"][0]["by"].keys() == {"pair", "closed-book"}
    markdown = (out / "report.md").read_text("utf-8")
    assert "| pair | 3 |" in markdown
    assert "Questions without an answer" in markdown


def test_an_evaluation_goes_on_where_it_stopped(tiny_pair: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = settings_of(out, **small(tmp_path, tiny_pair, systems=["pair"]))
    whole = run(settings)
    lines = (out / "predictions.jsonl").read_text("utf-8").splitlines(keepends=True)
    (out / "predictions.jsonl").write_text(lines[0] + lines[1][:25], "utf-8")  # killed in the middle of a line
    counted = Counted()
    again = run(settings, counted)
    assert (counted.total, counted.known, counted.answered) == (3, 1, 2)
    before, after = (report.sets["small"].systems["pair"] for report in (whole, again))
    assert before.figures == after.figures
    # More systems and questions join those that are there.
    counted = Counted()
    run(settings_of(out, **small(tmp_path, tiny_pair, systems=["pair", "closed-book"])), counted)
    assert (counted.total, counted.known, counted.answered) == (6, 3, 3)


def test_predictions_that_were_made_otherwise_are_refused(tiny_pair: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(settings_of(out, **small(tmp_path, tiny_pair, systems=["pair"])))
    longer = settings_of(out, decoding={"max_new_tokens": 7}, **small(tmp_path, tiny_pair, systems=["pair"]))
    with pytest.raises(InputError, match=r"made with other decoding\. Name another `out`, or delete the file"):
        run(longer)
    same = settings_of(out, **small(tmp_path, tiny_pair, systems=["pair"]))
    write_lines(tmp_path / "e.jsonl", *EXAMPLES[:2])
    with pytest.raises(InputError, match=r"made with other datasets\.small"):
        run(same)


def test_predictions_that_stand_twice_are_refused(tiny_pair: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = settings_of(out, **small(tmp_path, tiny_pair, systems=["pair"]))
    run(settings)
    path = out / "predictions.jsonl"
    path.write_text(path.read_text("utf-8") * 2, "utf-8")
    with pytest.raises(InputError, match=r"line 4: pair has a prediction for 'e[123]' of small already"):
        run(settings)
    path.write_text("", "utf-8")
    (out / "asked.json").unlink()
    with pytest.raises(InputError, match="how the predictions beside it were made is not known"):
        run(settings)


def test_a_question_that_is_too_long_is_refused_alone_and_counts_as_wrong(tiny_pair: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = small(tmp_path, tiny_pair, systems=["pair"])
    write_lines(tmp_path / "e.jsonl", EXAMPLES[0], EXAMPLES[1] | {"question": "lamp " * 2000})
    report = run(settings_of(out, **given))
    told = report.sets["small"].systems["pair"]
    assert (told.asked, told.refused, told.slices["refused"]) == (2, 1, 1)
    assert told.figures["f1"].count == 2
    assert "1 questions could not be asked and count as wrong" in (out / "report.md").read_text("utf-8")


def test_a_set_that_names_its_corpus_has_its_index_built(tiny_pair: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "nq-dev.jsonl", kilt_record("q1", "When is the lamp lit?", ("at dusk", "10")))
    dataset = {
        "format": "kilt",
        "file": tmp_path / "nq-dev.jsonl",
        "corpus": write_corpus(tmp_path / "wiki.jsonl", KILT_PASSAGES),
    }
    out = tmp_path / "out"
    systems = ["pair", "bm25", "oracle"]
    report = run(settings_of(out, pair=tiny_pair, systems=systems, datasets={"nq": dataset}))
    assert (out / "indexes" / "nq" / "CURRENT").is_file()
    made = predictions(out)
    assert [one.page for one in made["oracle", "q1"].passages] == ["10"]
    assert made["bm25", "q1"].found is not None
    assert made["bm25", "q1"].found[0].page == "10"
    figures = report.sets["nq"].systems["bm25"].figures
    assert figures["r_precision"].mean == 1.0
    assert {"kilt_em", "kilt_f1", "kilt_accuracy"} <= figures.keys()


def test_a_set_may_be_spared_a_system(tiny_pair: Path, tmp_path: Path) -> None:
    given = small(tmp_path, tiny_pair, systems=["pair", "bm25"])
    given["datasets"]["spared"] = given["datasets"]["small"] | {"without": ["bm25"]}
    report = run(settings_of(tmp_path / "out", **given))
    assert list(report.sets["small"].systems) == ["pair", "bm25"]
    assert list(report.sets["spared"].systems) == ["pair"]


def test_the_oracle_reads_the_page_where_no_paragraph_is_named(tiny_pair: Path, tmp_path: Path) -> None:
    record = kilt_record("q1", "When?", ("at dusk", "20"))
    record["output"][0]["provenance"] = [{"wikipedia_id": "20"}]
    dataset = {"format": "kilt", "file": write_lines(tmp_path / "k.jsonl", record), "index": tmp_path / "index"}
    settings = settings_of(
        tmp_path / "out",
        pair=tiny_pair,
        systems=["oracle"],
        datasets={"k": dataset | {"corpus": write_corpus(tmp_path / "wiki.jsonl", KILT_PASSAGES)}},
    )
    run(settings)
    assert [one.id for one in predictions(tmp_path / "out")["oracle", "q1"].passages] == ["20-1"]


def test_lookups_choose_among_the_candidates_of_each_question(tiny_pair: Path, tmp_path: Path) -> None:
    records = [
        {"id": "a1", "question": "When is the lamp lit?", "answers": ["at dusk"], "docs": DOCS[:2]},
        {"id": "a2", "question": "When is the lamp lit?", "answers": ["at dusk"], "docs": DOCS[2:]},
    ]
    build_small_index(tiny_pair, tmp_path / "index")
    dataset = {
        "format": "alce",
        "file": write_json(tmp_path / "set.json", records),
        "index": tmp_path / "index",
        "candidates": "docs",
        "paper_correct": "contains",
        "published": {"paper_correct": 31.8},
        "published_source": "a paper",
    }
    out = tmp_path / "out"
    report = run(settings_of(out, pair=tiny_pair, systems=["pair", "bm25"], datasets={"set": dataset}))
    for (system, name), one in predictions(out).items():
        among = {"lamp", "tide"} if name == "a1" else {"wheel"}
        assert {read.id for read in one.passages} <= among, system
        assert {found.id for found in one.found or []} == among
    assert report.sets["set"].systems["bm25"].figures["paper_retrieval"].mean == 0.5
    assert "| *published* |" in (out / "report.md").read_text("utf-8")
    missing = dataset | {
        "file": write_json(tmp_path / "other.json", [records[0] | {"docs": [{"id": "x", "text": "y"}]}])
    }
    with pytest.raises(InputError, match="1 of 1 candidates of the questions are not in it"):
        run(settings_of(tmp_path / "other", pair=tiny_pair, systems=["pair"], datasets={"set": missing}))


def test_an_instruction_of_the_set_stands_in_place_of_the_pairs(tiny_pair: Path, tmp_path: Path) -> None:
    given = small(tmp_path, tiny_pair)
    plain = settings_of(tmp_path / "a", **given)
    said = {"small": given["datasets"]["small"] | {"instruction": "Answer in one word."}}
    told = settings_of(tmp_path / "b", **given | {"datasets": said})
    questions = [one.question for one in Asker("small", told).asks("pair", _questions(told))]
    assert [one.ask.instruction for one in Asker("small", told).asks("pair", questions)] == ["Answer in one word."] * 3
    assert {one.ask.instruction for one in Asker("small", plain).asks("pair", questions)} == {None}
    first, second = (run(one).sets["small"].systems["pair"] for one in (plain, told))
    assert first.asked == second.asked
    answers = [
        [one.found[0].score for one in predictions(tmp_path / name).values() if one.found] for name in ("a", "b")
    ]
    assert answers[0] != answers[1]  # the query state has read it


def _questions(settings: Any) -> Any:
    from evaluation.datasets import read_questions

    dataset: DatasetSettings = settings.datasets["small"]
    return read_questions("small", dataset)


def test_answers_made_elsewhere_are_scored_beside_the_pairs(tiny_pair: Path, tmp_path: Path) -> None:
    guesses = [
        {"id": "e1", "output": [{"answer": "at dusk"}]},
        {"id": "e2", "output": [{"answer": "never"}]},
        {"id": "e3", "output": [{"answer": ""}]},
    ]
    theirs = {"theirs": {"small": write_lines(tmp_path / "guess.jsonl", *guesses)}}
    given = small(tmp_path, tiny_pair, systems=["pair"], predictions=theirs)
    report = run(settings_of(tmp_path / "out", **given))
    assert report.sets["small"].systems["theirs"].figures["right"].mean == 0.5
    alone = small(tmp_path, tiny_pair, systems=[], predictions=theirs) | {"pair": None}
    report = run(settings_of(tmp_path / "alone", **alone))
    assert list(report.sets["small"].systems) == ["theirs"]


def test_a_sentence_encoder_looks_up_before_the_same_gen(tiny_pair: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel

    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    model = SentenceTransformer(str(tmp_path / "bert"), device="cpu", local_files_only=True)  # mean pooling
    out = tmp_path / "out"
    given = small(tmp_path, tiny_pair, systems=["dense"], dense=str(tmp_path / "bert"))
    run(settings_of(out, **given))
    found = predictions(out)["dense", "e1"].found
    assert found is not None
    query = model.encode(["When is the lamp lit?"], normalize_embeddings=True)
    passages = model.encode(["The lamp The lamp is lit at dusk."], normalize_embeddings=True)
    assert {one.id: one.score for one in found}["lamp"] == pytest.approx(float((query @ passages.T)[0, 0]), abs=1e-5)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    kept = list((out / "vectors").iterdir())
    assert [path.suffix for path in kept] == [".safetensors"]
    with pytest.raises(InputError, match=r"dense .*nowhere: there is no such folder, and no installed package"):
        run(settings_of(tmp_path / "other", **given | {"dense": str(tmp_path / "nowhere")}))


def test_an_index_that_is_not_there_is_refused_with_the_command_that_builds_it(tiny_pair: Path, tmp_path: Path) -> None:
    dataset = {"file": write_lines(tmp_path / "e.jsonl", *EXAMPLES)}
    with pytest.raises(InputError, match=r"there is no index.*cosup index build --pair .* or name the corpus"):
        run(settings_of(tmp_path / "out", pair=tiny_pair, systems=["pair"], datasets={"small": dataset}))


def test_an_index_of_another_pair_is_refused(tiny_pair: Path, tmp_path: Path) -> None:
    given = small(tmp_path, tiny_pair, systems=["pair"])
    other = save_tiny_pair(tmp_path / "other", seed=1)
    with pytest.raises(StoreError, match="its vectors were made by the pair"):
        run(settings_of(tmp_path / "out", **given | {"pair": other}))


def test_a_judge_that_is_not_there_is_refused_before_anything_is_asked(tiny_pair: Path, tmp_path: Path) -> None:
    given = small(tmp_path, tiny_pair, systems=["pair"], judge=str(tmp_path / "nli"))
    with pytest.raises(InputError, match="there is no NLI model"):
        run(settings_of(tmp_path / "out", **given))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("system", ["pair", "bm25", "oracle"])
@pytest.mark.parametrize("name", ["index.faiss", "passages.arrow", "manifest.json"])
def test_an_index_with_a_flipped_byte_is_refused_whatever_is_evaluated(
    tiny_pair: Path, tmp_path: Path, system: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = small(tmp_path, tiny_pair, systems=[system])
    path = version_folder(tmp_path / "index", 1) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(faiss, "read_index", lambda *_: pytest.fail("faiss reads a damaged index"))
    with pytest.raises(CosupError, match=rf"{re.escape(name)}: damaged: its checksum is"):
        run(settings_of(tmp_path / "out", **given))


def test_candidates_are_refused_to_be_looked_for_in_a_damaged_index(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index")
    alce = [{"question": "When is the lamp lit?", "answer": "at dusk", "docs": DOCS}]
    file = write_json(tmp_path / "alce.json", alce)
    dataset = {"file": file, "format": "alce", "index": index, "candidates": "docs"}
    path = version_folder(index, 1) / "passages.arrow"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match=r"passages\.arrow: damaged: its checksum is"):
        run(settings_of(tmp_path / "out", pair=tiny_pair, datasets={"small": dataset}, systems=["closed-book"]))
