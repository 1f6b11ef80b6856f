"""Between text and the token ids of one pair's Gen: training and decoding build their sequences from these pieces."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from semiparametric.control import ControlTokens, encode_text
from semiparametric.errors import PairError
from semiparametric.formats import Passage
from semiparametric.spec import PairSpec


class Codec:
    """Encodes prompts, passages and text for Gen, and decodes what Gen wrote."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, spec: PairSpec) -> None:
        if tokenizer.eos_token_id is None:
            raise PairError("Gen's tokenizer has no end-of-sequence token", remedy="Set eos_token in its tokenizer")
        self.tokenizer = tokenizer
        self.spec = spec
        self.control: ControlTokens = spec.control
        self.eos_id: int = tokenizer.eos_token_id
        self._bos: list[int] = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]

    def prompt(self, question: str, instruction: str | None = None) -> list[int]:
        """BOS, where the tokenizer has one, and the prompt form around the question.

        `instruction` stands in place of the pair's own; None keeps that.
        """
        return self._bos + encode_text(self.tokenizer, self.spec.prompt.render(question, instruction))

    def passage(self, passage: Passage) -> list[int]:
        """The passage in the pair's form, cut to its token limit."""
        text = self.spec.passage.render(passage.title, passage.text)
        return encode_text(self.tokenizer, text)[: self.spec.passage.max_tokens]

    def text(self, text: str) -> list[int]:
        """Answer text; never a control token."""
        return encode_text(self.tokenizer, text)

    def decode(self, ids: Sequence[int]) -> str:
        """Plain text of ids; control and special tokens are left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
