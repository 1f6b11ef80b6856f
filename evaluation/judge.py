"""Whether a text follows from another: by a language-inference model, or by its words."""

import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from evaluation.catalogue import LEXICAL
from evaluation.metrics.citations import Pair
from evaluation.metrics.text import normalise
from semiparametric.errors import InputError

logger = logging.getLogger(__name__)


class Judge(Protocol):
    """Judges pairs of premise and hypothesis."""

    @property
    def suffix(self) -> str:
        """What the names of its figures end in."""
        ...

    def judge(self, pairs: Sequence[Pair]) -> list[bool]:
        """Whether each hypothesis follows from its premise."""
        ...


class LexicalJudge:
    """A hypothesis follows where nearly all of its words stand in the premise: no inference, but it needs no model.

    Words are compared in KILT's normal form. It takes a contradiction for an agreement, and misses every paraphrase.
    """

    suffix = "_lexical"
    _least_share = 0.8

    def judge(self, pairs: Sequence[Pair]) -> list[bool]:
        """Whether at least four fifths of the distinct words of each hypothesis stand in its premise."""
        return [self._follows(premise, hypothesis) for premise, hypothesis in pairs]

    def _follows(self, premise: str, hypothesis: str) -> bool:
        words = _words(hypothesis)
        return bool(words) and len(words & _words(premise)) >= self._least_share * len(words)


@lru_cache(maxsize=1024)
def _words(text: str) -> frozenset[str]:
    """Those of its normal form. Many sentences are compared with one passage, one after the other."""
    return frozenset(normalise(text).split())


class NliJudge:
    """A model from a local folder.

    Either a sequence-to-sequence model that is asked `premise: ... hypothesis: ...` and writes `1`, as ALCE's
    t5_xxl_true_nli_mixture does, or a classifier of sentence pairs with a label that begins with `entail`.

    Args:
        folder: A Hugging Face folder.
        device: Where it runs.
        batch: Pairs that are judged at a time.

    Raises:
        InputError: The folder does not exist, cannot be loaded, or holds another kind of model.
    """

    suffix = ""

    def __init__(self, folder: Path, *, device: str = "cpu", batch: int = 16) -> None:
        if not (folder / "config.json").is_file():
            raise InputError(
                "there is no NLI model: the folder has no config.json",
                where=f"judge {folder}",
                remedy=f"Give a Hugging Face folder on this machine, or '{LEXICAL}', which needs none",
            )
        from transformers import AutoConfig, AutoTokenizer

        self._device, self._batch = device, batch
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._writes = bool(config.is_encoder_decoder)
            self._label = None if self._writes else _entailment(config.id2label, folder)
            self._model = self._loaded(folder)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"cannot be loaded ({error})", where=f"judge {folder}") from error

    def judge(self, pairs: Sequence[Pair]) -> list[bool]:
        """Whether each hypothesis follows from its premise; equal pairs are judged once."""
        distinct = sorted(set(pairs), key=lambda pair: len(pair[0]) + len(pair[1]))  # like lengths: little padding
        known: dict[Pair, bool] = {}
        for start in range(0, len(distinct), self._batch):
            some = distinct[start : start + self._batch]
            known |= zip(some, self._written(some) if self._writes else self._classified(some), strict=True)
        return [known[pair] for pair in pairs]

    def _loaded(self, folder: Path) -> Any:
        from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

        auto: Any = AutoModelForSeq2SeqLM if self._writes else AutoModelForSequenceClassification
        return auto.from_pretrained(folder, local_files_only=True).eval().to(self._device)

    def _written(self, pairs: Sequence[Pair]) -> list[bool]:
        import torch

        asked = [f"premise: {premise} hypothesis: {hypothesis}" for premise, hypothesis in pairs]
        inputs = self._tokenizer(asked, return_tensors="pt", padding=True).to(self._device)
        with torch.inference_mode():
            said = self._model.generate(
                input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, max_new_tokens=10, do_sample=False
            )
        return [text.strip() == "1" for text in self._tokenizer.batch_decode(said, skip_special_tokens=True)]

    def _classified(self, pairs: Sequence[Pair]) -> list[bool]:
        import torch

        positions = getattr(self._model.config, "max_position_embeddings", None)
        longest = None if positions is None else min(positions, self._tokenizer.model_max_length)
        inputs = self._tokenizer(
            [premise for premise, _ in pairs],
            [hypothesis for _, hypothesis in pairs],
            return_tensors="pt",
            padding=True,
            truncation="only_first" if longest else False,  # a classifier reads so much; the hypothesis stays whole
            max_length=longest,
        ).to(self._device)
        with torch.inference_mode():
            best: list[int] = self._model(**inputs).logits.argmax(-1).tolist()
        return [label == self._label for label in best]


def open_judge(name: str, *, device: str = "cpu") -> Judge:
    """The lexical judge by its name, a model by its folder; errors as `NliJudge`."""
    return LexicalJudge() if name == LEXICAL else NliJudge(Path(name), device=device)


def judgements(judge: Judge, pairs: Iterable[Pair]) -> dict[Pair, bool]:
    """All judgements of these pairs, each made once."""
    distinct = list(dict.fromkeys(pairs))
    return dict(zip(distinct, judge.judge(distinct), strict=True))


def _entailment(labels: dict[int, str], folder: Path) -> int:
    found = [number for number, label in labels.items() if label.lower().startswith("entail")]
    if len(found) != 1:
        raise InputError(
            f"its labels {sorted(labels.values())} do not name one as entailment",
            where=f"judge {folder}",
            remedy="Give a model of natural-language inference",
        )
    return found[0]
