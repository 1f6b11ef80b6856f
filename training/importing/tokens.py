"""Tokenizers of imported checkpoints: the authors' added tokens are found, checked, and made special."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from semiparametric.control import CE, CS, RET, ControlTokens, add_control_tokens, encode_text
from semiparametric.errors import PairError

PAD = "<PAD>"
LAYOUT = (PAD, CS, CE, RET)  # the order in which the authors added them, behind the base model's vocabulary
_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, whichever of the known files it is in.

    Raises:
        PairError: There is none, it cannot be read, or a package to read it with is missing.
    """
    if not any((folder / name).is_file() for name in _FILES):
        raise PairError(
            "the checkpoint has no tokenizer",
            where=str(folder),
            remedy="Name the folder or hub name of its base model's with --tokenizer",
        )
    if not (folder / "tokenizer.json").is_file() and (folder / "tokenizer.model").is_file():
        missing = [package for package, module in _CONVERTERS.items() if find_spec(module) is None]
        if missing:
            raise PairError(
                f"its tokenizer is a SentencePiece model, which cannot be read without {' and '.join(missing)}",
                where=str(folder / "tokenizer.model"),
                remedy=f"pip install {' '.join(missing)}",
            )
    try:
        told = _told_to_begin(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **told)
    except Exception as error:  # a damaged file raises Exception itself, from the Rust library
        raise PairError(
            f"its tokenizer cannot be read ({str(error).partition(chr(10))[0]})",
            where=str(folder),
            remedy="Name the folder or hub name of its base model's with --tokenizer",
        ) from error
    return tokenizer


_CONVERTERS = {"sentencepiece": "sentencepiece", "protobuf": "google.protobuf"}


def _told_to_begin(folder: Path) -> dict[str, bool]:
    """Old Llama tokenizers put `<s>` before a text unless told otherwise; today's do so only when told."""
    config = folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").is_file() or not config.is_file():
        return {}
    said = json.loads(config.read_bytes())
    is_llama = str(said.get("tokenizer_class", "")).startswith("LlamaTokenizer")
    return {"add_bos_token": True} if is_llama and said.get("add_bos_token") is None else {}


def complete(tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Give a base model's tokenizer the authors' four tokens, where the embedding table has exactly that much room.

    This is how their own code makes its tokenizer; a tokenizer that has any of the tokens is left as it is.
    """
    if rows == len(tokenizer) + len(LAYOUT) and not tokenizer.get_vocab().keys() & set(LAYOUT):
        tokenizer.add_special_tokens({"pad_token": PAD})
        add_control_tokens(tokenizer)


def check_rows(tokenizer: PreTrainedTokenizerBase, rows: int, *, where: str) -> None:
    """Refuse a tokenizer that names tokens for which the model has no embedding.

    Raises:
        PairError: The tokenizer has more tokens than the table has rows.
    """
    if rows < len(tokenizer):
        raise PairError(
            f"the embedding table has {rows} rows, the tokenizer {len(tokenizer)} tokens",
            where=where,
            remedy="Use the tokenizer that the weights were trained with, or the weights that were saved with it",
        )


def control_tokens(tokenizer: PreTrainedTokenizerBase, rows: int, *, needs_pad: bool, where: str) -> ControlTokens:
    """The ids of Gen's control tokens, which are special tokens from now on.

    Args:
        tokenizer: Gen's; old files hold `[Cs]` and `[Ce]` as added tokens that text may produce, so it is changed.
        rows: Rows of Gen's embedding table.
        needs_pad: Whether `<PAD>` must stand before them.
        where: The checkpoint, for messages.

    Raises:
        PairError: Some are missing, stand in another order, or can be produced by text.
    """
    tokens = LAYOUT if needs_pad else LAYOUT[1:]
    ids = _ids(tokenizer, tokens)
    first = min(ids.values(), default=len(tokenizer))
    if ids != {token: first + place for place, token in enumerate(tokens)}:
        base = rows - len(tokens)
        found = ", ".join(f"{token}={ids.get(token, 'missing')}" for token in tokens)
        right = ", ".join(f"{token}={base + place}" for place, token in enumerate(tokens))
        raise PairError(
            f"the tokenizer has {found}; the layout is {', '.join(tokens)}, one id after another",
            where=where,
            remedy=f"With its embedding table of {rows} rows it would be {right}: use the tokenizer of the training, "
            "or name that of the base model with --tokenizer",
        )
    make_special(tokenizer, where=where)
    return ControlTokens(ret=ids[RET], cs=ids[CS], ce=ids[CE])


def make_special(tokenizer: PreTrainedTokenizerBase, *, where: str) -> None:
    """Mark those of the control tokens that a tokenizer has as special, so that text is never encoded as one.

    Raises:
        PairError: Text still becomes control.
    """
    ids = _ids(tokenizer, (CS, CE, RET))
    tokenizer.add_special_tokens({"extra_special_tokens": list(ids)}, replace_extra_special_tokens=False)
    if not set(ids.values()).isdisjoint(encode_text(tokenizer, f"{RET} {CS}{CE} a{RET}b")):
        raise PairError(
            "text that spells a control token is encoded as one",
            where=where,
            remedy="Its control tokens must be added tokens, not pieces of its vocabulary",
        )


def set_padding(tokenizer: PreTrainedTokenizerBase, *, where: str) -> None:
    """Pad with `<PAD>`, whose state is the vector of a passage under `last_position`.

    Raises:
        PairError: The tokenizer has no such token.
    """
    if PAD not in tokenizer.get_vocab():
        raise PairError(
            f"the tokenizer has no {PAD}, which pads passages up to the position that is their vector",
            where=where,
            remedy="Use the tokenizer that the weights were trained with, or import with --pooling last_token",
        )
    tokenizer.pad_token = PAD


def check_same_vocabulary(gen: PreTrainedTokenizerBase, embseq: PreTrainedTokenizerBase) -> None:
    """Refuse two tokenizers of models that share a vocabulary, when they number it differently.

    Raises:
        PairError: With the first token that differs.
    """
    ours, theirs = gen.get_vocab(), embseq.get_vocab()
    differing = sorted(token for token in ours.keys() | theirs.keys() if ours.get(token) != theirs.get(token))
    if differing:
        token = min(differing, key=lambda token: ours.get(token, theirs.get(token, 0)))
        raise PairError(
            f"Gen and Embseq are of one kind and size, but their tokenizers differ: {token!r} is "
            f"{ours.get(token, 'missing')} in Gen's and {theirs.get(token, 'missing')} in Embseq's",
            remedy="Name the tokenizer that both were trained with by --tokenizer",
        )


def _ids(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> dict[str, int]:
    vocabulary = tokenizer.get_vocab()
    return {token: vocabulary[token] for token in tokens if token in vocabulary}
