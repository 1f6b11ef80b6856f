"""Converters: each format in a small sample, what becomes of its records, and what is refused and how."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment, read_examples, read_passages
from training.examples.cli import examples_app
from training.examples.convert import convert
from training.examples.converters.converted import content_passage, holds
from training.examples.converters.records import SourceRecord, read_records
from training.examples.settings import ConvertSettings

LAMP = "The lamp of Skerry burns rape oil. It was lit in 1811 by Ann Moor."
BELL = "A bell hangs in the porch. It is rung in fog."


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def document(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), "utf-8")
    return path


def converted(source: Path, form: str, **given: Any) -> tuple[list[Example], dict[str, Passage]]:
    """The examples and the corpus that come of one source."""
    out = source.parent / "out.jsonl"
    conversion = convert(ConvertSettings.resolve({"format": form, "in_": [source], "out": out} | given))
    passages = list(read_passages(conversion.corpus)) if conversion.corpus else []
    return list(read_examples(out)), {passage.id: passage for passage in passages}


def refusal(source: Path, form: str, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        converted(source, form, **given)
    assert not (source.parent / "out.jsonl").exists()
    return str(caught.value)


class _Row(SourceRecord):
    n: int
    text: str = ""


@pytest.mark.parametrize("form", ["lines", "array", "spread array", "object"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_records_are_read_from_lines_arrays_and_objects_alike(tmp_path: Path, form: str, suffix: str) -> None:
    rows = [{"n": n, "text": 'é "]}, ' + "x" * (n * 7)} for n in range(60)]
    text = {
        "lines": "\n".join(json.dumps(row) for row in rows),
        "array": json.dumps(rows),
        "spread array": json.dumps(rows, indent=4, ensure_ascii=False),
        "object": json.dumps({"version": ["2", {"data": 1}], "data": rows, "after": 1}),
    }[form]
    path = tmp_path / f"rows.json{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix else text.encode())
    read = [row for _, row in read_records(path, _Row, key="data" if form == "object" else None)]
    assert read == [_Row(**row) for row in rows]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 50])
def test_an_array_is_read_the_same_wherever_reading_pauses(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiparametric.json_values._CHUNK", chunk)
    rows = [{"n": n, "text": 'é\n\\ " ]' * n, "more": [1.5e3, True, None, {"a": []}]} for n in range(9)]
    path = document(tmp_path / "rows.json", rows)
    assert [row.n for _, row in read_records(path, _Row)] == list(range(9))


def test_an_array_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("[" + ",".join(json.dumps({"n": n, "text": "x" * 1000}) for n in range(20_000)) + "]")
    tracemalloc.start()
    assert sum(row.n for _, row in read_records(path, _Row)) == sum(range(20_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000 < path.stat().st_size


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"n": 1}, {"n": "x"}]', "rows.json, record 2, field n: Input should be a valid integer"),
        ('[{"n": 1}, {"n": 2]', "rows.json, record 2: not JSON"),
        ('[{"n": 1} {"n": 2}]', "rows.json: not JSON: '{' stands where one of ',]' belongs"),
        ('[{"n": 1}', "rows.json: not JSON: the end of the file stands where one of ',]' belongs"),
        ('{"n": 1}\n{"m": 1}', "rows.json, line 2, field n: Field required"),
        (
            '{"n": 1}\n{"n": }',
            "rows.json, line 2: not JSON (Expecting value, column 7). The file holds either",
        ),
        ("[1]", "rows.json, record 1: Input should be a valid dictionary"),
        (b"\xff[1]", "rows.json: not UTF-8. Save the file as UTF-8"),
    ],
)
def test_a_bad_record_is_refused_by_file_record_and_field(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        list(read_records(path, _Row))
    assert str(caught.value).startswith(f"{tmp_path}/{said}")


def test_an_object_without_its_array_and_a_damaged_gzip_file_are_refused(tmp_path: Path) -> None:
    path = document(tmp_path / "rows.json", {"version": 1, "rows": []})
    with pytest.raises(InputError, match="the file's object has no field 'data'"):
        list(read_records(path, _Row, key="data"))
    damaged = tmp_path / "rows.json.gz"
    damaged.write_bytes(gzip.compress(b'[{"n": 1}]')[:-6])
    with pytest.raises(InputError, match="not a whole gzip file"):
        list(read_records(damaged, _Row))


def test_an_answer_is_held_as_words_next_to_one_another() -> None:
    assert holds("It burnt Rape-Oil.", "rape oil")
    assert not holds("It burnt grape oils.", "rape oil")
    assert not holds("It burnt.", "?!")


# SQuAD


def squad(answer: dict[str, Any], **more: Any) -> dict[str, Any]:
    question = {"id": "q1", "question": " What does the lamp burn? ", "answers": [answer, answer]} | more
    article = {"title": "Skerry_light", "paragraphs": [{"context": LAMP, "qas": [question]}]}
    return {"version": "1.1", "data": [article]}


def test_squad_paragraphs_become_passages_and_answers_are_cited_from_them(tmp_path: Path) -> None:
    source = document(tmp_path / "train-v1.1.json", squad({"text": "rape oil", "answer_start": 25}))
    (example,), passages = converted(source, "squad")
    (passage,) = passages.values()
    assert (passage.title, passage.text) == ("Skerry light", LAMP)
    segments = [Segment(text="rape oil", passage_id=passage.id)]
    question = "What does the lamp burn?"
    assert example == Example(id="q1", task="squad", question=question, answers=["rape oil"], segments=segments)


def test_a_segment_may_be_the_sentence_that_holds_the_answer(tmp_path: Path) -> None:
    source = document(tmp_path / "s.json", squad({"text": "1811", "answer_start": 0}))
    (example,), _ = converted(source, "squad", segment_text="sentence")
    assert example.segments[0].text == "It was lit in 1811 by Ann Moor."


def test_unanswerable_questions_are_kept_when_asked_for(tmp_path: Path) -> None:
    value = squad({"text": "rape oil", "answer_start": 25}, is_impossible=True)
    source = document(tmp_path / "s.json", value)
    assert "no example can be made: no answer (kept with --unanswerable) (1)" in refusal(source, "squad")
    (example,), passages = converted(source, "squad", unanswerable=True)
    assert (example.task, example.answers, example.segments) == ("unanswerable", [], [])
    assert len(passages) == 1


def test_a_squad_answer_that_is_not_in_its_context_is_refused(tmp_path: Path) -> None:
    said = refusal(document(tmp_path / "s.json", squad({"text": "olive oil"})), "squad")
    assert "s.json, record 1, field paragraphs.0.qas, question 'q1', field answers.0.text: the answer 'olive" in said
    assert "letter by letter" in said


# NQ, DPR's form


def dpr(**more: Any) -> dict[str, Any]:
    return {
        "dataset": "nq_train",
        "question": "who lit the lamp of skerry",
        "answers": ["Moor", "Ann Moor"],
        "positive_ctxs": [{"title": "Skerry", "text": LAMP, "passage_id": "11"}, {"title": "S", "text": "Ann Moor."}],
        "negative_ctxs": [{"title": "Mill", "text": "The mill turns."}],
        "hard_negative_ctxs": [
            {"title": "Bell", "text": BELL, "psg_id": 7, "score": 9.1},
            {"title": "Skerry", "text": LAMP, "passage_id": "11"},
        ],
    } | more


def test_dpr_records_keep_their_hard_negatives_except_gold_ones(tmp_path: Path) -> None:
    source = document(tmp_path / "nq-dev.json", [dpr(), dpr(positive_ctxs=[])])
    (example,), passages = converted(source, "nq")
    assert (example.id, example.task) == ("nq-dev-1", "nq_train")
    assert example.segments == [Segment(text="Moor", passage_id="11", negatives=["7"])]
    assert {passage.title for passage in passages.values()} == {"Skerry", "S", "Mill", "Bell"}
    assert passages["7"].text == BELL
    (example,), _ = converted(source, "nq", negatives=0)
    assert example.segments[0].negatives == []


def test_a_dpr_context_without_text_is_refused_by_its_field(tmp_path: Path) -> None:
    source = document(tmp_path / "nq.json", [dpr(), dpr(hard_negative_ctxs=[{"title": "x"}])])
    assert "nq.json, record 2, field hard_negative_ctxs.0.text: Field required" in refusal(source, "nq")


def test_an_id_that_names_two_texts_is_refused(tmp_path: Path) -> None:
    other = dpr(positive_ctxs=[{"title": "Skerry", "text": "Moor.", "passage_id": "11"}])
    assert "the id '11' names two different passages" in refusal(document(tmp_path / "n.json", [dpr(), other]), "nq")


# Self-RAG


def reflected(output: str, **more: Any) -> dict[str, Any]:
    return {"id": "s1", "dataset_name": "asqa", "instruction": "Who lit it?", "input": "", "output": output} | more


def test_self_rag_stretches_are_cited_where_relevant_and_supported(tmp_path: Path) -> None:
    output = (
        "[No Retrieval]Well. [Retrieval]<paragraph>Skerry\n\n" + LAMP + "</paragraph>[Relevant]Ann Moor lit it."
        "[Fully supported][Continue to Use Evidence]In 1811.[Partially supported]"
        "[Retrieval]<paragraph>" + BELL + "</paragraph>[Irrelevant]There is fog [1]."
        "[No Retrieval]That is all.[Utility:4]"
    )
    (example,), passages = converted(lines(tmp_path / "train.jsonl", reflected(output)), "self-rag")
    gold = content_passage("self-rag", "Skerry", LAMP)
    assert gold is not None
    assert example.segments == [
        Segment(text="Well."),
        Segment(text="Ann Moor lit it.In 1811.", passage_id=gold.id),
        Segment(text="There is fog [1]. That is all."),
    ]
    assert example.task == "asqa"
    assert example.answers == ["Well. Ann Moor lit it.In 1811. There is fog [1]. That is all."]
    assert {(passage.title, passage.text) for passage in passages.values()} == {("Skerry", LAMP), ("", BELL)}


@pytest.mark.parametrize(
    ("token", "min_support", "is_cited"),
    [
        ("[Fully supported]", "fully", True),
        ("[Partially supported]", "fully", False),
        ("[Partially supported]", "partially", True),
        ("[No support / Contradictory]", "partially", False),
        ("", "fully", True),
    ],
)
def test_self_rag_support_decides_what_is_cited(tmp_path: Path, token: str, min_support: str, is_cited: bool) -> None:
    output = f"[Retrieval]<paragraph>Skerry\n{LAMP}</paragraph>[Relevant]Ann Moor.{token}[Utility:5]"
    (example,), _ = converted(lines(tmp_path / "t.jsonl", reflected(output)), "self-rag", min_support=min_support)
    assert [segment.text for segment in example.segments] == ["Ann Moor."]
    assert bool(example.cited) is is_cited


def test_self_rag_input_joins_the_instruction_and_repeated_ids_are_told_apart(tmp_path: Path) -> None:
    record = reflected("Ann.[Utility:5]", input="The lamp")
    examples, passages = converted(lines(tmp_path / "t.jsonl", record, record), "self-rag")
    assert [example.id for example in examples] == ["s1", "s1#2"]
    assert examples[0].question == "Who lit it?\n\nThe lamp"
    assert passages == {}
    assert not (tmp_path / "out-corpus.jsonl").exists()


def test_self_rag_answers_of_little_utility_are_left_out(tmp_path: Path) -> None:
    source = lines(tmp_path / "t.jsonl", reflected("Ann.[Utility:2]"), reflected("Ann.[Utility:5]", id="s2"))
    examples, _ = converted(source, "self-rag", min_utility=3)
    assert [example.id for example in examples] == ["s2"]


@pytest.mark.parametrize("output", ["[Retrieval]<paragraph>Skerry\n a", "a</paragraph>"])
def test_a_self_rag_paragraph_without_its_other_end_is_refused(tmp_path: Path, output: str) -> None:
    said = refusal(lines(tmp_path / "t.jsonl", reflected("Ann."), reflected(output)), "self-rag")
    assert "t.jsonl, line 2, field output: a <" in said
    assert "Paragraphs stand between both" in said


# KILT

PAGE = {
    "wikipedia_id": "900",
    "wikipedia_title": "Skerry light",
    "text": ["Skerry light\n", f"{LAMP}\n", "Section::::Fog.\n", f"BULLET::::- {BELL}\n", "It has stairs.\n"],
    "anchors": [],
}
OTHER = PAGE | {"wikipedia_id": "901", "wikipedia_title": "Mill", "text": ["Mill\n", "The mill turns.\n"]}


def kilt(*outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "k1", "input": "who lit the lamp", "output": list(outputs)} | more


def provenance(page: str | int, start: int | None, end: int | None = None, **more: Any) -> dict[str, Any]:
    return {"wikipedia_id": page, "start_paragraph_id": start, "end_paragraph_id": end or start} | more


def test_kilt_provenance_leads_to_the_paragraph_of_the_knowledge_source(tmp_path: Path) -> None:
    corpus = lines(tmp_path / "knowledge.jsonl", PAGE, OTHER)
    answer = {"answer": "Ann Moor", "provenance": [provenance(900, 1, bleu_score=0.9)]}
    source = lines(tmp_path / "nq-train-kilt.jsonl", kilt(answer, {"answer": "Moor"}))
    (example,), passages = converted(source, "kilt", corpus=corpus)
    assert example.segments == [Segment(text="Ann Moor", passage_id="900-1")]
    assert (example.task, example.answers) == ("nq", ["Ann Moor", "Moor"])
    assert {name: passage.text for name, passage in passages.items()} == {
        "900-1": LAMP,
        "900-3": BELL,
        "900-4": "It has stairs.",
    }
    assert passages["900-1"].metadata == {"wikipedia_id": "900", "start_paragraph_id": 1, "end_paragraph_id": 1}
    _, passages = converted(source, "kilt", corpus=corpus, all_pages=True)
    assert "901-1" in passages


@pytest.mark.parametrize(
    ("place", "passage_id"),
    [
        (provenance("900", 1, 4), "900-3"),  # of several the one that holds the answer
        (provenance("900", None), "900-3"),  # of a whole page too
        (provenance("900", 4), "900-4"),  # none holds it: what is named by paragraph
    ],
)
def test_kilt_provenance_of_several_paragraphs_takes_the_one_that_holds_the_answer(
    tmp_path: Path, place: dict[str, Any], passage_id: str
) -> None:
    corpus = lines(tmp_path / "knowledge.jsonl", PAGE)
    source = lines(tmp_path / "k.jsonl", kilt({"answer": "in fog", "provenance": [place]}))
    (example,), _ = converted(source, "kilt", corpus=corpus)
    assert example.segments[0].passage_id == passage_id


def test_a_corpus_whose_passages_name_their_paragraphs_serves_as_well(tmp_path: Path) -> None:
    place = {"wikipedia_id": 900, "start_paragraph_id": 1, "end_paragraph_id": 3}
    corpus = lines(
        tmp_path / "corpus.jsonl",
        {"id": "p1", "title": "Skerry", "text": f"{LAMP} {BELL}", "metadata": place},
        {"id": "p2", "text": "It has stairs.", "wikipedia_id": "900", "start_paragraph_id": 4},
    )
    source = lines(tmp_path / "k.jsonl", kilt({"answer": "fog", "provenance": [provenance("900", 3)]}))
    (example,), passages = converted(source, "kilt", corpus=corpus)
    assert example.segments[0].passage_id == "p1"
    assert passages == {}  # they are in a corpus already


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"answer": "Ann", "provenance": []}, "no provenance (1)"),
        ({"answer": "Ann", "provenance": [provenance("77", 1)]}, "no passage of the corpus is named (1)"),
        ({"answer": "Ann", "provenance": [provenance("900", 1, bleu_score=0.2)]}, "bleu_score under 0.5 (1)"),
        ({"answer": "Bob", "provenance": [provenance("900", None)]}, "no passage of the page holds the answer (1)"),
        ({"answer": "", "provenance": [provenance("900", 1)]}, "no answer (1)"),
    ],
)
def test_when_no_kilt_record_can_be_cited_the_reasons_are_counted_and_it_is_refused(
    tmp_path: Path, output: dict[str, Any], reason: str
) -> None:
    corpus = lines(tmp_path / "knowledge.jsonl", PAGE)
    said = refusal(lines(tmp_path / "k.jsonl", kilt(output)), "kilt", corpus=corpus, min_bleu=0.5)
    assert f"no example can be made: {reason}" in said


def test_kilt_without_a_corpus_or_with_one_that_names_no_pages_is_refused(tmp_path: Path) -> None:
    source = lines(tmp_path / "k.jsonl", kilt({"answer": "Ann", "provenance": [provenance("900", 1)]}))
    assert "--corpus: KILT files name pages, not passages. Give the KILT knowledge source" in refusal(source, "kilt")
    corpus = lines(tmp_path / "corpus.jsonl", {"id": "p1", "text": LAMP})
    said = refusal(source, "kilt", corpus=corpus)
    assert "corpus.jsonl, line 1, field metadata.wikipedia_id: the passage does not say which paragraph" in said
    bad = lines(tmp_path / "bad.jsonl", kilt(), {"id": "k2", "output": []})
    assert "bad.jsonl, line 2, field input: Field required" in refusal(bad, "kilt", corpus=corpus)


# ALCE

DOCS = [{"id": "11", "title": "Skerry", "text": LAMP}, {"title": "Bell", "text": BELL}]


def test_alce_marks_become_citations_wherever_they_stand(tmp_path: Path) -> None:
    record = {
        "sample_id": "a1",
        "question": "Who lit it?",
        "answer": "Ann Moor lit it [1][2]. A bell is rung in fog.[2] So it goes.",
        "docs": DOCS,
    }
    (example,), passages = converted(document(tmp_path / "asqa.json", [record]), "alce")
    bell = next(passage.id for passage in passages.values() if passage.text == BELL)
    assert example.segments == [
        Segment(text="Ann Moor lit it.", passage_id="11"),
        Segment(text="A bell is rung in fog.", passage_id=bell),
        Segment(text="So it goes."),
    ]
    assert example.answers == ["Ann Moor lit it. A bell is rung in fog. So it goes."]
    assert (example.id, example.task) == ("a1", "asqa")


def test_alce_sentences_without_marks_are_cited_by_their_short_answers(tmp_path: Path) -> None:
    record = {
        "question": "When?",
        "answer": "It was lit in 1811. Nobody knows why.",
        "qa_pairs": [{"question": "When?", "short_answers": ["1811", "the year 1811"], "context": "x"}],
        "docs": DOCS,
    }
    (example,), _ = converted(document(tmp_path / "asqa.json", [record]), "alce")
    assert [segment.passage_id for segment in example.segments] == ["11", None]
    assert example.answers == ["It was lit in 1811. Nobody knows why.", "1811", "the year 1811"]
    assert example.id == "asqa-1"


def test_alce_lists_of_answers_are_cited_one_by_one(tmp_path: Path) -> None:
    record = {"id": "q7", "question": "What is there?", "answers": [["a bell", "bell"], ["stairs"]], "docs": DOCS}
    (example,), passages = converted(document(tmp_path / "qampari.json", [record]), "alce")
    bell = next(passage.id for passage in passages.values() if passage.text == BELL)
    assert [(one.text, one.passage_id) for one in example.segments] == [
        ("a bell", bell),
        ("bell", bell),
        ("stairs", None),
    ]


def test_an_alce_mark_beyond_the_documents_is_refused(tmp_path: Path) -> None:
    record = {"question": "Who?", "answer": "Ann [3].", "docs": DOCS}
    said = refusal(document(tmp_path / "asqa.json", [record]), "alce")
    assert "asqa.json, record 1, field answer: the mark [3] names none of 2 documents. Marks count" in said


# BEIR


def beir(folder: Path, *judgements: str) -> Path:
    (folder / "qrels").mkdir(parents=True)
    lines(folder / "queries.jsonl", {"_id": "1", "text": "rung in fog", "metadata": {}}, {"_id": "2", "text": "mill"})
    documents = [{"_id": "b", "title": "Bell", "text": BELL}, {"_id": "l", "title": "", "text": LAMP}]
    lines(folder / "corpus.jsonl", *documents)
    text = "".join(f"{line}\n" for line in ("query-id\tcorpus-id\tscore", *judgements))
    (folder / "qrels" / "test.tsv").write_text(text)
    return folder


def test_beir_judgements_become_examples_cited_for_the_closest_sentence(tmp_path: Path) -> None:
    folder = beir(tmp_path / "harbour", "1\tb\t1", "1\tl\t0", "2\tgone\t1")
    examples, passages = _beir(folder)
    segment = Segment(text="It is rung in fog.", passage_id="b", negatives=["l"])
    assert examples == [Example(id="1", task="harbour", question="rung in fog", segments=[segment])]
    assert set(passages) == {"b", "l"}


def _beir(folder: Path, **given: Any) -> tuple[list[Example], dict[str, Passage]]:
    out = folder.parent / "converted"
    convert(ConvertSettings.resolve({"format": "beir", "in_": [folder], "out": out} | given))
    passages = {passage.id: passage for passage in read_passages(out / "corpus.jsonl.gz")}
    return list(read_examples(out / "test.jsonl.gz")), passages


def test_beir_queries_with_several_relevant_passages_give_one_example_each_best_first(tmp_path: Path) -> None:
    folder = beir(tmp_path / "harbour", "1\tl\t1", "1\tb\t2")
    examples, _ = _beir(folder)
    assert [(example.id, example.segments[0].passage_id) for example in examples] == [("1", "b"), ("1-2", "l")]
    examples, _ = _beir(folder, positives=1)
    assert [example.id for example in examples] == ["1"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 b 1", "test.tsv, line 2: 1 columns. There should be query id, corpus id and score, separated by tabs"),
        ("1\tb\tyes", "test.tsv, line 2, field score: the score 'yes' is not a whole number"),
    ],
)
def test_a_bad_judgement_is_refused_by_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        _beir(beir(tmp_path / "harbour", line))
    assert said in str(caught.value)


def test_a_beir_folder_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    folder = beir(tmp_path / "harbour", "1\tb\t1")
    (folder / "corpus.jsonl").rename(folder / "docs.jsonl")
    with pytest.raises(InputError, match=r"harbour: there is no corpus\.jsonl"):
        _beir(folder)
    examples, _ = _beir(folder, corpus=folder / "docs.jsonl")
    assert len(examples) == 1
    (folder / "qrels" / "test.tsv").unlink()
    with pytest.raises(InputError, match=r"there is no qrels/\*\.tsv"):
        _beir(folder)


# The command


def test_the_command_writes_a_file_for_each_source_and_one_corpus_and_says_what_they_hold(tmp_path: Path) -> None:
    train = document(tmp_path / "train.json", squad({"text": "rape oil"}))
    dev = tmp_path / "dev.json.gz"
    dev.write_bytes(gzip.compress(json.dumps(squad({"text": "1811"})).encode()))
    out = tmp_path / "squad"
    command = ["convert", "--format", "squad", "--in", str(train), "--in", str(dev), "--out", str(out)]
    result = CliRunner().invoke(examples_app, command)
    assert result.exit_code == 0, result.output
    assert f"{out}/train.jsonl.gz: 1 examples (squad 1)" in result.output
    assert f"{out}/corpus.jsonl.gz: 1 passages" in result.output
    assert sorted(path.name for path in out.iterdir()) == ["corpus.jsonl.gz", "dev.jsonl.gz", "train.jsonl.gz"]
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert CliRunner().invoke(examples_app, command).exit_code == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_a_wrong_source_among_right_ones_is_refused_and_leaves_nothing_written(tmp_path: Path) -> None:
    right = document(tmp_path / "train.json", squad({"text": "rape oil"}))
    wrong = document(tmp_path / "dev.json", squad({"text": "olive oil"}))
    out = tmp_path / "squad"
    result = CliRunner().invoke(
        examples_app, ["convert", "--format", "squad", "--in", str(right), "--in", str(wrong), "--out", str(out)]
    )
    assert result.exit_code == 2
    assert "Error: " in result.output
    assert list(out.iterdir()) == []


def test_sources_of_the_same_name_and_missing_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    one, other = (document(tmp_path / name, squad({"text": "1811"})) for name in ("t.json", "a/t.json"))
    given = {"format": "squad", "in_": [one, other], "out": tmp_path / "out"}
    with pytest.raises(InputError, match=r"t\.jsonl\.gz would be written twice"):
        convert(ConvertSettings.resolve(given))
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        convert(ConvertSettings.resolve(given | {"in_": [tmp_path / "none.json"]}))
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="neither a folder nor named"):
        convert(ConvertSettings.resolve(given | {"in_": [one]}))
