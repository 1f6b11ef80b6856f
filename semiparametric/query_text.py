"""Where a pair looks up with text: the text so far, and the encoder that makes a query of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from semiparametric.embedding import embed_tokens, tokenize_queries
from semiparametric.errors import PairError
from semiparametric.pair import Embseq, load_embseq, load_encoder, read_spec


def query_text(question: str, answer: str) -> str:
    """The text that a lookup is made with: the question and the answer so far, without passages and markers.

    White space around the answer is dropped: where a segment ends, training and decoding may differ in it.
    """
    answer = answer.strip()
    return f"{question}\n{answer}" if answer else question


@dataclass
class QueryEncoder:
    """Encodes the text so far as a query; `encode` may run in several threads at once.

    encoder: the model with its tokenizer and projection: Embseq itself, or an encoder of queries alone.
    """

    encoder: Embseq

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Queries `float32[n, d]` of texts made by `query_text`; unit rows where the pair compares by cosine."""
        return embed_tokens(self.encoder, tokenize_queries(self.encoder.tokenizer, self.encoder.spec, texts))


def load_query_encoder(pair: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> QueryEncoder:
    """Load the query encoder of a pair whose query is text, in evaluation mode.

    Raises:
        PairError: The pair looks up with Gen's state, or cannot be read.
    """
    spec = read_spec(pair)
    if spec.query_folder is None:
        raise PairError("it looks up with Gen's state and has no query encoder", where=str(pair))
    if spec.query_folder == "embseq":
        return QueryEncoder(load_embseq(pair, device=device, dtype=dtype))
    return QueryEncoder(load_encoder(pair, "query", device=device, dtype=dtype))
