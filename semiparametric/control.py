"""Control tokens: `[Ret]` asks for a lookup, `[Cs]` opens a cited segment, `[Ce]` closes it.

Text never becomes control: whatever users, passages or answers contain, only the decoding loop and the
example builder write control token ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line reads settings that know control tokens; it must not wait for transformers
    from transformers import PreTrainedTokenizerBase

RET = "[Ret]"
CS = "[Cs]"
CE = "[Ce]"


@dataclass(frozen=True)
class ControlTokens:
    """The ids of the three control tokens in one Gen's vocabulary."""

    ret: int
    cs: int
    ce: int

    @property
    def ids(self) -> frozenset[int]:
        """All three ids."""
        return frozenset((self.ret, self.cs, self.ce))


def add_control_tokens(tokenizer: "PreTrainedTokenizerBase") -> ControlTokens:
    """Add the control tokens to a tokenizer that lacks them and return their ids."""
    tokenizer.add_special_tokens({"extra_special_tokens": [CS, CE, RET]}, replace_extra_special_tokens=False)
    ids = {token: int(tokenizer.convert_tokens_to_ids(token)) for token in (RET, CS, CE)}  # type: ignore[arg-type]
    return ControlTokens(ret=ids[RET], cs=ids[CS], ce=ids[CE])


def encode_text(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Encode text as plain text: a literal `[Ret]` or `</s>` in it gives ordinary tokens, never a special id."""
    return encode_texts(tokenizer, [text])[0]


def encode_texts(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    """Encode many texts as `encode_text` does one."""
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    return [_spelled(tokenizer, list(ids), special) for ids in encoded.input_ids]


def _spelled(tokenizer: "PreTrainedTokenizerBase", ids: list[int], special: set[int]) -> list[int]:
    """Spell special ids character by character: a Unigram model has `</s>` among its pieces and finds it in text."""
    if special.isdisjoint(ids):
        return ids
    spelled: list[int] = []
    for token_id in ids:
        if token_id in special:
            characters = list(str(tokenizer.convert_ids_to_tokens(token_id)))
            spelled += tokenizer.convert_tokens_to_ids(characters)  # type: ignore[arg-type]
        else:
            spelled.append(token_id)
    return spelled
