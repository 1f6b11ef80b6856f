"""Examples of documents alone: what becomes a question, what is cited, the splits, and training with them."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, read_examples, write_jsonl
from training.examples.cli import examples_app
from training.examples.from_corpus import examples_from_corpus
from training.examples.passages import normalized
from training.examples.settings import FromCorpusSettings
from training.examples.wording import content_words
from training.run import train
from training.settings import TrainSettings

THINGS = ("lamp", "bell", "anchor", "ladder", "kettle", "basket", "hammer", "mirror", "candle", "barrel")
PLACES = ("harbour", "mill", "cellar", "attic", "garden", "stable", "tower", "quay", "chapel", "kitchen")
PEOPLE = ("Ann", "Boris", "Clara", "Dmitri", "Edith", "Farid", "Greta", "Henri", "Ines", "Jonas")


def harbour(count: int = 100) -> Iterator[Passage]:
    """Documents of two passages each: a thing in a place, and who looks after it."""
    for number in range(count):
        thing, place = THINGS[number % 10], PLACES[number // 10 % 10]
        person = PEOPLE[(number * 3 + number // 10) % 10]
        source, title = f"{thing}-{place}.md", f"The {thing} of the {place}"
        first = f"The {thing} hangs in the {place} beside the door. A smith made the {thing} for the {place}."
        second = (
            f"{person} looks after the {thing} in the {place}. {person} cleans the {thing} of the {place} with sand."
        )
        yield Passage(id=f"{source}#1", title=title, text=first, source=source)
        yield Passage(id=f"{source}#2", title=f"{title} > Care by {person}", text=second, source=source)


def made(tmp_path: Path, passages: list[Passage], **given: Any) -> dict[str, list[Example]]:
    write_jsonl(tmp_path / "corpus.jsonl", passages)
    settings = {"corpus": [tmp_path / "corpus.jsonl"], "out": tmp_path / "out"}
    return examples_from_corpus(FromCorpusSettings.resolve(settings | given))


def only(kind: str) -> dict[str, float]:
    """Weights that leave one kind."""
    return {f"{name}_share": float(name == kind) for name in ("title", "sentence", "next")} | {"held_out_percent": 0}


def test_a_title_and_its_last_heading_lead_to_the_first_passage_under_it(tmp_path: Path) -> None:
    page = [
        Passage(id="k#1", title="Keys", text="The keys hang in the porch. Number seven is lost."),
        Passage(id="k#2", title="Keys", text="Nobody has ever looked for it."),
        Passage(id="k#3", title="Keys > Old locks", text="The old locks were made of bog oak."),
    ]
    (examples,) = made(tmp_path, page, **only("title")).values()
    found = {example.question: example.segments for example in examples}
    assert {question: segments[0].passage_id for question, segments in found.items()} == {
        "Keys": "k#1",
        "Keys > Old locks": "k#3",
        "Old locks": "k#3",
    }
    assert found["Keys"][0].text == "The keys hang in the porch."
    assert {example.task for example in examples} == {"title"}
    assert examples[0].answers == [examples[0].segments[0].text]


def test_a_title_of_two_documents_is_not_asked(tmp_path: Path) -> None:
    pages = [
        Passage(id=f"{name}#1", title=title, text=f"The {name} page speaks of many things.")
        for name, title in (("a", "Introduction"), ("b", "introduction!"), ("c", "Tides"))
    ]
    (examples,) = made(tmp_path, pages, **only("title")).values()
    assert [example.question for example in examples] == ["Tides"]


def test_a_sentence_leads_to_its_passage_and_is_answered_with_the_one_that_follows(tmp_path: Path) -> None:
    text = "The first sentence has six words. Second sentences have five words. Too few. The fourth one has six words."
    (examples,) = made(
        tmp_path, [Passage(id="p", text=text)], **only("sentence"), keywords_share=0, questions_per_passage=9
    ).values()
    assert {example.question: example.segments[0].text for example in examples} == {
        "The first sentence has six words.": "Second sentences have five words.",
        "Second sentences have five words.": "The fourth one has six words.",
        "The fourth one has six words.": "The fourth one has six words.",
    }


def test_sentences_may_be_asked_as_a_few_of_their_words(tmp_path: Path) -> None:
    corpus = list(harbour(20))
    (examples,) = made(tmp_path, corpus, **only("sentence"), keywords_share=1).values()
    texts = {passage.id: set(content_words(passage.text)) for passage in corpus}
    for example in examples:
        assert not example.question.endswith(".")
        assert set(content_words(example.question)) <= texts[str(example.segments[0].passage_id)]


def test_words_are_taken_whole_whatever_letters_they_have(tmp_path: Path) -> None:
    passage = Passage(id="p", text="Übermüller på Ørrisholm spiste smørrebrød.")
    (examples,) = made(tmp_path, [passage], **only("sentence"), keywords_share=1, min_words=4).values()
    assert set(examples[0].question.split()) <= {"übermüller", "på", "ørrisholm", "spiste", "smørrebrød"}


def test_a_passage_leads_on_to_the_next_one_of_its_document_only(tmp_path: Path) -> None:
    (examples,) = made(tmp_path, list(harbour(3)), **only("next")).values()
    assert [[segment.passage_id for segment in example.segments] for example in examples] == [
        [f"{name}-harbour.md#1", f"{name}-harbour.md#2"] for name in ("lamp", "bell", "anchor")
    ]
    assert examples[0].question == "The lamp of the harbour"
    assert [segment.text for segment in examples[0].segments] == [
        "The lamp hangs in the harbour beside the door.",
        "Ann looks after the lamp in the harbour.",
    ]


def test_every_answer_is_a_sentence_of_the_passage_it_cites(tmp_path: Path) -> None:
    corpus = {passage.id: passage for passage in harbour(30)}
    for examples in made(tmp_path, list(corpus.values())).values():
        for example in examples:
            assert all(segment.text in corpus[str(segment.passage_id)].text for segment in example.segments)


def test_what_could_mean_two_passages_is_not_asked(tmp_path: Path) -> None:
    same = "Mind the gap between the boat and the quay."
    passages = [
        Passage(id="a", text=f"{same} The lamp is lit at four."),
        Passage(id="b", text=f"{same} The bell is rung at five."),
        Passage(id="c", text="The mill is closed on Sundays all year."),
        Passage(id="d", text="The mill is closed, on Sundays, all year!"),
    ]
    (examples,) = made(tmp_path, passages, **only("sentence"), keywords_share=0, questions_per_passage=9).values()
    golds = {example.question: example.segments[0].passage_id for example in examples}
    assert golds == {
        "The lamp is lit at four.": "a",
        "The bell is rung at five.": "b",
        "The mill is closed on Sundays all year.": "c",
    }


def test_the_limit_is_shared_out_by_the_weights_and_what_one_kind_lacks_the_others_give(tmp_path: Path) -> None:
    shares = {"title_share": 1, "sentence_share": 2, "next_share": 1, "held_out_percent": 0, "keywords_share": 0}
    (examples,) = made(tmp_path, list(harbour()), limit=80, **shares).values()
    assert Counter(example.task for example in examples) == {"title": 20, "sentence": 40, "next": 20}
    (examples,) = made(tmp_path, list(harbour(10)), limit=50, **(shares | {"next_share": 10})).values()
    assert Counter(example.task for example in examples)["next"] == 10
    assert len(examples) == 50


def test_held_out_documents_are_never_asked_about_in_training(tmp_path: Path) -> None:
    splits = made(tmp_path, list(harbour()), held_out_percent=10)
    golds = {
        name: {str(one.passage_id).split("#")[0] for example in examples for one in example.segments}
        for name, examples in splits.items()
    }
    assert not golds["train"] & golds["dev"]
    assert 3 <= len(golds["dev"]) <= 20
    assert len(golds["train"] | golds["dev"]) == 100


def test_held_out_questions_are_never_asked_in_training(tmp_path: Path) -> None:
    splits = made(tmp_path, list(harbour()), held_out_percent=20, held_out_by="question")
    asked = {name: {normalized(example.question) for example in examples} for name, examples in splits.items()}
    assert not asked["train"] & asked["dev"]
    assert 0.1 < len(splits["dev"]) / sum(map(len, splits.values())) < 0.3


def test_something_is_held_out_of_the_smallest_corpus(tmp_path: Path) -> None:
    splits = made(tmp_path, list(harbour(2)), held_out_percent=1)
    assert all(splits.values())


def test_the_command_writes_equal_files_for_an_equal_seed(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "corpus.jsonl", harbour(20))
    for name, seed in {"a": "1", "b": "1", "c": "2"}.items():
        command = ["from-corpus", "--corpus", f"{tmp_path}/corpus.jsonl", "--out", f"{tmp_path}/{name}", "--seed", seed]
        result = CliRunner().invoke(examples_app, command)
        assert result.exit_code == 0, result.output
        assert f"{tmp_path}/{name}/dev.jsonl.gz: " in result.output
    written = {name: (tmp_path / name / "train.jsonl.gz").read_bytes() for name in "abc"}
    assert written["a"] == written["b"] != written["c"]


@pytest.mark.parametrize(
    ("passages", "given", "said"),
    [
        ([], {}, "there are no passages"),
        ([Passage(id="a", text="Short.")], {}, "no question can be made of the corpus. Its passages need titles"),
        (
            [Passage(id="a", text="All of it stands in one document.")],
            {},
            "--held-out-by: all questions are about one document, which would be held out. Use --held-out-by question",
        ),
    ],
)
def test_a_corpus_that_gives_nothing_is_refused(
    tmp_path: Path, passages: list[Passage], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        made(tmp_path, passages, **given)
    assert said in str(caught.value)


def test_an_id_in_two_corpora_and_a_file_as_folder_are_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "corpus.jsonl", harbour(2))
    corpus = ["--corpus", str(tmp_path / "corpus.jsonl")]
    result = CliRunner().invoke(examples_app, ["from-corpus", *corpus, *corpus, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "stands in another corpus too" in result.output
    result = CliRunner().invoke(examples_app, ["from-corpus", *corpus, "--out", str(tmp_path / "corpus.jsonl")])
    assert "is a file, not a folder" in result.output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_pair_learns_lookups_from_documents_alone(tmp_path: Path) -> None:
    for name, examples in made(tmp_path, list(harbour(30)), held_out_percent=15, held_out_by="question").items():
        write_jsonl(tmp_path / f"{name}.jsonl", examples)
    assert list(read_examples(tmp_path / "dev.jsonl"))
    stage = {"steps": 240, "batch_size": 24, "learning_rate": 5e-3, "warmup_steps": 10}
    scratch = {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 64,
        "gen_layers": 1,
        "embseq_layers": 1,
        "heads": 2,
        "context_length": 320,
    }
    settings = {
        "corpus": [tmp_path / "corpus.jsonl"],
        "train": [tmp_path / "train.jsonl"],
        "held_out": {"dev": tmp_path / "dev.jsonl"},
        "out": tmp_path / "run",
        "scratch": scratch,
        "passage_max_tokens": 64,
        "max_tokens": 320,
        "pooling": "mean",
        "similarity": "cosine",
        "temperature": 0.05,
        "pretrain": {"steps": 0},
        "lookups": stage,
        "co_supervision": stage | {"steps": 0},
        "device": "cpu",
        "threads": 1,
        "eval_steps": 80,
        "save_steps": 1000,
        "log_steps": 80,
    }
    train(TrainSettings.resolve(settings))
    log = json.loads((tmp_path / "run" / "log.json").read_text())
    recall = [line["eval_dev_recall@1"] for line in log if "eval_dev_recall@1" in line]
    chance = 1 / 60
    assert recall[-1] > recall[0]
    assert recall[-1] > 10 * chance
