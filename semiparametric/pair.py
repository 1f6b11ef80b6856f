"""A pair on disk: `gen/` and `embseq/`, ordinary Hugging Face folders, and `pair.json`. Safetensors only.

A pair whose query is text may have a third folder, `query/`; one that projects has `projection.safetensors`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as progress_bars

from semiparametric.codec import Codec
from semiparametric.control import CE, CS, RET
from semiparametric.errors import PairError
from semiparametric.projection import check_keys, check_width, read_projection, write_projection
from semiparametric.replacing import replaced_folder
from semiparametric.spec import PairSpec


@dataclass
class GenFolder:
    """Gen without its weights: what a backend needs that loads them itself.

    projection: `float32[d, hidden]`, what takes Gen's state into the sequence space; None uses it as it is.
    """

    folder: Path
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase
    spec: PairSpec
    codec: Codec
    projection: Tensor | None = None

    @property
    def architecture(self) -> str:
        """The first of `architectures` of its config.json, such as LlamaForCausalLM."""
        return next(iter(self.config.architectures or ()), "")


@dataclass
class Gen:
    """The language model that decodes and whose hidden state looks passages up.

    projection: `float32[d, hidden]`, what takes that state into the sequence space; None uses it as it is.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    spec: PairSpec
    codec: Codec
    projection: Tensor | None = None


@dataclass
class Embseq:
    """The model that condenses a passage into one vector.

    projection: `float32[d, hidden]`, what takes its pooled state into the sequence space; None uses it as it is.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    spec: PairSpec
    projection: Tensor | None = None


def read_spec(pair: Path) -> PairSpec:
    """Read `pair.json`.

    Raises:
        PairError: The folder is not a pair, or its `pair.json` is of another format.
    """
    path = pair / "pair.json"
    if not path.is_file():
        raise PairError(
            "not a pair: there is no pair.json", where=str(pair), remedy="Train one with `cosup train CONFIG.yaml`"
        )
    try:
        return PairSpec.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        value = "" if not field or first["type"] in {"missing", "extra_forbidden"} else f" (got {first['input']!r})"
        remedy = "Use the version of Cosup that wrote the pair" if field == "format_version" else None
        where = f"{path}, field {field}" if field else str(path)
        raise PairError(first["msg"] + value, where=where, remedy=remedy) from error


def read_gen(pair: Path) -> GenFolder:
    """Read all of Gen but its weights.

    Raises:
        PairError: A file is missing or damaged, or files come from different pairs.
    """
    spec = read_spec(pair)
    folder = pair / "gen"
    config, tokenizer = _read(folder, AutoConfig), _read(folder, AutoTokenizer)
    for token, said in ((RET, spec.control.ret), (CS, spec.control.cs), (CE, spec.control.ce)):
        if (found := tokenizer.convert_tokens_to_ids(token)) != said:
            raise PairError(
                f"pair.json says {token} is {said}, the tokenizer of gen/ says {found}",
                where=str(pair),
                remedy="Its files come from different pairs: train or copy it again as a whole",
            )
    projection = read_projection(pair, spec, "query", config) if spec.query == "state" else None
    return GenFolder(folder, config, tokenizer, spec, Codec(tokenizer, spec), projection)


def load_gen(pair: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Gen:
    """Load Gen, its tokenizer and its codec, in evaluation mode."""
    return load_gen_weights(read_gen(pair), device=device, dtype=dtype)


def load_gen_weights(gen: GenFolder, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Gen:
    """Load the weights of a Gen whose other files have been read, in evaluation mode."""
    model = _load_model(AutoModelForCausalLM, gen.folder, device, dtype)
    projection = None if gen.projection is None else gen.projection.to(device)
    return Gen(model, gen.tokenizer, gen.spec, gen.codec, projection)


def load_embseq(pair: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Embseq:
    """Load Embseq and its tokenizer, in evaluation mode; of a shared pair, Gen without its head."""
    return load_encoder(pair, "gen" if read_spec(pair).shared else "embseq", device=device, dtype=dtype)


def load_encoder(
    pair: Path,
    folder: Literal["gen", "embseq", "query"],
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Embseq:
    """Load one of a pair's folders as an encoder, with the projection of its side."""
    spec = read_spec(pair)
    model, tokenizer = _load_model(AutoModel, pair / folder, device, dtype), _read(pair / folder, AutoTokenizer)
    projection = read_projection(pair, spec, "query" if folder == "query" else "sequence", model.config)
    return Embseq(model, tokenizer, spec, None if projection is None else projection.to(device))


