"""`pair.json`: what a pair must say about itself so that others use its weights the way they were trained."""

from string import Formatter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from semiparametric.control import ControlTokens

Pooling = Literal["last_token", "mean"]
Similarity = Literal["dot", "cosine"]


class PromptForm(BaseModel):
    """How a question is put to Gen. The default is the authors' form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: str = Field(default="", description="Text before the question, the same for all questions.")
    template: str = Field(
        default="{instruction}## Input:\n\n{question}## Output:\n\n", description="The prompt, with its two places."
    )

    @field_validator("template")
    @classmethod
    def _has_its_places(cls, template: str) -> str:
        return _checked(template, allowed={"instruction", "question"}, needed="question")

    def render(self, question: str) -> str:
        """The prompt of a question."""
        return self.template.format(instruction=self.instruction, question=question)


class PassageForm(BaseModel):
    """How a passage is shown to Gen and to Embseq alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    template: str = Field(default="{title} :: {text}", description="The passage, with its places.")
    max_tokens: int = Field(default=256, ge=8, description="Tokens of a passage that are read; the rest is cut.")

    @field_validator("template")
    @classmethod
    def _has_its_places(cls, template: str) -> str:
        return _checked(template, allowed={"title", "text"}, needed="text")

    def render(self, title: str, text: str) -> str:
        """The passage as the models read it."""
        return self.template.format(title=title, text=text)


class PairSpec(BaseModel):
    """The contents of `pair.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    control: ControlTokens
    prompt: PromptForm = PromptForm()
    passage: PassageForm = PassageForm()
    pooling: Pooling = Field(default="last_token", description="How Embseq's states become one vector.")
    similarity: Similarity = Field(default="dot", description="dot product, or cosine divided by the temperature.")
    temperature: float = Field(default=1.0, gt=0, description="Divisor of a score before a softmax over passages.")
    dimension: int = Field(gt=0, description="Length of query states and sequence embeddings.")
    training: dict[str, Any] = Field(default_factory=dict, description="The settings that the pair was trained with.")
    fingerprint: str = Field(default="", description="Digest of Embseq and of all that its vectors depend on.")


def _checked(template: str, *, allowed: set[str], needed: str) -> str:
    names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    if needed not in names or not names <= allowed:
        places = ", ".join(f"{{{name}}}" for name in sorted(allowed))
        raise ValueError(f"a template may hold {places} and must hold {{{needed}}}, not {template!r}")
    return template
