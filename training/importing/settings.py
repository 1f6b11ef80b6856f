"""The settings of `cosup pair import` and `cosup pair info`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from semiparametric.settings import Settings
from semiparametric.spec import PassageForm


class ImportSettings(Settings):
    """Two checkpoints and what their weights do not say about themselves."""

    gen: str = Field(min_length=1, description="Gen's checkpoint: a local folder, or a name on the Hugging Face hub.")
    embseq: str = Field(min_length=1, description="Embseq's checkpoint: a local folder, or a name on the hub.")
    out: Path = Field(description="Folder of the pair; a pair that stands there is replaced.")
    tokenizer: str | None = Field(
        default=None,
        min_length=1,
        description="Tokenizer of both, a folder or hub name, where the checkpoints have none of their own.",
    )
    pooling: Literal["last_position", "last_token"] = Field(
        default="last_position",
        description="State that becomes a passage's vector: at the end of the padded row, as the authors trained, or "
        "of the last real token.",
    )
    passage_template: str = Field(
        default="{title} :: {text}", description="How a passage is shown to both; the authors' other form is {text}."
    )
    passage_max_tokens: int = Field(
        default=256, ge=8, description="Tokens of a passage that are read; last_position pads every passage to as many."
    )
    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(
        default=None, description="Type of the saved weights; as they were if none."
    )

    @field_validator("passage_template")
    @classmethod
    def _has_its_places(cls, template: str) -> str:
        PassageForm(template=template)
        return template


class InfoSettings(Settings):
    """Which pair to describe."""

    pair: Path = Field(description="Folder of the pair.")
