"""`cosup examples mine`: examples in, the same examples with hard negatives out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, read_examples, write_jsonl
from training.examples.passages import read_corpora
from training.examples.settings import MineSettings
from training.mining.exclusion import Exclusion
from training.mining.lookups import Searcher, check_golds, lookups_of

BLOCK = 256
"""Examples searched for at once."""

MakeSearcher = Callable[[MineSettings, Mapping[str, Passage]], Searcher]


@dataclass
class Mined:
    """What was mined: `num_short` lookups got fewer negatives than asked for."""

    num_examples: int = 0
    num_lookups: int = 0
    num_negatives: int = 0
    num_short: int = 0


def mine(settings: MineSettings, searcher: MakeSearcher | None = None) -> Mined:
    """Write the examples with the negatives of their lookups; any that they had are replaced.

    Args:
        settings: What to mine for, in what, and how.
        searcher: Makes what searches for `method` pair; None encodes the corpus and searches it exactly.

    Raises:
        InputError: A file is wrong, there is nothing to look up, or an example cites what the corpus does not have.
        PairError: The pair cannot be read.
    """
    _check(settings)
    passages = read_corpora(settings.corpus)
    examples = list(read_examples(settings.examples))
    check_golds(examples, passages)
    if not lookups_of(examples):
        raise InputError("its examples cite no passage: there is nothing to mine for", where=str(settings.examples))
    found = (searcher or searcher_of)(settings, passages)
    exclusion = Exclusion(examples, passages, allow_answers=settings.allow_answers)
    mined = Mined()
    write_jsonl(settings.out, _with_negatives(examples, found, exclusion, settings, mined))
    return mined


def searcher_of(settings: MineSettings, passages: Mapping[str, Passage]) -> Searcher:
    """What searches: BM25, or the pair over vectors made here."""
    if settings.method == "bm25":
        from training.mining.bm25 import Bm25Searcher

        return Bm25Searcher(passages, settings.language)
    from training.mining.pair import PairSearcher, embedded_corpus, exact_nearest, pair_queries

    pair, batch_tokens = needed_pair(settings), settings.batch_tokens
    vectors = embedded_corpus(pair, passages, batch_tokens=batch_tokens, device=settings.device)
    queries = pair_queries(pair, passages, batch_tokens=batch_tokens, device=settings.device)
    return PairSearcher(queries, exact_nearest(list(passages), vectors, device=settings.device))


def needed_pair(settings: MineSettings) -> Path:
    """The pair's folder; InputError where none is named."""
    if settings.pair is None:
        raise InputError("--method pair needs a pair", where="--pair", remedy="Name its folder, or use --method bm25")
    return settings.pair


def _check(settings: MineSettings) -> None:
    if settings.method == "pair":
        needed_pair(settings)
    if settings.index is not None and settings.method != "pair":
        raise InputError("an index belongs to a pair", where="--index", remedy="Use it with --method pair")
    if settings.skip + settings.negatives > settings.depth:
        raise InputError(
            f"{settings.skip} skipped and {settings.negatives} negatives are more than the {settings.depth} looked at",
            where="--depth",
            remedy=f"Use at least {settings.skip + settings.negatives}, better twice that",
        )
    if settings.out.exists() and settings.out.samefile(settings.examples):
        raise InputError("it is the examples file itself", where="--out", remedy="Name another file")


def _with_negatives(
    examples: Sequence[Example], searcher: Searcher, exclusion: Exclusion, settings: MineSettings, mined: Mined
) -> Iterator[Example]:
    for block in _blocks(examples):
        lookups = lookups_of(block)
        found = searcher.search(block, settings.depth)
        negatives = iter(
            exclusion.admissible(lookup, ids)[settings.skip : settings.skip + settings.negatives]
            for lookup, ids in zip(lookups, found, strict=True)
        )
        for example in block:
            changed = _changed(example, negatives)
            counts = [len(segment.negatives) for segment in changed.cited]
            mined.num_examples += 1
            mined.num_lookups += len(counts)
            mined.num_negatives += sum(counts)
            mined.num_short += sum(count < settings.negatives for count in counts)
            yield changed


def _changed(example: Example, negatives: Iterator[list[str]]) -> Example:
    """The example, each cited segment with the next entry of `negatives`."""
    segments = [
        segment if segment.passage_id is None else segment.model_copy(update={"negatives": next(negatives)})
        for segment in example.segments
    ]
    return example.model_copy(update={"segments": segments})


def _blocks(examples: Iterable[Example]) -> Iterator[list[Example]]:
    left = iter(examples)
    while block := list(islice(left, BLOCK)):
        yield block
