"""The corpus of Python documentation, on packages written by the test and on the standard library itself."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from index_builder.corpus_cli import corpus_app
from index_builder.python_docs.corpus import PythonCorpus, build_corpus
from index_builder.python_docs.settings import PythonCorpusSettings
from semiparametric.errors import InputError
from semiparametric.formats import Passage, read_passages


@pytest.fixture(scope="module")
def standard_library(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Passage]:
    """The whole standard library of the running Python, by passage id."""
    folder = tmp_path_factory.mktemp("stdlib")
    made = build_corpus(PythonCorpusSettings(out=folder / "corpus.jsonl.gz"))
    return {passage.id: passage for passage in made.passages}


def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str | bytes]) -> None:
    """Write an importable package; importing it would fail the test."""
    for name, content in files.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def corpus_of(tmp_path: Path, *names: str, private: bool = False, max_words: int = 120) -> PythonCorpus:
    """Read the named packages."""
    settings = PythonCorpusSettings(
        package=list(names), out=tmp_path / "corpus.jsonl", private=private, max_words=max_words
    )
    return build_corpus(settings)


def titles(corpus: PythonCorpus) -> list[str]:
    """The titles in corpus order."""
    return [passage.title for passage in corpus.passages]


def test_modules_classes_functions_methods_and_properties_become_passages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = '''"""Lamps."""
raise SystemExit("sources are never imported")

class Lamp:
    """A lamp."""

    def __init__(self, oil=1.5, *, wick=None):
        """Left out: its name starts with an underscore."""

    def light(self, at: "Time", /, *, force: bool = False, **rest):
        """Light the lamp.

            Indented.
        Not.
        """

    @property
    def lit(self):
        """Whether it is lit."""

    @staticmethod
    def count(of):
        """Count the lamps."""

def undocumented(): ...

async def burn(*lamps, hours=1):
    """Burn for some hours."""
'''
    package(tmp_path, monkeypatch, {"lamps.py": source})
    made = corpus_of(tmp_path, "lamps").passages
    assert [(passage.id, passage.title, passage.metadata["kind"]) for passage in made] == [
        ("python:lamps", "lamps", "module"),
        ("python:lamps.Lamp", "lamps.Lamp(oil=1.5, *, wick=None)", "class"),
        ("python:lamps.Lamp.count", "lamps.Lamp.count(of)", "method"),
        ("python:lamps.Lamp.light", "lamps.Lamp.light(at, /, *, force=False, **rest)", "method"),
        ("python:lamps.Lamp.lit", "lamps.Lamp.lit", "property"),
        ("python:lamps.burn", "lamps.burn(*lamps, hours=1)", "function"),
    ]
    assert made[3].text == "Light the lamp.\n\n    Indented.\nNot."
    assert made[3].source == "lamps.py:10"
    assert made[3].metadata["module"] == "lamps"


def test_a_reexported_name_appears_once_under_its_public_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(
        tmp_path,
        monkeypatch,
        {
            "mill/__init__.py": "from .wheels import Wheel, spare\nfrom ._gears import *\n__all__ = 'Wheel', 'turn'\n",
            "mill/wheels.py": 'class Wheel:\n    """A wheel."""\n    def stop(self):\n        """Stop."""\n'
            'def spare():\n    """Not in __all__."""\n',
            "mill/_gears.py": '__all__ = ["turn"]\ndef turn():\n    """Turn."""\ndef grind():\n    """Hidden."""\n',
        },
    )
    made = corpus_of(tmp_path, "mill")
    assert titles(made) == ["mill.Wheel", "mill.Wheel.stop()", "mill.turn()", "mill.wheels.spare()"]
    assert made.passages[0].source == "mill/wheels.py:1"


def test_packages_that_import_from_each_other_in_a_circle_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(
        tmp_path,
        monkeypatch,
        {
            "ring/__init__.py": "from .a import *\nfrom .b import *\n",
            "ring/a.py": 'from .b import *\nfrom . import *\ndef one():\n    """One."""\n',
            "ring/b.py": 'from .a import *\nfrom .a import missing\ndef two():\n    """Two."""\n',
        },
    )
    assert titles(corpus_of(tmp_path, "ring")) == ["ring.one()", "ring.two()"]


def test_private_names_come_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        'def _inner():\n    """Inner."""\nclass Out:\n    """Out."""\n    def __len__(self):\n        """Length."""\n'
    )
    package(tmp_path, monkeypatch, {"closet.py": source})
    assert titles(corpus_of(tmp_path, "closet")) == ["closet.Out"]
    assert titles(corpus_of(tmp_path, "closet", private=True)) == [
        "closet.Out",
        "closet.Out.__len__()",
        "closet._inner()",
    ]


def test_a_long_docstring_is_split_at_paragraph_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paragraphs = [f"Paragraph {number} " + "word " * 9 for number in range(4)]
    docstring = "\n\n".join(paragraph.strip() for paragraph in paragraphs)
    package(tmp_path, monkeypatch, {"tale.py": f'"""{docstring}"""\n'})
    made = corpus_of(tmp_path, "tale", max_words=25).passages
    assert [passage.id for passage in made] == ["python:tale", "python:tale#2"]
    assert "\n\n".join(passage.text for passage in made) == docstring
    assert all(len(passage.text.split()) <= 25 for passage in made)


def test_a_paragraph_over_the_limit_is_split_at_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"line {number} of a very long table" for number in range(9)]
    package(tmp_path, monkeypatch, {"table.py": '"""' + "\n".join(lines) + '"""\n'})
    made = corpus_of(tmp_path, "table", max_words=22).passages
    assert len(made) == 3
    assert "\n".join(passage.text for passage in made).split("\n") == lines


def test_an_overlong_signature_is_cut_after_a_parameter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = ", ".join(f"parameter_{number}=None" for number in range(20))
    package(tmp_path, monkeypatch, {"wide.py": f'def f({parameters}):\n    """Wide."""\n'})
    (title,) = titles(corpus_of(tmp_path, "wide"))
    assert title.startswith("wide.f(parameter_0=None, ")
    assert title.endswith("=None, ...)")
    assert 70 < len(title) <= 100


def test_files_that_are_not_python_or_not_utf8_are_skipped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    package(
        tmp_path,
        monkeypatch,
        {
            "half/__init__.py": '"""Half."""\n',
            "half/broken.py": "def f(:\n",
            "half/latin.py": '"""caf\xe9"""\n'.encode("latin-1"),
            "half/declared.py": '# -*- coding: latin-1 -*-\n"""caf\xe9"""\n'.encode("latin-1"),
            "half/escape.py": '"""A wrong \\escape, by somebody else."""\n',
        },
    )
    with caplog.at_level(logging.WARNING):
        made = corpus_of(tmp_path, "half")
    assert [passage.text for passage in made.passages] == ["Half.", "café", "A wrong \\escape, by somebody else."]
    assert [reason.partition(":")[0] for reason in made.unreadable] == ["half/broken.py", "half/latin.py"]
    assert "half/broken.py" in caplog.text


def test_tests_inside_a_package_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, {"kit/__init__.py": '"""Kit."""\n', "kit/tests/__init__.py": '"""Tests."""\n'})
    assert titles(corpus_of(tmp_path, "kit")) == ["kit"]


def test_a_package_is_found_by_the_name_of_its_distribution(tmp_path: Path) -> None:
    assert "yaml.safe_load(stream)" in titles(corpus_of(tmp_path, "PyYAML"))


def test_a_package_and_the_standard_library_go_into_one_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdlib_module_names", frozenset({"heapq", "math"}))
    package(tmp_path, monkeypatch, {"lamps.py": '"""Lamps."""\n'})
    found = {str(passage.metadata["module"]) for passage in corpus_of(tmp_path, "lamps", "stdlib").passages}
    assert found == {"heapq", "lamps", "math"}


def test_a_package_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'no_such_package' is not installed.*top-level name"):
        corpus_of(tmp_path, "no_such_package")


def test_a_package_without_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, {"hollow/data.txt": "nothing"})
    with pytest.raises(InputError, match="'hollow' has no Python sources"):
        corpus_of(tmp_path, "hollow")


def test_a_package_without_docstrings_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, {"silent.py": "def f():\n    return 1\n"})
    with pytest.raises(InputError, match=r"no public docstrings found in silent.*--private"):
        corpus_of(tmp_path, "silent")


def test_the_standard_library_gives_several_thousand_passages(standard_library: dict[str, Passage]) -> None:
    assert len(standard_library) > 5000
    assert not [name for name in standard_library if name.startswith(("python:idlelib", "python:test."))]
    assert not [passage for passage in standard_library.values() if Path(passage.source or "").is_absolute()]


def test_well_known_names_stand_under_the_names_that_users_write(standard_library: dict[str, Passage]) -> None:
    assert standard_library["python:asyncio.Queue.get"].title == "asyncio.Queue.get()"
    assert "python:asyncio.queues.Queue.get" not in standard_library
    assert standard_library["python:json.dumps"].title.startswith("json.dumps(obj, *, skipkeys=False, ")
    assert (standard_library["python:json.dumps"].source or "").startswith("Lib/json/__init__.py:")
    assert standard_library["python:heapq.heappush"].title == "heapq.heappush(heap, item)"
    assert standard_library["python:os.path.join"].title.startswith("os.path.join(a, ")
    assert standard_library["python:os.getcwd"].metadata == {"module": "os", "kind": "function"}


def test_compiled_modules_are_inspected(standard_library: dict[str, Passage]) -> None:
    assert standard_library["python:math.sqrt"].text == "Return the square root of x."
    assert standard_library["python:math.sqrt"].title == "math.sqrt(x, /)"
    assert standard_library["python:builtins.len"].title == "len(obj, /)"
    assert standard_library["python:builtins.str.split"].title.startswith("str.split(sep=None")
    assert "python:itertools.chain" in standard_library
    assert "python:collections.deque.append" in standard_library
    assert "python:builtins.IOError" not in standard_library  # another name of OSError
    assert "python:socket.socket.recv" in standard_library


def test_no_two_passages_are_the_same(standard_library: dict[str, Passage]) -> None:
    assert len({(passage.title, passage.text) for passage in standard_library.values()}) == len(standard_library)


def test_a_compiled_module_that_hangs_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdlib_module_names", frozenset({"heapq", "math"}))
    settings = PythonCorpusSettings(out=tmp_path / "corpus.jsonl", inspect_timeout_seconds=0.0001)
    made = build_corpus(settings)
    assert {passage.metadata["module"] for passage in made.passages} == {"heapq"}
    assert "compiled module math left out: not inspected within 0.0001 seconds" in caplog.text


def test_the_command_writes_the_same_bytes_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, {"lamps/__init__.py": '"""Lamps."""\n', "lamps/oil.py": '"""Öl."""\n'})
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    for out in (first, second):
        result = CliRunner().invoke(corpus_app, ["python", "--package", "lamps", "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert "2 passages of 2 modules" in result.output
    assert first.read_bytes() == second.read_bytes()
    assert [passage.text for passage in read_passages(first)] == ["Lamps.", "Öl."]


def test_the_command_refuses_a_missing_folder_before_any_work(tmp_path: Path) -> None:
    result = CliRunner().invoke(corpus_app, ["python", "--out", str(tmp_path / "none" / "corpus.jsonl")])
    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_the_help_says_what_is_left_out() -> None:
    result = CliRunner().invoke(corpus_app, ["python", "--help"], env={"COLUMNS": "200"})
    assert "--private" in result.output
    assert "underscore" in result.output


def test_the_command_line_module_is_light() -> None:
    code = "import sys, index_builder.corpus_cli; sys.exit(bool({'torch', 'faiss', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