def save_pair(
    out: Path,
    *,
    gen_model: PreTrainedModel,
    gen_tokenizer: PreTrainedTokenizerBase,
    embseq_model: PreTrainedModel | None,
    embseq_tokenizer: PreTrainedTokenizerBase | None,
    spec: PairSpec,
    query_model: PreTrainedModel | None = None,
    query_tokenizer: PreTrainedTokenizerBase | None = None,
    projection: Mapping[str, Tensor] | None = None,
) -> PairSpec:
    """Write a pair beside `out`, put it in place of the pair that stood there, return the spec with its fingerprint.

    Args:
        out: The pair's folder.
        gen_model: Gen, with its head.
        gen_tokenizer: Gen's.
        embseq_model: Embseq, without a head; None where the pair is shared.
        embseq_tokenizer: Embseq's; None where the pair is shared.
        spec: What `pair.json` will say; its fingerprint is computed here.
        query_model: The encoder of queries, where the spec's `query_folder` is `query`.
        query_tokenizer: The encoder's.
        projection: `query.weight` and `sequence.weight`, `[d, hidden]` each, those that the spec's projection names.

    Raises:
        PairError: `out` is something other than a pair, so that it must not be replaced; or models and projection are
            not those that the spec tells of.
    """
    if out.exists() and not (out / "pair.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise PairError("it exists and is not a pair", where=str(out), remedy="Choose an empty or new folder")
    parts = {
        "gen": (gen_model, gen_tokenizer),
        "embseq": (embseq_model, embseq_tokenizer),
        "query": (query_model, query_tokenizer),
    }
    projection = projection or {}
    _check_parts(parts, spec)
    _check_projection(parts, spec, projection)
    with replaced_folder(out) as partial:
        for folder, (model, tokenizer) in parts.items():
            if model is not None and tokenizer is not None:
                model.save_pretrained(partial / folder)
                tokenizer.save_pretrained(partial / folder)
        write_projection(partial, projection)
        encoder = partial / ("gen" if spec.shared else "embseq")
        spec = spec.model_copy(update={"fingerprint": fingerprint(encoder, spec, projection.get("sequence.weight"))})
        (partial / "pair.json").write_text(json.dumps(spec.model_dump(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    return spec


_Part = tuple[PreTrainedModel | None, PreTrainedTokenizerBase | None]


def _check_parts(parts: Mapping[str, _Part], spec: PairSpec) -> None:
    wanted = {"gen": True, "embseq": not spec.shared, "query": spec.query_folder == "query"}
    for folder, is_wanted in wanted.items():
        given = [each is not None for each in parts[folder]]
        if any(given) != is_wanted or all(given) != is_wanted:
            raise PairError(
                f"model and tokenizer of {folder}/ are {'missing' if is_wanted else 'given'}, where the spec says "
                f"shared={spec.shared}, query_folder={spec.query_folder}"
            )


def _check_projection(parts: Mapping[str, _Part], spec: PairSpec, projection: Mapping[str, Tensor]) -> None:
    check_keys(projection.keys(), spec, where="projection")
    sides = {"query": "gen" if spec.query == "state" else "query", "sequence": "gen" if spec.shared else "embseq"}
    for side, folder in sides.items():
        model = parts[folder][0]
        if model is not None:
            check_width(model.config, spec, projection.get(f"{side}.weight"), where=f"{folder}/")


def fingerprint(encoder: Path, spec: PairSpec, projection: Tensor | None = None) -> str:
    """SHA-256 over all that a sequence embedding depends on.

    Weights, tokenizer, passage form, pooling, similarity, and Embseq's projection where it has one.

    Args:
        encoder: The folder of the model that encodes passages: embseq/, or gen/ of a shared pair.
        spec: The pair's.
        projection: `sequence.weight`, `[d, hidden]`.
    """
    digest = hashlib.sha256()
    said = spec.model_dump(include={"passage", "pooling", "similarity", "dimension"})
    digest.update(json.dumps(said, sort_keys=True).encode())
    for name in sorted(
        path.name for path in encoder.iterdir() if path.name in _VECTOR_FILES or path.suffix == ".safetensors"
    ):
        digest.update(name.encode() + b"\0" + _file_digest(encoder / name))
    config = json.loads((encoder / "config.json").read_bytes())
    config.pop("transformers_version", None)  # who wrote the file changes no vector; norms and positions do
    digest.update(json.dumps(config, sort_keys=True).encode())
    if projection is not None:
        digest.update(b"sequence.weight\0" + projection.detach().float().cpu().contiguous().numpy().tobytes())
    if spec.pooling == "last_position":  # the states of padding tokens
        tokenizer = json.loads((encoder / "tokenizer_config.json").read_bytes())
        digest.update(b"pad_token\0" + json.dumps(tokenizer.get("pad_token"), sort_keys=True).encode())
    return digest.hexdigest()


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


_VECTOR_FILES = frozenset({"tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "merges.txt"})


_BROKEN = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)  # what transformers raises over bad files


def _read(folder: Path, auto: Any) -> Any:
    """The configuration or the tokenizer of one of a pair's folders."""
    if not folder.is_dir():
        raise PairError(f"the pair has no {folder.name}/ folder", where=str(folder.parent))
    try:
        return auto.from_pretrained(folder, local_files_only=True)
    except _BROKEN as error:
        raise PairError(f"cannot be loaded ({error})", where=str(folder)) from error


def _load_model(auto: Any, folder: Path, device: str, dtype: torch.dtype) -> PreTrainedModel:
    config = _read(folder, AutoConfig)
    progress_bars.disable_progress_bar()  # a bar for a second of loading would only clutter the terminal
    try:
        if getattr(config.get_text_config(), "attn_logit_softcapping", None):  # others than eager drop the cap unsaid
            config._attn_implementation = "eager"
        model, found = auto.from_pretrained(
            folder, config=config, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except _BROKEN as error:
        raise PairError(f"cannot be loaded ({error})", where=str(folder)) from error
    finally:
        progress_bars.enable_progress_bar()
    lacking = sorted(name for name in found["missing_keys"] if "pooler" not in name)  # an encoder's pooler is not used
    if lacking:  # transformers fills them with random numbers and only logs it
        raise PairError(f"its weights lack {', '.join(lacking)}", where=str(folder))
    loaded: PreTrainedModel = model.eval().to(device)
    return loaded
