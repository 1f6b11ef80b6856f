"""What goes over HTTP. These models are the source of the OpenAPI document."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from semiparametric.formats import Scalar
from service import examples
from service.fields import FilterValue, Question, RequestBody, Seed, Text

_RESPONSE = ConfigDict(extra="forbid", frozen=True)


class LookupScope(RequestBody):
    """Where a lookup may look."""

    index: Text | None = Field(
        default=None, description="Name of the index; the default one (`GET /indexes`) when left out."
    )
    filter: dict[Text, FilterValue] = Field(
        default_factory=dict,
        description="Only passages whose metadata has all of these values are looked up.",
        examples=[{"module": "json"}],
    )
    candidates: list[Text] | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="Only passages with these ids are looked up.",
        examples=[["json.dumps", "json.loads"]],
    )


class AnswerLookups(LookupScope):
    """Where and how an answer looks passages up."""

    retrieval: Literal["auto", "first", "never"] = Field(
        default="auto",
        description="`auto`: Gen decides when to look up; `first`: it must before the first word; `never`: no lookup.",
    )
    max_retrievals: int = Field(default=4, ge=0, le=32, description="Lookups in one answer, at most.")
    top_k: int = Field(default=1, ge=1, le=100, description="Passages that one lookup reports; Gen gets the best.")
    min_score: float | None = Field(
        default=None, description="A lookup whose best score is lower adds nothing to the answer."
    )


class GenerateRequest(AnswerLookups):
    """A question, and how to answer it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [examples.QUESTION, examples.QUESTIONS],
            "oneOf": [
                {"required": ["question"], "not": {"required": ["questions"]}},
                {
                    "required": ["questions"],
                    "properties": {"stream": {"const": False}},
                    "not": {"required": ["question"]},
                },
            ],
        }
    )

    question: Question = Field(default_factory=str, description="The question, as text. Control tokens stay text.")
    questions: list[Question] = Field(
        default_factory=list,
        min_length=1,
        max_length=64,
        description="In place of `question`: several, asked in the same way and answered from the same version.",
    )
    max_new_tokens: int | None = Field(
        default=None, ge=1, description="Tokens of the answer, at most. The service's own default when left out."
    )
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 always takes the likeliest token.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Sample from the likeliest tokens with this joint mass.")
    seed: Seed | None = Field(default=None, description="The same seed samples the same answer.")
    stream: bool = Field(default=False, description="Answer with server-sent events while the answer is written.")
    lookups: bool = Field(
        default=False, description="Report each lookup: where in the answer, what it found, and where on the map."
    )

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.model_fields_set.isdisjoint({"question", "questions"}):
            raise PydanticCustomError("text", "it asks nothing; give question, or questions for several")
        if self.model_fields_set.issuperset({"question", "questions"}):
            raise PydanticCustomError("text", "it has both question and questions; give one of them")
        if self.questions and self.stream:
            raise PydanticCustomError("text", "several questions cannot be streamed; ask one by one, or without stream")
        return self


class RetrieveRequest(LookupScope):
    """A query to look up."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.QUERY]})

    query: Question = Field(description="What to look for, as text.")
    top_k: int = Field(default=5, ge=1, le=100, description="Passages to return, at most.")


class IndexInfo(BaseModel):
    """The index that an answer was made with."""

    model_config = _RESPONSE

    name: str = Field(description="Name of the index.")
    version: int = Field(description="Version of the index.")


class IndexDetails(IndexInfo):
    """An index as it is served now."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.INDEX]})

    passages: int = Field(description="Passages that a lookup may give.")
    dimension: int = Field(description="Length of a sequence embedding.")
    index_type: str = Field(description="How lookups search: `flat` is exact, `hnsw` a graph, and so on.")
    store: Literal["faiss", "milvus"] = Field(description="What holds the vectors.")
    metadata_fields: list[str] = Field(description="Metadata fields that occur; a filter may name these.")
    built: datetime = Field(description="When the build of this version ended.")
    refused: int | None = Field(
        description="A version that was published and cannot be served; the service's log says why. None as a rule."
    )


