"""The setting `index`: folders, the names that they are served under, and what is refused."""

from pathlib import Path

import pytest

from semiparametric.errors import InputError
from service.index_folders import IndexFolder, refuse_doubles, served_name
from service.settings import AskSettings, ServeSettings


def resolved(index: object) -> tuple[IndexFolder, ...]:
    return ServeSettings.resolve({"pair": "pair", "index": index}).index


def test_one_folder_alone_is_a_list_of_one_with_its_own_name() -> None:
    for given in ("build/python", ["build/python"], Path("build/python"), [Path("build/python")]):
        assert resolved(given) == (IndexFolder(Path("build/python")),)


def test_several_folders_keep_their_order_and_names() -> None:
    given = ["python=build/python", "build/handbook", "a.B_c-1=/srv/x=y"]
    expected = (
        IndexFolder(Path("build/python"), "python"),
        IndexFolder(Path("build/handbook")),
        IndexFolder(Path("/srv/x=y"), "a.B_c-1"),
    )
    assert resolved(given) == expected


def test_a_path_is_a_folder_whatever_characters_it_has() -> None:
    assert resolved(Path("build/a=b")) == (IndexFolder(Path("build/a=b")),)


def test_the_environment_holds_one_folder_or_a_json_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSUP_INDEX", "python=build/python")
    assert ServeSettings.resolve({"pair": "p"}).index == (IndexFolder(Path("build/python"), "python"),)
    monkeypatch.setenv("COSUP_INDEX", '["build/python", "b=build/b"]')
    both = (IndexFolder(Path("build/python")), IndexFolder(Path("build/b"), "b"))
    assert ServeSettings.resolve({"pair": "p"}).index == both


def test_a_settings_file_may_name_one_or_several(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("index: build/python\n")
    assert ServeSettings.resolve({"pair": "p"}, file).index == (IndexFolder(Path("build/python")),)
    file.write_text("index: [build/python, other=build/b]\n")
    assert [index.name for index in ServeSettings.resolve({"pair": "p"}, file).index] == [None, "other"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("=build/python", "'' is no name for an index: a name is 1 to 64"),
        ("../python=build/python", "'../python' is no name for an index"),
        ("a/b=build/python", "'a/b' is no name"),
        ("..=build/python", "'..' is no name"),
        (".hidden=build/python", "'.hidden' is no name"),
        ("two words=build/python", "'two words' is no name"),
        ("line\n=build/python", "is no name"),
        ("Übung=build/python", "'Übung' is no name"),
        ("a" * 65 + "=build/python", "is no name"),
        ("python=", "the folder is empty. Write NAME=FOLDER"),
        ("", "the folder is empty"),
        ([], "Tuple should have at least 1 item"),
        ('["build/python"', "a list of folders is written as JSON"),
        ([3], "index.0"),
        ({"python": "build/python"}, "index: Input should be a valid tuple"),
    ],
)
def test_names_and_folders_that_would_not_do_are_refused(given: object, said: str) -> None:
    with pytest.raises(InputError) as refused:
        resolved(given)
    assert said in str(refused.value)


def test_asking_several_indexes_at_once_is_refused() -> None:
    with pytest.raises(InputError, match="index: Tuple should have at most 1 item"):
        AskSettings.resolve({"pair": "p", "index": ["a", "b"], "question": "Q"})


@pytest.mark.parametrize("own_name", ["", "..", "a/b", "the handbook", "new\nline"])
def test_an_own_name_that_would_not_do_is_refused_unless_another_is_given(own_name: str) -> None:
    with pytest.raises(InputError, match=r"its own name .* cannot be served: .* Give it another with --index NAME=FOL"):
        served_name(IndexFolder(Path("x")), own_name)
    assert served_name(IndexFolder(Path("x"), "x"), own_name) == "x"


def test_two_indexes_of_one_name_are_refused() -> None:
    refuse_doubles(["a", "b", "A"])
    with pytest.raises(InputError, match=r"more than one index is called a, c\. Give each its own name"):
        refuse_doubles(["a", "b", "a", "c", "c"])
