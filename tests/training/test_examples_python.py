"""Question examples from docstrings: the rules on hand-written docstrings, the splits on standard modules."""

import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, read_examples, write_jsonl
from training.examples import templates
from training.examples.build import build_examples
from training.examples.cli import examples_app
from training.examples.entries import parameters, read_entries, split_of
from training.examples.parameter_docs import parameter_notes
from training.examples.sentences import first_sentence
from training.examples.settings import PythonExamplesSettings
from training.examples.summaries import summarize
from training.examples.uniqueness import Descriptions, ShortNames
from training.examples.verbs import BASES, base_form, third_person
from training.examples.wording import content_words

NOUNS = ("lamp", "wheel", "gear", "ladder", "kettle", "anchor", "basket", "candle", "hammer", "mirror")
PLACES = ("harbour", "mill", "cellar", "attic", "garden", "stable", "tower", "quay")


def passage(name: str, text: str, signature: str = "()", kind: str = "function") -> Passage:
    """One passage as `cosup corpus python` makes it."""
    base = name.partition("#")[0]
    module = base.split(".")[0] if kind != "method" else base.rsplit(".", 2)[0]
    return Passage(id=f"python:{name}", title=base + signature, text=text, metadata={"module": module, "kind": kind})


def town() -> Iterator[Passage]:
    """A corpus of forty modules with ten functions each, every function described by one sentence of its own."""
    for number in range(40):
        for noun in NOUNS:
            place = f"{PLACES[number % len(PLACES)]} number {number}"
            text = f"Return the {noun} that hangs in the {place}.\n\nIf height is given, look only below it."
            yield passage(f"town{number}.get_{noun}", text, "(height=None)")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Example]]:
    """All four files of the town."""
    return build_examples(town(), settings(num_known=200, num_unseen=50))


def settings(num_known: int = 2000, num_unseen: int = 1000, questions_per_passage: int = 9) -> PythonExamplesSettings:
    """Settings with paths that are not used."""
    return PythonExamplesSettings(
        corpus=Path("corpus.jsonl"),
        out=Path("out"),
        num_known=num_known,
        num_unseen=num_unseen,
        questions_per_passage=questions_per_passage,
    )


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Serialize ``obj`` to a JSON formatted ``str``.\n\nMore.", "Serialize obj to a JSON formatted str"),
        ("Use :class:`~lamps.Lamp` or *oil*. Then stop.", "Use lamps.Lamp or oil"),
        (
            "D.keys() -> a set-like object providing a view on D's keys",
            "Return a set-like object providing a view on D's keys",
        ),
        ("sleep(seconds)\n\nDelay execution. For a while.", "Delay execution"),
        ("max(a, b) -> value\nmax(a) -> value\n\nGive the biggest item.", "Give the biggest item"),
        ("Lamps, e.g. of oil, are lit. Others not.", "Lamps, e.g. of oil, are lit"),
        ("'oil' is burnt. 'wick' is not.", "'oil' is burnt"),
        ("lamps -- Light and snuff lamps.", "Light and snuff lamps"),
        ("b(reak) [line]\nSet a breakpoint.", "Set a breakpoint"),
        ("Cut this, " + "word " * 10 + "and here, " + "word " * 30, "Cut this, " + "word " * 10 + "and here"),
    ],
)
def test_the_first_sentence_is_found_without_markup_and_signature(docstring: str, sentence: str) -> None:
    assert first_sentence(docstring) == sentence


@pytest.mark.parametrize(
    "docstring", [">>> f(1)\n2", "Args:\n    oil: The oil.", "month", "x = A | B", "---- ----", "word " * 40]
)
def test_a_docstring_without_a_usable_sentence_gives_none(docstring: str) -> None:
    assert first_sentence(docstring) is None


@pytest.mark.parametrize(
    ("sentence", "kind", "statement"),
    [
        ("Remove and return the item, then close it", "function", "it() removes and returns the item, then closes it."),
        ("Returns the item", "method", "it() returns the item."),
        ("Recursively delete a tree", "function", "it() recursively deletes a tree."),
        ("True if it is lit", "method", "it() returns True if it is lit."),
        ("Whether it is lit", "property", "it tells whether it is lit."),
        ("A queue, for lamps", "class", "it is a queue, for lamps."),
        ("Base class for lamps", "class", "it is a base class for lamps."),
        ("Raised when oil is out", "class", "it is raised when oil is out."),
        ("Same as a + b", "function", "it() is the same as a + b."),
        ("This class holds lamps", "class", "it holds lamps."),
        ("A lamp had no oil", "class", "it: A lamp had no oil."),
        ("HTTP server classes", "module", "it: HTTP server classes."),
        ("Request for lamps", "class", "it: Request for lamps."),
    ],
)
def test_a_summary_becomes_a_readable_sentence(sentence: str, kind: str, statement: str) -> None:
    subject = "it()" if kind in {"function", "method"} else "it"
    assert summarize(sentence, kind).statement(subject) == statement


