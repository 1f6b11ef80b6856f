"""From the answer of the decoding loop to the models that go over HTTP."""

from collections.abc import Sequence
from dataclasses import asdict

from service.decoding.answer import Answer, Citation, ScoredPassage
from service.index_version import IndexVersion
from service.indexes import ServedIndex
from service.schemas import (
    CitationResult,
    GenerateResponse,
    IndexDetails,
    IndexInfo,
    LookupResult,
    PassageResult,
    TimingsResult,
    UsageResult,
)


def generate_response(
    answer: Answer, version: IndexVersion, lookups: list[LookupResult] | None = None
) -> GenerateResponse:
    """A finished answer, to be sent without its unset fields; `lookups` where they were asked for."""
    reported = {} if lookups is None else {"lookups": lookups}
    return GenerateResponse(
        answer=answer.text,
        citations=[citation_result(citation) for citation in answer.citations],
        passages=passage_results(answer.passages),
        finish_reason=answer.finish_reason,
        usage=UsageResult(**asdict(answer.usage)),
        timings=TimingsResult(**asdict(answer.timings)),
        index=index_info(version),
        **reported,
    )


def citation_result(citation: Citation) -> CitationResult:
    """A citation."""
    return CitationResult(**asdict(citation))


def passage_results(found: Sequence[ScoredPassage]) -> list[PassageResult]:
    """Passages with their scores."""
    return [PassageResult(**hit.passage.model_dump(), score=hit.score) for hit in found]


def index_info(version: IndexVersion) -> IndexInfo:
    """Name and version of the index that a request was answered from."""
    return IndexInfo(name=version.name, version=version.store.version)


def index_details(index: ServedIndex) -> IndexDetails:
    """What is known of an index as it is served now."""
    manifest = index.current.store.manifest
    return IndexDetails(
        name=index.name,
        version=manifest.version,
        passages=manifest.corpus.count,
        dimension=manifest.index.dimension,
        index_type=manifest.index.index_type,
        store=manifest.store,
        metadata_fields=manifest.corpus.metadata_fields,
        built=manifest.build.finished,
        refused=None if index.refused is None else index.refused.version,
    )
