"""From the answer of the decoding loop to the models that go over HTTP."""

from collections.abc import Sequence
from dataclasses import asdict

from semiparametric.store import Store
from service.decoding.answer import Answer, Citation, ScoredPassage
from service.schemas import (
    CitationResult,
    GenerateResponse,
    IndexInfo,
    PassageResult,
    TimingsResult,
    UsageResult,
)


def generate_response(answer: Answer, store: Store) -> GenerateResponse:
    """A finished answer."""
    return GenerateResponse(
        answer=answer.text,
        citations=[citation_result(citation) for citation in answer.citations],
        passages=passage_results(answer.passages),
        finish_reason=answer.finish_reason,
        usage=UsageResult(**asdict(answer.usage)),
        timings=TimingsResult(**asdict(answer.timings)),
        index=index_info(store),
    )


def citation_result(citation: Citation) -> CitationResult:
    """A citation."""
    return CitationResult(**asdict(citation))


def passage_results(found: Sequence[ScoredPassage]) -> list[PassageResult]:
    """Passages with their scores."""
    return [PassageResult(**hit.passage.model_dump(), score=hit.score) for hit in found]


def index_info(store: Store) -> IndexInfo:
    """Name and version of the index that is served."""
    return IndexInfo(name=store.name, version=store.version)