def test_a_sentence_that_names_its_subject_does_not_name_it_twice() -> None:
    assert summarize("Lamp is a light", "class", "Lamp").statement("sea.Lamp") == "sea.Lamp is a light."


def test_third_person_and_base_form_are_inverse() -> None:
    assert {base: base_form(third_person(base)) for base in BASES} == {base: base for base in BASES}


def test_parameters_are_read_from_whole_and_cut_signatures() -> None:
    assert parameters("(obj, *, cls=None, pair=(1, 2), **kw)") == ["obj", "cls", "pair", "kw"]
    assert parameters("(a, b[, c], ...)") == ["a", "b", "c"]
    assert parameters("") == []


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("Light it.\n\nArgs:\n    oil (str, optional): The oil\n        to burn. Or not.\n", "oil: The oil to burn."),
        ("Light it.\n\n:param oil: the oil to burn\n:type oil: str\n", "oil: the oil to burn."),
        ("Light it.\n\nParameters\n----------\noil : str\n    The oil to burn.\n", "oil: The oil to burn."),
        ("Light it.\n\nIf ``oil`` is true, it burns.", "If oil is true, it burns."),
        ("Light it. The oil must be clean, or it smokes.", "The oil must be clean, or it smokes."),
    ],
)
def test_a_parameter_note_is_one_sentence_of_the_docstring(text: str, note: str) -> None:
    (entry,) = read_entries([passage("lamps.light", text, "(oil, wick=1)")])
    assert [found.text for found in parameter_notes(entry)] == [note]


def test_a_parameter_note_cites_the_part_that_says_it() -> None:
    parts = [
        passage("lamps.light", "Light it.", "(oil)"),
        passage("lamps.light#2", "oil is what burns there.", "(oil)"),
    ]
    (entry,) = read_entries(parts)
    assert [found.passage_id for found in parameter_notes(entry)] == ["python:lamps.light#2"]


def test_an_ambiguous_description_must_name_its_module_or_class() -> None:
    same = "Return the number of burning lamps."
    entries = read_entries(
        [passage("sea.count", same), passage("land.count", same), passage("land.House.count", same, kind="method")]
    )
    descriptions = Descriptions(entries)
    assert descriptions.scopes(entries[0], same) == ["sea"]
    assert descriptions.scopes(entries[1], same) == []
    assert descriptions.scopes(entries[2], same) == ["land.House"]


def test_a_short_name_is_used_only_where_it_means_one_thing() -> None:
    entries = read_entries(
        [
            passage("sea.Lamp.light", "Light.", kind="method"),
            passage("land.Lamp.light", "Light.", kind="method"),
            passage("sea.Buoy.ring", "Ring.", kind="method"),
        ]
    )
    names = ShortNames(entries)
    assert names.names(entries[0]) == ["sea.Lamp.light", "sea.Lamp.light()", "light() in sea"]
    assert names.names(entries[2]) == ["sea.Buoy.ring", "sea.Buoy.ring()", "Buoy.ring()", "ring() in sea"]


def test_every_kind_of_question_has_ten_wordings_and_a_few_reserved_ones() -> None:
    kinds = {name: words for name, words in vars(templates).items() if isinstance(words, tuple) and name.isupper()}
    for name, words in kinds.items():
        assert len(set(words)) == len(words)
        if name.endswith("_RESERVED"):
            assert len(words) >= 3
            assert not set(words) & set(kinds[name.removesuffix("_RESERVED")])
        elif name != "WHICH_KEYWORDS":
            assert len(words) >= 10


def test_test_and_dev_modules_are_never_in_train_or_known(splits: dict[str, list[Example]]) -> None:
    def modules(name: str) -> set[str]:
        return {
            str(segment.passage_id).split(":")[1].split(".")[0]
            for example in splits[name]
            for segment in example.segments
        }

    assert modules("test")
    assert modules("dev")
    assert modules("known") <= modules("train")
    assert not modules("test") & modules("train")
    assert not modules("dev") & (modules("train") | modules("test"))


