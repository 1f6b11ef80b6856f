"""One converter per format. A new one is a function `(path, settings) -> Iterator[Converted]` and an entry here."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from training.examples.converters.alce import convert_alce
from training.examples.converters.beir import convert_beir
from training.examples.converters.converted import Converted
from training.examples.converters.kilt import convert_kilt
from training.examples.converters.nq import convert_nq
from training.examples.converters.self_rag import convert_self_rag
from training.examples.converters.squad import convert_squad
from training.examples.settings import ConvertSettings

Converter = Callable[[Path, ConvertSettings], Iterator[Converted]]

CONVERTERS: Mapping[str, Converter] = {
    "kilt": convert_kilt,
    "alce": convert_alce,
    "self-rag": convert_self_rag,
    "squad": convert_squad,
    "nq": convert_nq,
    "beir": convert_beir,
}

__all__ = ["CONVERTERS", "Converter"]
