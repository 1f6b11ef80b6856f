"""Control tokens: `[Ret]` asks for a lookup, `[Cs]` opens a cited segment, `[Ce]` closes it.

Text never becomes control: whatever users, passages or answers contain, only the decoding loop and the
example builder write control token ids.
"""

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
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    return ids