def test_the_split_of_a_module_is_a_hash_of_its_name_alone() -> None:
    share = int(hashlib.sha256(b"json").hexdigest()[:16], 16) / 2**64 * 100
    assert split_of("json", 8, 4) == ("test" if share < 8 else "dev" if share < 12 else "train")
    names = [split_of(f"module{number}", 8, 4) for number in range(5000)]
    assert 0.07 < names.count("test") / 5000 < 0.09
    assert 0.03 < names.count("dev") / 5000 < 0.05


def test_known_questions_never_occur_in_train_and_use_reserved_wordings_too(splits: dict[str, list[Example]]) -> None:
    train = {example.question for example in splits["train"]}
    known = [example.question for example in splits["known"]]
    assert len(known) == len(set(known)) == 200
    assert not train & set(known)
    reserved = [re.escape(words.split("{")[0]) for words in templates.WHAT_RESERVED if not words.startswith("{")]
    starts = re.compile("|".join(reserved))
    assert [question for question in known if starts.match(question)]
    assert not [question for question in train if starts.match(question)]


def test_a_question_never_has_two_golds(splits: dict[str, list[Example]]) -> None:
    golds: dict[str, set[tuple[str | None, ...]]] = {}
    for example in (example for name in splits for example in splits[name]):
        golds.setdefault(example.question.lower(), set()).add(tuple(one.passage_id for one in example.segments))
    assert {question: found for question, found in golds.items() if len(found) > 1} == {}


def test_examples_are_whole(splits: dict[str, list[Example]]) -> None:
    ids = {one.id for one in town()}
    tasks = {example.task: example for example in splits["train"]}
    assert set(tasks) == {"what", "which", "parameter", "compare"}
    assert [len(tasks[task].segments) for task in ("what", "which", "parameter", "compare")] == [1, 1, 1, 2]
    for example in (example for name in splits for example in splits[name]):
        assert example.answers[0] == " ".join(segment.text for segment in example.segments)
        assert {segment.passage_id for segment in example.segments} <= ids
        assert all(len(segment.text.split()) <= 35 for segment in example.segments)


def test_what_is_asked_for_can_be_told_from_the_question(splits: dict[str, list[Example]]) -> None:
    words = {one.id: set(content_words(one.text)) | set(content_words(one.title)) for one in town()}
    asked = [example for example in splits["train"] if example.task == "which"]
    lamp = [example for example in asked if "lamp" in example.question]
    assert lamp
    assert all("lamp" in words[str(example.segments[0].passage_id)] for example in lamp)


def test_questions_per_passage_is_a_limit() -> None:
    few = build_examples(town(), settings(questions_per_passage=3))["train"]
    counts: dict[str, int] = {}
    for example in few:
        first = str(example.segments[0].passage_id)
        counts[first] = counts.get(first, 0) + 1
    assert max(counts.values()) == 3


def test_the_command_writes_equal_files_for_an_equal_seed(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl.gz"
    write_jsonl(corpus, town())
    seeds = {"a": "1", "b": "1", "c": "2"}
    for name, seed in seeds.items():
        arguments = ["python", "--corpus", str(corpus), "--out", str(tmp_path / name), "--seed", seed]
        result = CliRunner().invoke(examples_app, arguments)
        assert result.exit_code == 0, result.output
        assert re.search(
            r"train\.jsonl\.gz: \d+ examples \(compare \d+, parameter \d+, what \d+, which \d+\)", result.output
        )
    written = {name: (tmp_path / name / "train.jsonl.gz").read_bytes() for name in seeds}
    assert written["a"] == written["b"] != written["c"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "dev.jsonl.gz",
        "known.jsonl.gz",
        "test.jsonl.gz",
        "train.jsonl.gz",
    ]
    ids = [example.id for example in read_examples(tmp_path / "a" / "known.jsonl.gz")]
    assert all(first != second for first, second in pairwise(ids))


def test_a_corpus_of_something_else_is_refused() -> None:
    other = Passage(id="page-1", title="Lighthouse", text="A lighthouse stands here.")
    with pytest.raises(
        InputError, match=r"corpus\.jsonl: the corpus holds no Python documentation.*cosup corpus python"
    ):
        build_examples([other], settings())


def test_an_out_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    write_jsonl(corpus, town())
    result = CliRunner().invoke(examples_app, ["python", "--corpus", str(corpus), "--out", str(corpus)])
    assert result.exit_code == 2
    assert "is a file, not a folder" in result.output
