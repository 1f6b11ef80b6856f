"""A pair on disk: `gen/` and `embseq/`, ordinary Hugging Face folders, and `pair.json`. Safetensors only."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as progress_bars

from semiparametric.codec import Codec
from semiparametric.control import CE, CS, RET
from semiparametric.errors import PairError
from semiparametric.spec import PairSpec


@dataclass
class Gen:
    """The language model that decodes and whose hidden state looks passages up."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    spec: PairSpec
    codec: Codec


@dataclass
class Embseq:
    """The model that condenses a passage into one vector."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    spec: PairSpec


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


def load_gen(pair: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Gen:
    """Load Gen, its tokenizer and its codec, in evaluation mode."""
    spec = read_spec(pair)
    model, tokenizer = _load(AutoModelForCausalLM, pair / "gen", device, dtype)
    for token, said in ((RET, spec.control.ret), (CS, spec.control.cs), (CE, spec.control.ce)):
        if (found := tokenizer.convert_tokens_to_ids(token)) != said:
            raise PairError(
                f"pair.json says {token} is {said}, the tokenizer of gen/ says {found}",
                where=str(pair),
                remedy="Its files come from different pairs: train or copy it again as a whole",
            )
    return Gen(model, tokenizer, spec, Codec(tokenizer, spec))


def load_embseq(pair: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Embseq:
    """Load Embseq and its tokenizer, in evaluation mode."""
    spec = read_spec(pair)
    model, tokenizer = _load(AutoModel, pair / "embseq", device, dtype)
    return Embseq(model, tokenizer, spec)


def save_pair(
    out: Path,
    *,
    gen_model: PreTrainedModel,
    gen_tokenizer: PreTrainedTokenizerBase,
    embseq_model: PreTrainedModel,
    embseq_tokenizer: PreTrainedTokenizerBase,
    spec: PairSpec,
) -> PairSpec:
    """Write a pair beside `out`, put it in place of the pair that stood there, return the spec with its fingerprint.

    Raises:
        PairError: `out` is something other than a pair, so that it must not be replaced.
    """
    if out.exists() and not (out / "pair.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise PairError("it exists and is not a pair", where=str(out), remedy="Choose an empty or new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        gen_model.save_pretrained(partial / "gen")
        gen_tokenizer.save_pretrained(partial / "gen")
        embseq_model.save_pretrained(partial / "embseq")
        embseq_tokenizer.save_pretrained(partial / "embseq")
        spec = spec.model_copy(update={"fingerprint": fingerprint(partial / "embseq", spec)})
        (partial / "pair.json").write_text(json.dumps(spec.model_dump(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        partial.chmod(0o755)
        _replace_folder(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return spec


def fingerprint(embseq: Path, spec: PairSpec) -> str:
    """SHA-256 over all that a sequence embedding depends on: weights, tokenizer, passage form, pooling, similarity."""
    digest = hashlib.sha256()
    said = spec.model_dump(include={"passage", "pooling", "similarity", "dimension"})
    digest.update(json.dumps(said, sort_keys=True).encode())
    for name in sorted(
        path.name for path in embseq.iterdir() if path.name in _VECTOR_FILES or path.suffix == ".safetensors"
    ):
        digest.update(name.encode() + b"\0" + hashlib.sha256((embseq / name).read_bytes()).digest())
    config = json.loads((embseq / "config.json").read_bytes())
    config.pop("transformers_version", None)  # who wrote the file changes no vector; norms and positions do
    digest.update(json.dumps(config, sort_keys=True).encode())
    return digest.hexdigest()


_VECTOR_FILES = frozenset({"tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "merges.txt"})


def _load(auto: Any, folder: Path, device: str, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if not folder.is_dir():
        raise PairError(f"the pair has no {folder.name}/ folder", where=str(folder.parent))
    progress_bars.disable_progress_bar()  # a bar for a second of loading would only clutter the terminal
    try:
        model, found = auto.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise PairError(f"cannot be loaded ({error})", where=str(folder)) from error
    finally:
        progress_bars.enable_progress_bar()
    lacking = sorted(name for name in found["missing_keys"] if "pooler" not in name)  # an encoder's pooler is not used
    if lacking:  # transformers fills them with random numbers and only logs it
        raise PairError(f"its weights lack {', '.join(lacking)}", where=str(folder))
    return model.eval().to(device), tokenizer


def _replace_folder(partial: Path, out: Path) -> None:
    """Two renames: a reader sees the old pair, for a moment none, or the new pair, but never half of one."""
    if out.exists():
        old = partial.with_suffix(".old")
        out.rename(old)
        partial.rename(out)
        shutil.rmtree(old)
    else:
        partial.rename(out)
