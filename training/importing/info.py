"""What a pair says about itself, how large it is, and whether its fingerprint is that of its files."""

import json
from collections import Counter
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

from semiparametric.errors import PairError
from semiparametric.pair import fingerprint, read_spec
from semiparametric.projection import read_projection
from semiparametric.spec import PairSpec


def describe(pair: Path) -> list[tuple[str, str]]:
    """Names and values, one a line, of what there is to know without loading a model.

    Raises:
        PairError: It is not a pair, or a file of it is missing or damaged.
    """
    spec = read_spec(pair)
    lines = [("gen", _size(pair / "gen"))]
    lines += [("embseq", "Gen itself, without its head" if spec.shared else _size(pair / "embseq"))]
    lines += [("query encoder", _size(pair / "query"))] if spec.query_folder == "query" else []
    lines += [(name, _told(value)) for name, value in spec.model_dump(exclude=_TOLD_ELSEWHERE).items()]
    lines += [(f"training.{name}", _told(value)) for name, value in spec.training.items()]
    return lines


def check_fingerprint(pair: Path) -> str:
    """The pair's fingerprint, computed from its files.

    Raises:
        PairError: pair.json holds another.
    """
    spec = read_spec(pair)
    computed = _computed(pair, spec)
    if computed != spec.fingerprint:
        raise PairError(
            f"pair.json says the fingerprint {spec.fingerprint or 'nothing'}, its files give {computed}",
            where=str(pair),
            remedy="Files were changed or come from different pairs: train, import or copy it again as a whole",
        )
    return computed


_TOLD_ELSEWHERE = {"training", "fingerprint"}


def _computed(pair: Path, spec: PairSpec) -> str:
    encoder = pair / ("gen" if spec.shared else "embseq")
    try:
        projection = None
        if spec.projection and spec.projection.sequence:
            config = AutoConfig.from_pretrained(encoder, local_files_only=True)
            projection = read_projection(pair, spec, "sequence", config)
        return fingerprint(encoder, spec, projection)
    except (OSError, ValueError) as error:
        raise PairError(f"a file of it cannot be read ({error})", where=str(encoder)) from error


def _size(folder: Path) -> str:
    """Kind, number of parameters, their type, and bytes on disk, from the headers of the files."""
    files = sorted(folder.glob("*.safetensors"))
    if not files or not (folder / "config.json").is_file():
        raise PairError("it lacks weights or config.json", where=str(folder), remedy="Copy the pair again as a whole")
    types: Counter[str] = Counter()
    try:
        kind = json.loads((folder / "config.json").read_bytes()).get("model_type", "unknown kind")
        for file in files:
            with safe_open(file, "pt") as opened:
                for name in opened.keys():  # noqa: SIM118
                    tensor = opened.get_slice(name)
                    types[tensor.get_dtype()] += _product(tensor.get_shape())
    except (OSError, ValueError, SafetensorError) as error:
        raise PairError(f"a file of it cannot be read ({error})", where=str(folder)) from error
    size = sum(file.stat().st_size for file in files)
    return f"{kind}, {_millions(types.total())} parameters, {'/'.join(sorted(types))}, {size / 1e6:,.1f} MB"


def _product(shape: list[int]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product


def _millions(number: int) -> str:
    return f"{number / 1e9:.2f} billion" if number >= 1e9 else f"{number / 1e6:.2f} million"


def _told(value: object) -> str:
    """As JSON, so that a template's line ends and whatever else a file holds stay harmless on a terminal."""
    return json.dumps(value, ensure_ascii=True)
