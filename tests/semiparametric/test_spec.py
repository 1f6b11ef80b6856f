"""What `pair.json` may say."""

from typing import Any

import pytest
from pydantic import ValidationError

from semiparametric.control import ControlTokens
from semiparametric.spec import PairSpec, PassageForm, PromptForm


def test_the_default_prompt_is_the_authors_form() -> None:
    assert PromptForm(instruction="Be brief. ").render("Why?") == "Be brief. ## Input:\n\nWhy?## Output:\n\n"


def test_the_default_passage_is_title_and_text() -> None:
    assert PassageForm().render("Tide", "It turns.") == "Tide :: It turns."


@pytest.mark.parametrize(
    "template",
    ["no place", "{instruction} only", "{question} {title}", "{question.x}", "{question[0]}", "{question} {}"],
)
def test_a_prompt_without_its_places_or_with_others_is_refused(template: str) -> None:
    with pytest.raises(ValidationError, match=r"\{instruction\}, \{question\} and must hold \{question\}, not"):
        PromptForm(template=template)


@pytest.mark.parametrize("template", ["{title}", "", "{text} {source}", "{id}"])
def test_a_passage_form_without_its_places_or_with_others_is_refused(template: str) -> None:
    with pytest.raises(ValidationError, match=r"may hold \{text\}, \{title\} and must hold \{text\}, not"):
        PassageForm(template=template)


@pytest.mark.parametrize("template", ["{question", "question}", "{question} }"])
def test_an_unbalanced_brace_is_refused(template: str) -> None:
    with pytest.raises(ValidationError, match="template"):
        PromptForm(template=template)


def test_doubled_braces_are_single_ones_in_the_prompt() -> None:
    assert PromptForm(template="{{json}} {question}").render("Why?") == "{json} Why?"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format_version", 2),
        ("pooling", "max"),
        ("similarity", "euclid"),
        ("temperature", 0),
        ("dimension", 0),
        ("passage", {"max_tokens": 7}),
        ("colour", "red"),
        ("control", {"ret": 1, "cs": 2}),
    ],
)
def test_what_a_pair_cannot_be_is_refused_by_field(field: str, value: Any) -> None:
    said: dict[str, Any] = {"control": {"ret": 1, "cs": 2, "ce": 3}, "dimension": 8}
    with pytest.raises(ValidationError) as caught:
        PairSpec.model_validate(said | {field: value})
    assert caught.value.errors()[0]["loc"][0] == field


def test_a_spec_comes_back_from_json_as_it_was() -> None:
    spec = PairSpec(
        control=ControlTokens(ret=5, cs=3, ce=4),
        prompt=PromptForm(instruction="Answer in 日本語. "),
        pooling="mean",
        similarity="cosine",
        temperature=0.05,
        dimension=32,
        training={"steps": 3, "nested": {"rate": 1e-4, "files": ["a", "b"]}},
        fingerprint="ab",
    )
    assert PairSpec.model_validate_json(spec.model_dump_json()) == spec
