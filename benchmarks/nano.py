"""What a pair looks up and answers on held-out questions, beside BM25 on the same corpus and questions.

    python -m benchmarks.nano --pair models/nano --corpus corpus.jsonl.gz --examples known=known.jsonl.gz

Lookup: is the gold passage of the first segment among the first k of the whole corpus (`retrieve`)? Answer:
token F1 (KILT normalisation, best of the reference answers) of the greedy answer. BM25 ranks title and text, English
stop words and Snowball stemming; it has no answers of its own.
"""

import asyncio
import json
import random
import re
import string
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import bm25s
import Stemmer
import typer

from index_builder.build import build_index
from index_builder.settings import BuildSettings
from semiparametric.formats import Example, Passage, read_examples, read_passages
from semiparametric.pair import load_gen
from semiparametric.store import Store
from service.decoding.events import DoneEvent
from service.decoding.generation import generate, retrieve
from service.decoding.request import GenerationRequest
from service.engines.transformers import TransformersEngine

KS = (1, 5)
CONCURRENT = 16


@dataclass(frozen=True)
class Figures:
    """One row of the table."""

    set: str
    questions: int
    recall_at_1: float
    recall_at_5: float
    bm25_recall_at_1: float
    bm25_recall_at_5: float
    answered: int
    answer_f1: float
    cited_gold: float


def main(
    pair: Annotated[Path, typer.Option(help="The pair.")],
    corpus: Annotated[Path, typer.Option(help="Corpus file; lookups search all of it.")],
    examples: Annotated[list[str], typer.Option(help="name=file of held-out examples; repeatable.")],
    limit: Annotated[int, typer.Option(help="Questions of each set for the lookup figures.")] = 1000,
    answers: Annotated[int, typer.Option(help="Questions of each set that are answered too.")] = 300,
    index: Annotated[
        Path | None, typer.Option(help="Index of this pair and corpus; none: built in a temporary folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
) -> None:
    """Print the table."""
    sets = dict(entry.split("=", 1) for entry in examples)
    with tempfile.TemporaryDirectory() as folder:
        place = index or Path(folder) / "index"
        if index is None:
            build_index(BuildSettings(pair=pair, corpus=corpus, out=place))
        passages = list(read_passages(corpus))
        rows = []
        for name, path in sets.items():
            asked = sample(list(read_examples(Path(path))), limit)
            figures = asyncio.run(measure(name, pair, place, asked, answers, bm25_ranks(passages, asked)))
            rows.append(figures)
            typer.echo(json.dumps(asdict(figures)))
    if out:
        out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")


def sample(examples: Sequence[Example], limit: int) -> list[Example]:
    """A fixed random sample of the examples that cite something."""
    cited = [example for example in examples if example.cited]
    random.Random(0).shuffle(cited)
    return cited[:limit]


async def measure(
    name: str, pair: Path, index: Path, examples: Sequence[Example], answers: int, bm25: Sequence[Sequence[str]]
) -> Figures:
    """Look all questions up, answer the first ones, and count."""
    gen = load_gen(pair)
    store = Store.open(index, fingerprint=gen.spec.fingerprint)
    engine = TransformersEngine(gen, max_sessions=CONCURRENT, max_waiting=len(examples))
    await engine.start()
    gate = asyncio.Semaphore(CONCURRENT)

    async def look_up(example: Example) -> list[str]:
        async with gate:
            found = await retrieve(engine, store, gen.codec, example.question, max(KS))
        return [scored.passage.id for scored in found]

    async def answer(example: Example) -> tuple[float, bool]:
        async with gate:
            async for event in generate(
                engine, store, gen.codec, GenerationRequest(example.question, max_new_tokens=96)
            ):
                if isinstance(event, DoneEvent):
                    cited = [citation.passage_id for citation in event.answer.citations]
                    return best_f1(event.answer.text, example), example.cited[0].passage_id in cited
        raise RuntimeError("generation ended without an answer")

    try:
        ranked = await asyncio.gather(*(look_up(example) for example in examples))
        answered = await asyncio.gather(*(answer(example) for example in examples[:answers]))
    finally:
        await engine.stop()
        store.close()
    return Figures(
        set=name,
        questions=len(examples),
        recall_at_1=recall(examples, ranked, 1),
        recall_at_5=recall(examples, ranked, 5),
        bm25_recall_at_1=recall(examples, bm25, 1),
        bm25_recall_at_5=recall(examples, bm25, 5),
        answered=len(answered),
        answer_f1=sum(f1 for f1, _ in answered) / max(1, len(answered)),
        cited_gold=sum(gold for _, gold in answered) / max(1, len(answered)),
    )


def recall(examples: Sequence[Example], ranked: Sequence[Sequence[str]], k: int) -> float:
    """Share of questions whose first gold passage is among the first k."""
    hits = (example.cited[0].passage_id in names[:k] for example, names in zip(examples, ranked, strict=True))
    return sum(hits) / max(1, len(examples))


def bm25_ranks(passages: Sequence[Passage], examples: Sequence[Example]) -> list[list[str]]:
    """The first passages by BM25 for each question."""
    stemmer = Stemmer.Stemmer("english")
    texts = [f"{passage.title} {passage.text}" for passage in passages]
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    questions = [example.question for example in examples]
    queries = bm25s.tokenize(questions, stopwords="en", stemmer=stemmer, show_progress=False)
    found, _ = retriever.retrieve(queries, k=max(KS), show_progress=False)
    return [[passages[row].id for row in rows] for rows in found]


def best_f1(answer: str, example: Example) -> float:
    """Token F1 against the closest reference answer."""
    references = example.answers or [" ".join(segment.text for segment in example.segments)]
    return max(f1(tokens(answer), tokens(reference)) for reference in references)


def f1(found: Sequence[str], expected: Sequence[str]) -> float:
    """Harmonic mean of token precision and recall."""
    common = sum((Counter(found) & Counter(expected)).values())
    return 2 * common / (len(found) + len(expected)) if common else 0.0


def tokens(text: str) -> list[str]:
    """KILT's normalisation: lower case, no punctuation, no articles."""
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


if __name__ == "__main__":
    typer.run(main)
