"""Settings of the commands that make examples."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from semiparametric.settings import Settings


class PythonExamplesSettings(Settings):
    """Which corpus to ask about, how many questions, and where to write them."""

    corpus: Path = Field(description="Corpus file made by `cosup corpus python`, .jsonl or .jsonl.gz.")
    out: Path = Field(description="Folder for train, dev, test and known.jsonl.gz; made if it does not exist.")
    seed: int = Field(default=0, description="Seed of the choice of questions; the same seed gives the same files.")
    questions_per_passage: int = Field(
        default=9, ge=1, le=40, description="Most training questions about one documented name (number)."
    )
    num_known: int = Field(
        default=2000, ge=0, description="Held-out questions about modules seen in training (number)."
    )
    num_unseen: int = Field(
        default=1000, ge=0, description="Questions in dev, and in test, about unseen modules (number each)."
    )
    test_percent: float = Field(
        default=8.0, ge=0, le=50, description="Share of top-level modules kept for test, in percent."
    )
    dev_percent: float = Field(
        default=4.0, ge=0, le=50, description="Share of top-level modules kept for dev, in percent."
    )


class ConvertSettings(Settings):
    """What to convert, from which format, and where to write it."""

    format: Literal["kilt", "alce", "self-rag", "squad", "nq", "beir"] = Field(description="Format of the source.")
    in_: list[Path] = Field(
        min_length=1, description="Source file (.json or .jsonl, .gz or not), or the folder of a BEIR set; repeatable."
    )
    out: Path = Field(
        description="Examples file to write (.jsonl or .jsonl.gz), or a folder for one examples file for each source "
        "and corpus.jsonl.gz."
    )
    corpus: Path | None = Field(
        default=None,
        description="kilt: the KILT knowledge source, or a corpus whose passages name their wikipedia_id and "
        "start_paragraph_id. beir: corpus.jsonl, where it is not in the folder.",
    )
    task: str | None = Field(default=None, description="Task of the examples, for reports; by the source if none.")
    segment_text: Literal["answer", "sentence"] = Field(
        default="answer", description="kilt, squad, nq: whether a segment is the answer or the sentence that holds it."
    )
    negatives: int = Field(
        default=8, ge=0, description="nq, beir: hard negatives of a lookup kept from the source, at most (number)."
    )
    unanswerable: bool = Field(
        default=False, description="squad: keep questions without an answer, as examples without segments."
    )
    min_bleu: float = Field(
        default=0.0, ge=0, le=1, description="kilt: least bleu_score of provenance, the match of page and source text."
    )
    all_pages: bool = Field(
        default=False, description="kilt: write the passages of all pages, not only of those that examples name."
    )
    min_support: Literal["fully", "partially"] = Field(
        default="partially", description="self-rag: least support by its passage for a stretch to be cited."
    )
    min_utility: int = Field(default=1, ge=1, le=5, description="self-rag: least utility of an answer that is kept.")
    positives: int = Field(
        default=4, ge=1, description="beir: relevant passages of a query that become examples, at most (number)."
    )


class FromCorpusSettings(Settings):
    """Which documents to learn from, what to ask about them, and where to write it."""

    corpus: list[Path] = Field(min_length=1, description="Corpus file, .jsonl or .jsonl.gz; repeatable.")
    out: Path = Field(description="Folder for train.jsonl.gz and dev.jsonl.gz; made if it does not exist.")
    title_share: float = Field(
        default=1.0, ge=0, description="Weight of titles and headings that lead to their passage; 0 for none."
    )
    sentence_share: float = Field(
        default=1.0, ge=0, description="Weight of sentences that lead to the passage they come from; 0 for none."
    )
    next_share: float = Field(
        default=0.5, ge=0, description="Weight of passages that lead on to the next one of their document; 0 for none."
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="Examples in all, shared out by the weights (number); if none, all of each kind with a weight.",
    )
    questions_per_passage: int = Field(
        default=2, ge=1, description="Sentences of a passage that become questions, at most (number)."
    )
    keywords_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of sentences asked as a few of their words, as in a search box."
    )
    min_words: int = Field(default=5, ge=1, description="Words of a sentence that is asked or answered, at least.")
    max_words: int = Field(default=50, ge=2, description="Words of a sentence that is asked or answered, at most.")
    held_out_percent: float = Field(default=5.0, ge=0, le=50, description="Share kept for dev.jsonl.gz, in percent.")
    held_out_by: Literal["document", "question"] = Field(
        default="document",
        description="document: dev asks about documents that training never asks about. question: about the same ones.",
    )
    seed: int = Field(default=0, description="Seed of the choice of questions; the same seed gives the same files.")


class MineSettings(Settings):
    """For which examples to mine hard negatives, in which passages and how."""

    examples: Path = Field(description="Examples file, .jsonl or .jsonl.gz.")
    corpus: list[Path] = Field(min_length=1, description="Corpus file, .jsonl or .jsonl.gz; repeatable.")
    out: Path = Field(description="Examples file to write, .jsonl or .jsonl.gz; its folder must exist.")
    method: Literal["bm25", "pair"] = Field(
        default="bm25", description="bm25: by words in common. pair: by the lookups of a pair that is trained already."
    )
    negatives: int = Field(default=8, ge=1, description="Negatives of each lookup, at most (number).")
    skip: int = Field(
        default=0,
        ge=0,
        description="Best-ranked passages passed over, after gold ones: they may be right too (number).",
    )
    depth: int = Field(default=100, ge=1, description="Passages of a lookup that are looked at, at most (number).")
    allow_answers: bool = Field(
        default=False, description="Take passages too that hold an answer, or the text that the lookup is cited for."
    )
    language: str = Field(default="english", description="bm25: language of the stemmer and of the stop words.")
    pair: Path | None = Field(default=None, description="pair: folder of the pair.")
    index: Path | None = Field(
        default=None, description="pair: folder of the pair's index; if none, the corpus is encoded here."
    )
    batch_tokens: int = Field(default=8192, ge=1, description="pair: tokens encoded at once, padding included.")
    device: str = Field(default="cpu", description="pair: where the models run: cpu, cuda or cuda:<number>.")
