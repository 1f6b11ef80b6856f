"""The length of a text in the tokens that a pair reads it in."""

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from index_builder.splitting import Splitter
from semiparametric.control import encode_texts
from semiparametric.errors import InputError, PairError
from semiparametric.pair import read_spec


def by_tokens(pair: Path, limit: int | None = None, overlap: int = 0) -> Splitter:
    """A splitter that counts tokens of the passage as the pair reads it, with its title.

    Counted in Embseq's tokens, and in Gen's where they are more: neither may cut a passage off.

    Args:
        pair: The pair's folder.
        limit: Tokens of a passage at most; as many as the pair reads if none.
        overlap: Tokens that a passage repeats of the one before, at most.

    Raises:
        InputError: The pair does not read so many tokens, or the overlap is more than half a passage.
        PairError: A tokenizer cannot be loaded.
    """
    spec = read_spec(pair)
    read = spec.passage.max_tokens
    if limit is not None and limit > read:
        raise InputError(
            f"the pair reads {read} tokens of a passage, the rest of {limit} would be cut off",
            where="passage_tokens",
            remedy=f"Choose {read} at most",
        )
    limit = limit or read
    if overlap > limit // 2:
        raise InputError(
            f"{overlap} tokens are more than half a passage of {limit}",
            where="overlap_tokens",
            remedy=f"Choose {limit // 2} at most",
        )
    gen = _tokenizer(pair / "gen")
    embseq = gen if spec.shared else _tokenizer(pair / "embseq")
    around = sum(embseq("a", return_special_tokens_mask=True).special_tokens_mask)

    def count(texts: Sequence[str]) -> list[int]:
        shown = list(texts)
        lengths = [len(ids) for ids in encode_texts(embseq, shown)]
        if embseq is gen:
            return lengths
        return [max(length, len(ids)) for length, ids in zip(lengths, encode_texts(gen, shown), strict=True)]

    return Splitter(max(1, limit - around), count, spec.passage.render, overlap)


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise PairError(f"its tokenizer cannot be loaded ({error})", where=str(folder)) from error
    return tokenizer
