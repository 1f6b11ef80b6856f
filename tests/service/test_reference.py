"""docs/api.md says what the service says of itself."""

from service.reference import reference
from tests.documents import ROOT


def test_the_reference_is_what_the_models_say_now() -> None:
    assert (ROOT / "docs" / "api.md").read_text("utf-8") == reference(), "write it again with `make reference`"


def test_the_reference_tells_of_every_model_once() -> None:
    headings = [line for line in reference().splitlines() if line.startswith("## ")]
    assert len(headings) == len(set(headings))
    for name in ("POST /generate", "POST /v1/embeddings", "GenerateRequest", "ChatMessage", "Annotation", "Problem"):
        assert f"## {name}" in headings