class IndexesResponse(BaseModel):
    """The indexes that the asking client may read."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.INDEXES]})

    default: str | None = Field(description="The one that is meant where a request names none.")
    indexes: list[IndexDetails] = Field(description="The default one first.")


class PassageResult(BaseModel):
    """A passage that a lookup found."""

    model_config = _RESPONSE

    id: str = Field(description="Unique name within the index.")
    title: str = Field(description="Heading; may be empty.")
    text: str = Field(description="The passage.")
    source: str | None = Field(description="Where it comes from.")
    metadata: dict[str, Scalar] = Field(description="Scalars to filter by.", examples=[{"module": "json"}])
    score: float = Field(description="Inner product of query state and sequence embedding.")


class CitationResult(BaseModel):
    """A stretch of the answer and the passage that it was taken from."""

    model_config = _RESPONSE

    start: int = Field(description="First character, in Unicode code points of the answer.")
    end: int = Field(description="One past the last character.")
    passage_id: str = Field(description="Id of the passage.")
    score: float = Field(description="Score of the passage in its lookup.")
    probability: float = Field(
        description="Softmax of score / temperature over the max(top_k, 64) nearest candidates of that lookup.",
        examples=[0.61],
    )


class MapPoint(BaseModel):
    """A place on the map of an index."""

    model_config = _RESPONSE

    x: float = Field(description="Along the direction in which the index's vectors differ most.")
    y: float = Field(description="Along the second such direction.")


class LookupHit(BaseModel):
    """A passage that a lookup found."""

    model_config = _RESPONSE

    id: str = Field(description="Id of the passage.")
    score: float = Field(description="Inner product of query state and sequence embedding.")
    point: MapPoint | None = Field(description="The passage on the map; null where the index has no map.")


class LookupResult(BaseModel):
    """A lookup that an answer made."""

    model_config = _RESPONSE

    at: int = Field(description="Where it was made, in Unicode code points of the answer.")
    used: bool = Field(description="Whether its best passage was put before Gen; false below `min_score`.")
    query: MapPoint | None = Field(description="The query state on the map; null where the index has no map.")
    passages: list[LookupHit] = Field(description="What it found, best first, `top_k` at most.")


class UsageResult(BaseModel):
    """Tokens and lookups of one answer."""

    model_config = _RESPONSE

    prompt_tokens: int = Field(description="Tokens of the prompt.")
    passage_tokens: int = Field(description="Tokens that lookups put before Gen.")
    completion_tokens: int = Field(description="Tokens that Gen wrote, control tokens included.")
    retrievals: int = Field(description="Lookups.")
    forwarded_tokens: int = Field(description="Tokens that Gen really computed.")


class TimingsResult(BaseModel):
    """Seconds spent in each stage of one answer."""

    model_config = _RESPONSE

    queue: float = Field(description="Waiting for a place in the batch.")
    prefill: float = Field(description="Reading prompt and passages.")
    decode: float = Field(description="Writing tokens.")
    lookup: float = Field(description="Searching the index.")
    total: float = Field(description="From the start to the end.")


FinishReason = Literal["stop", "length", "no_evidence"]


class GenerateResponse(BaseModel):
    """The answer with its citations. A stream's `done` event carries the same."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.ANSWER]})

    answer: str = Field(description="Clean text, no markers.")
    citations: list[CitationResult] = Field(description="Cited stretches in the order of the answer.")
    passages: list[PassageResult] = Field(description="The passages that the answer used, in the order of first use.")
    finish_reason: FinishReason = Field(
        description="`stop`: Gen ended; `length`: a limit ended it; `no_evidence`: a lookup found nothing good enough."
    )
    usage: UsageResult
    timings: TimingsResult
    index: IndexInfo
    lookups: list[LookupResult] | None = Field(
        default=None, description="The lookups in the order made; there only where the request asked for them."
    )


class RetrieveResponse(BaseModel):
    """The passages nearest to a query."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.FOUND]})

    passages: list[PassageResult] = Field(description="Best first.")
    index: IndexInfo


class StatusResponse(BaseModel):
    """State of the service."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"status": "ready"}]})

    status: Literal["alive", "ready"] = Field(description="`alive`: the process answers; `ready`: it can serve.")


class ProblemPlace(BaseModel):
    """One wrong place in a request."""

    model_config = _RESPONSE

    pointer: str = Field(description="JSON pointer into the request body.")
    detail: str = Field(description="What is wrong there and what would be right.")


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.PROBLEM]})

    type: str = Field(description="Name of the kind of problem; stable.")
    title: str = Field(description="The kind of problem in words; the same for all of its kind.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What went wrong this time.")
    request_id: str = Field(description="The id to look for in the service's log.")
    errors: list[ProblemPlace] = Field(default_factory=list, description="Wrong places of the request body.")


class TokenData(BaseModel):
    """Data of a `token` event."""

    model_config = _RESPONSE

    text: str = Field(description="The next characters of the answer.")


class RetrievalData(BaseModel):
    """Data of a `retrieval` event: what a lookup found, best first. The first one is before Gen now."""

    model_config = _RESPONSE

    passages: list[PassageResult]


class BatchResponse(BaseModel):
    """The answers to several questions."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.ANSWERS]})

    answers: list[GenerateResponse | Problem] = Field(
        description="In the order of the questions: the answer, or the problem of that question alone."
    )
