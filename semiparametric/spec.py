"""`pair.json`: what a pair must say about itself so that others use its weights the way they were trained."""

from itertools import pairwise
from string import Formatter
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from semiparametric.control import ControlTokens
from semiparametric.errors import InputError

Pooling = Literal["last_token", "mean", "last_position"]
Similarity = Literal["dot", "cosine"]
Query = Literal["state", "text"]
QueryFolder = Literal["embseq", "query"]


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

    def render(self, question: str, instruction: str | None = None) -> str:
        """The prompt of a question, with another instruction where one is given."""
        said = self.instruction if instruction is None else instruction
        return self.template.format(instruction=said, question=question)


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


class Projection(BaseModel):
    """The sides that a learned matrix takes into the sequence space; a side without one is used as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: bool = Field(description="Whether query states are projected, by `query.weight`.")
    sequence: bool = Field(description="Whether Embseq's pooled states are projected, by `sequence.weight`.")

    @model_validator(mode="after")
    def _projects_something(self) -> Self:
        if not self.query and not self.sequence:
            raise ValueError("a projection projects the query, the sequence or both; leave it out where neither is")
        return self

    @property
    def keys(self) -> set[str]:
        """Names of the tensors of `projection.safetensors`."""
        return {f"{side}.weight" for side, projected in self if projected}


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
    query: Query = Field(
        default="state", description="What looks passages up: Gen's state at `[Ret]`, or the text so far, encoded."
    )
    query_folder: QueryFolder | None = Field(
        default=None, description="Folder of the encoder of that text: Embseq's own, or one for queries alone."
    )
    shared: bool = Field(default=False, description="Whether one model is Gen and Embseq; there is no embseq/ then.")
    projection: Projection | None = Field(default=None, description="What `projection.safetensors` projects.")
    leading_dimensions: tuple[int, ...] = Field(
        default=(), description="Sizes, ascending, at which the leading dimensions were trained to serve alone."
    )
    training: dict[str, Any] = Field(default_factory=dict, description="The settings that the pair was trained with.")
    fingerprint: str = Field(default="", description="Digest of Embseq and of all that its vectors depend on.")

    @model_validator(mode="after")
    def _one_query_side(self) -> Self:
        if (self.query == "text") != (self.query_folder is not None):
            raise ValueError('query_folder names the encoder of query "text", and of no other query')
        if self.query == "text" and self.shared:
            raise ValueError('a shared pair looks up with its state; query "text" needs an encoder of its own')
        if self.query_folder == "embseq" and self.projection is not None and self.projection.query:
            raise ValueError("where Embseq encodes queries too, it projects them as it does passages, by sequence")
        return self

    @model_validator(mode="after")
    def _leading_dimensions_ascend(self) -> Self:
        sizes = (0, *self.leading_dimensions, self.dimension)
        if any(lower >= higher for lower, higher in pairwise(sizes)):
            raise ValueError(
                f"leading_dimensions ascend from 1 to below the dimension {self.dimension}, "
                f"not {list(self.leading_dimensions)}"
            )
        return self

    def served_dimension(self, dimension: int | None) -> int:
        """The dimension of an index: the full one where `dimension` is None.

        Raises:
            InputError: The pair was not trained to serve with so many leading dimensions.
        """
        allowed = (*self.leading_dimensions, self.dimension)
        if dimension is not None and dimension not in allowed:
            raise InputError(
                f"the pair was not trained to serve with its {dimension} leading dimensions alone",
                where="dimension",
                remedy=f"Choose one of {', '.join(map(str, allowed))}, or train with leading_dimensions",
            )
        return dimension or self.dimension


def _checked(template: str, *, allowed: set[str], needed: str) -> str:
    names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    if needed not in names or not names <= allowed:
        places = ", ".join(f"{{{name}}}" for name in sorted(allowed))
        raise ValueError(f"a template may hold {places} and must hold {{{needed}}}, not {template!r}")
    return template
