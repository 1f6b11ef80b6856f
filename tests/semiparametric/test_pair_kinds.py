"""Pairs beyond the plain one: projected, shared, with a text query, pooled as the authors' weights."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from semiparametric.batching import padded
from semiparametric.control import encode_text
from semiparametric.embedding import as_query, embed_passages, tokenize_passages
from semiparametric.errors import InputError, PairError
from semiparametric.formats import Passage
from semiparametric.pair import Embseq, fingerprint, load_embseq, load_gen, read_spec, save_pair
from semiparametric.query_text import load_query_encoder, query_text
from semiparametric.spec import PairSpec, Projection
from tests.conftest import TEXTS
from tests.pair_kinds import DIMENSION, HIDDEN, KINDS, WIDTH, Kind, parts_of, save_pair_of, spec_of

NANO = Path(__file__).parents[2] / "models/nano"
PASSAGES = [Passage(id=str(n), title=f"Title {n}", text=text * (n % 3 + 1)) for n, text in enumerate(TEXTS * 2)]
LATER = ("query", "query_folder", "shared", "projection", "leading_dimensions")
"""Fields that `pair.json` did not have at first."""


@torch.no_grad()
def recomputed(embseq: Embseq, rows: list[list[int]], weight: torch.Tensor | None) -> NDArray[np.float32]:
    """The oracle: one row at a time, the model as its library calls it, and every step by its formula."""
    found = []
    for ids in rows:
        if embseq.spec.pooling == "last_position":
            length = embseq.spec.passage.max_tokens
            assert embseq.tokenizer.pad_token_id is not None
            row = torch.tensor([ids + [embseq.tokenizer.pad_token_id] * (length - len(ids))])
            mask = torch.tensor([[1] * len(ids) + [0] * (length - len(ids))])
            pooled = embseq.model(input_ids=row, attention_mask=mask).last_hidden_state[0, -1]
        else:
            pooled = embseq.model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0)
        vector = pooled if weight is None else torch.einsum("dh,h->d", weight, pooled)
        found.append(vector / vector.norm() if embseq.spec.similarity == "cosine" else vector)
    return torch.stack(found).numpy()


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("kind", KINDS)
def test_passages_of_every_kind_of_pair_are_embedded_as_a_direct_recomputation_has_them(
    tmp_path: Path, kind: Kind, similarity: Any
) -> None:
    saved = save_pair_of(tmp_path / "pair", kind, similarity=similarity)
    embseq = load_embseq(tmp_path / "pair")
    assert embseq.spec == read_spec(tmp_path / "pair") == saved
    weight = load_file(tmp_path / "pair/projection.safetensors")["sequence.weight"] if saved.projection else None
    oracle = recomputed(embseq, tokenize_passages(embseq.tokenizer, saved, PASSAGES), weight)
    assert oracle.shape == (len(PASSAGES), saved.dimension)
    assert np.ptp(oracle, axis=0).max() > 0.02
    for batch_tokens in (1, 100, 8192):
        np.testing.assert_allclose(embed_passages(embseq, PASSAGES, batch_tokens=batch_tokens), oracle, atol=2e-5)
    np.testing.assert_allclose(embed_passages(embseq, PASSAGES[3:4]), oracle[3:4], atol=2e-5)


def test_the_last_position_of_a_row_is_padding_and_no_neighbour_moves_it(tmp_path: Path) -> None:
    save_pair_of(tmp_path / "pair", "last_position", similarity="dot")
    embseq = load_embseq(tmp_path / "pair")
    rows = tokenize_passages(embseq.tokenizer, embseq.spec, PASSAGES)
    assert min(map(len, rows)) < embseq.spec.passage.max_tokens
    ids, mask = padded(rows, 0, length=embseq.spec.passage.max_tokens)
    with torch.no_grad():
        whole = embseq.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, -1]
    np.testing.assert_allclose(embed_passages(embseq, PASSAGES), whole.numpy(), atol=2e-5)
    last_token = embed_passages(
        Embseq(embseq.model, embseq.tokenizer, embseq.spec.model_copy(update={"pooling": "last_token"})), PASSAGES
    )
    assert np.abs(last_token - whole.numpy()).max() > 0.1


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("kind", ["plain", "projected"])
def test_leading_dimensions_are_the_first_ones_as_they_are_compared(
    tmp_path: Path, kind: Kind, similarity: Any
) -> None:
    save_pair_of(tmp_path / "pair", kind, similarity=similarity)
    embseq = load_embseq(tmp_path / "pair")
    whole, cut = embed_passages(embseq, PASSAGES), embed_passages(embseq, PASSAGES, dimension=4)
    expected = whole[:, :4]
    if similarity == "cosine":
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(cut, expected, atol=1e-6)


def test_matrices_come_back_as_they_were_saved_and_only_where_they_belong(tmp_path: Path) -> None:
    save_pair_of(tmp_path / "pair", "projected")
    weights = load_file(tmp_path / "pair/projection.safetensors")
    assert {key: tuple(weight.shape) for key, weight in weights.items()} == {
        "query.weight": (DIMENSION, HIDDEN),
        "sequence.weight": (DIMENSION, WIDTH),
    }
    gen, embseq = load_gen(tmp_path / "pair"), load_embseq(tmp_path / "pair", dtype=torch.bfloat16)
    assert gen.projection is not None
    assert embseq.projection is not None
    assert torch.equal(gen.projection, weights["query.weight"])
    assert torch.equal(embseq.projection, weights["sequence.weight"])
    assert embseq.projection.dtype == torch.float32
    state = torch.randn(HIDDEN)
    expected = torch.nn.functional.normalize(weights["query.weight"] @ state, dim=0)
    np.testing.assert_allclose(as_query(state, gen.spec, gen.projection), expected.numpy(), atol=1e-6)

    save_pair_of(tmp_path / "dual", "dual_projected")
    assert load_gen(tmp_path / "dual").projection is None  # its query is text, so Gen's state looks nothing up
    query = load_query_encoder(tmp_path / "dual").encoder.projection
    assert query is not None
    assert torch.equal(query, load_file(tmp_path / "dual/projection.safetensors")["query.weight"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_has_the_folders_of_its_kind_and_no_pickle(tmp_path: Path, kind: Kind) -> None:
    spec = save_pair_of(tmp_path / "pair", kind)
    expected = {"gen", "pair.json"}
    expected |= set() if spec.shared else {"embseq"}
    expected |= {"query"} if spec.query_folder == "query" else set()
    expected |= {"projection.safetensors"} if spec.projection else set()
    assert {path.name for path in (tmp_path / "pair").iterdir()} == expected
    suffixes = {path.suffix for path in (tmp_path / "pair").rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors"}


def test_embseq_of_a_shared_pair_is_gen_without_its_head(tmp_path: Path) -> None:
    save_pair_of(tmp_path / "pair", "shared")
    gen, embseq = load_gen(tmp_path / "pair"), load_embseq(tmp_path / "pair")
    assert not hasattr(embseq.model, "lm_head")
    ids = torch.tensor([gen.codec.prompt("Who trims the lamp?")])
    with torch.no_grad():
        assert torch.equal(gen.model.base_model(ids).last_hidden_state, embseq.model(ids).last_hidden_state)


@pytest.mark.parametrize("kind", ["text", "dual", "dual_projected"])
def test_a_query_encoder_gives_what_a_direct_recomputation_gives(tmp_path: Path, kind: Kind) -> None:
    spec = save_pair_of(tmp_path / "pair", kind)
    query_encoder = load_query_encoder(tmp_path / "pair")
    texts = ["Who?", query_text("Who trims the lamp?", " The keeper [Ret] trims </s> it. "), "What? " * 40]
    weight = load_file(tmp_path / "pair/projection.safetensors")["query.weight"] if spec.projection else None
    tokenizer = query_encoder.encoder.tokenizer
    rows = [encode_text(tokenizer, text)[-spec.passage.max_tokens :] for text in texts]  # of the long one the end
    assert len(encode_text(tokenizer, texts[2])) > spec.passage.max_tokens
    found = query_encoder.encode(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, recomputed(query_encoder.encoder, rows, weight), atol=2e-5)
    assert (kind == "text") == ((tmp_path / "pair/embseq").samefile(tmp_path / "pair" / (spec.query_folder or "")))


def test_the_text_so_far_is_the_question_and_what_was_answered() -> None:
    assert query_text("Who?", "") == query_text("Who?", " \n") == "Who?"
    assert query_text("Who?", " The keeper. ") == "Who?\nThe keeper."


@pytest.mark.parametrize("kind", ["plain", "projected", "shared"])
def test_a_pair_whose_query_is_a_state_has_no_query_encoder_and_says_so_when_refused(
    tmp_path: Path, kind: Kind
) -> None:
    save_pair_of(tmp_path / "pair", kind)
    with pytest.raises(PairError, match=r"pair: it looks up with Gen's state and has no query encoder"):
        load_query_encoder(tmp_path / "pair")


def without_later_fields(pair: Path) -> None:
    said = json.loads((pair / "pair.json").read_text())
    (pair / "pair.json").write_text(json.dumps({key: value for key, value in said.items() if key not in LATER}))


def test_a_pair_json_from_before_these_kinds_reads_as_a_plain_pair(tmp_path: Path) -> None:
    saved = save_pair_of(tmp_path / "pair", "plain", leading_dimensions=())
    without_later_fields(tmp_path / "pair")
    assert read_spec(tmp_path / "pair") == saved
    assert load_gen(tmp_path / "pair").projection is None
    assert load_embseq(tmp_path / "pair").projection is None


def test_the_fingerprint_of_the_nano_pair_is_still_what_its_pair_json_says() -> None:
    spec = read_spec(NANO)
    assert fingerprint(NANO / "embseq", spec) == spec.fingerprint


def test_a_plain_pair_has_the_fingerprint_that_it_always_had(tmp_path: Path) -> None:
    """The formula as the first pairs were saved with it: a store built then is still served."""
    spec = save_pair_of(tmp_path / "pair", "plain")
    embseq = tmp_path / "pair/embseq"
    said = spec.model_dump(include={"passage", "pooling", "similarity", "dimension"})
    config = json.loads((embseq / "config.json").read_bytes())
    del config["transformers_version"]
    parts = [json.dumps(said, sort_keys=True).encode()]
    for name in ("model.safetensors", "tokenizer.json"):
        parts += [name.encode() + b"\0", hashlib.sha256((embseq / name).read_bytes()).digest()]
    parts.append(json.dumps(config, sort_keys=True).encode())
    assert hashlib.sha256(b"".join(parts)).hexdigest() == spec.fingerprint


def changed_fingerprint(pair: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> bool:
    spec = read_spec(pair)
    weights = load_file(pair / "projection.safetensors")
    change(weights)
    return fingerprint(pair / "embseq", spec, weights["sequence.weight"]) != spec.fingerprint


def test_the_fingerprint_depends_on_the_matrix_of_sequences_and_not_on_that_of_queries(tmp_path: Path) -> None:
    save_pair_of(tmp_path / "pair", "projected")
    assert not changed_fingerprint(tmp_path / "pair", lambda weights: None)
    assert not changed_fingerprint(tmp_path / "pair", lambda weights: weights["query.weight"].mul_(2))
    assert changed_fingerprint(tmp_path / "pair", lambda weights: weights["sequence.weight"].mul_(2))


def test_the_fingerprint_of_a_shared_pair_is_that_of_gen(tmp_path: Path) -> None:
    first = save_pair_of(tmp_path / "a", "shared").fingerprint
    assert first == fingerprint(tmp_path / "a/gen", read_spec(tmp_path / "a"))
    assert first != save_pair_of(tmp_path / "b", "shared", seed=1).fingerprint


def test_the_fingerprint_of_last_position_depends_on_the_padding_token(tmp_path: Path) -> None:
    spec = save_pair_of(tmp_path / "pair", "last_position")
    path = tmp_path / "pair/embseq/tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token": "</s>"}))
    assert fingerprint(tmp_path / "pair/embseq", spec) != spec.fingerprint


def test_neither_the_query_side_nor_leading_dimensions_change_a_fingerprint(tmp_path: Path) -> None:
    plain = save_pair_of(tmp_path / "a", "plain").fingerprint
    assert plain == save_pair_of(tmp_path / "b", "text").fingerprint == save_pair_of(tmp_path / "c", "dual").fingerprint
    assert plain == save_pair_of(tmp_path / "d", "plain", leading_dimensions=()).fingerprint


def test_last_position_without_a_padding_token_is_refused(tmp_path: Path) -> None:
    save_pair_of(tmp_path / "pair", "last_position")
    embseq = load_embseq(tmp_path / "pair")
    embseq.tokenizer.pad_token = None
    with pytest.raises(PairError, match=r"no padding token\. Set pad_token in its tokenizer"):
        embed_passages(embseq, PASSAGES)


# What is refused, when saving and when loading.


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (
            "plain",
            {"dimension": 64},
            r"gen/: its states have 32 dimensions, the pair has 64 and no projection",
        ),
        ("shared", {"dimension": 64}, r"gen/: its states have 32 dimensions, the pair has 64 and no projection"),
        ("text", {"dimension": 64}, r"embseq/: its states have 32 dimensions, the pair has 64 and no projection"),
        ("dual", {"dimension": 64}, r"its states have 32 dimensions, the pair has 64 and no projection"),
    ],
)
def test_models_of_another_width_without_a_projection_are_refused(
    tmp_path: Path, kind: Kind, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(PairError, match=said):
        save_pair_of(tmp_path / "pair", kind, **given)
    assert not (tmp_path / "pair").exists()


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        (
            "plain",
            {"projection": {"query.weight": torch.ones(32, 32)}},
            "it holds query.weight, .* no projection",
        ),
        ("projected", {"projection": None}, "it holds no projection, .* names query.weight and sequence.weight"),
        (
            "projected",
            {"projection": {"query.weight": torch.ones(DIMENSION, HIDDEN)}},
            "it holds query.weight, .* names query.weight and sequence.weight",
        ),
        (
            "projected",
            {
                "projection": {
                    "query.weight": torch.ones(DIMENSION, HIDDEN),
                    "sequence.weight": torch.ones(WIDTH, DIMENSION),
                }
            },
            r"embseq/: its projection has the shape \[24, 16\], its states need \[16, 24\]",
        ),
        ("plain", {"embseq_model": None}, "model and tokenizer of embseq/ are missing, .* shared=False"),
        ("plain", {"embseq_tokenizer": None}, "model and tokenizer of embseq/ are missing"),
        ("dual", {"query_model": None}, "model and tokenizer of query/ are missing, .* query_folder=query"),
        ("plain", {"query_model": "a model"}, "model and tokenizer of query/ are given, .* query_folder=None"),
        ("shared", {"embseq_tokenizer": "a tokenizer"}, "model and tokenizer of embseq/ are given, .* shared=True"),
    ],
)
def test_parts_that_the_spec_does_not_tell_of_are_refused_and_nothing_is_written(
    tmp_path: Path, kind: Kind, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(PairError, match=said):
        save_pair(tmp_path / "pair", **parts_of(kind) | changed)
    assert list(tmp_path.iterdir()) == []


def rewrite(pair: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(pair / "projection.safetensors")
    change(weights)
    save_file(weights, pair / "projection.safetensors")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda pair: (pair / "projection.safetensors").unlink(), "pair: the pair has no projection.safetensors"),
        (
            lambda pair: (pair / "projection.safetensors").write_bytes(b"half a"),
            "projection.safetensors: cannot be loaded",
        ),
        (
            lambda pair: rewrite(pair, lambda weights: weights.pop("sequence.weight")),
            r"projection.safetensors: it holds query.weight, the pair's spec names query.weight and sequence.weight",
        ),
        (
            lambda pair: rewrite(pair, lambda weights: weights.update(bias=torch.ones(3))),
            "projection.safetensors: it holds bias and query.weight and sequence.weight",
        ),
        (
            lambda pair: rewrite(pair, lambda weights: weights.update({"sequence.weight": torch.ones(16, 25)})),
            r"pair: its projection has the shape \[16, 25\], its states need \[16, 24\]",
        ),
        (
            lambda pair: rewrite(pair, lambda weights: weights["sequence.weight"].fill_(torch.nan)),
            "projection.safetensors: it holds NaN or infinity",
        ),
    ],
    ids=["none", "half", "a key missing", "a key too many", "misshapen", "NaN"],
)
def test_a_damaged_projection_is_refused_by_name(tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    save_pair_of(tmp_path / "pair", "projected")
    damage(tmp_path / "pair")
    with pytest.raises(PairError, match=said):
        load_embseq(tmp_path / "pair")


def test_a_shared_pair_of_another_width_than_its_dimension_is_refused_when_it_loads(tmp_path: Path) -> None:
    save_pair_of(tmp_path / "pair", "shared")
    said = json.loads((tmp_path / "pair/pair.json").read_text())
    (tmp_path / "pair/pair.json").write_text(json.dumps(said | {"dimension": 64}))
    for load in (load_gen, load_embseq):
        with pytest.raises(
            PairError, match="its states have 32 dimensions, the pair has 64 and no projection for them"
        ):
            load(tmp_path / "pair")


def test_a_pair_without_the_folder_of_its_query_encoder_is_refused_by_its_name(tmp_path: Path) -> None:
    save_pair_of(tmp_path / "pair", "dual")
    (tmp_path / "pair/query").rename(tmp_path / "elsewhere")
    with pytest.raises(PairError, match="pair: the pair has no query/ folder"):
        load_query_encoder(tmp_path / "pair")


def test_a_dimension_that_was_not_trained_for_is_refused_with_those_that_were() -> None:
    spec = spec_of("plain")
    assert [spec.served_dimension(dimension) for dimension in (None, 4, 8, 32)] == [32, 4, 8, 32]
    with pytest.raises(InputError, match=r"dimension: .* its 16 leading dimensions alone. Choose one of 4, 8, 32, or"):
        spec.served_dimension(16)


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("plain", {"query": "text"}, "query_folder names the encoder"),
        ("plain", {"query_folder": "query"}, "query_folder names the encoder"),
        ("shared", {"query": "text", "query_folder": "query"}, "a shared pair looks up with its state"),
        ("text", {"projection": Projection(query=True, sequence=True)}, "where Embseq encodes queries too"),
        ("plain", {"projection": {"query": False, "sequence": False}}, "a projection projects the query, the sequence"),
        ("plain", {"leading_dimensions": (8, 4)}, r"leading_dimensions ascend .* dimension 32, not \[8, 4\]"),
        ("plain", {"leading_dimensions": (8, 8)}, "leading_dimensions ascend"),
        ("plain", {"leading_dimensions": (0, 8)}, "leading_dimensions ascend"),
        ("plain", {"leading_dimensions": (8, 32)}, "leading_dimensions ascend"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(kind: Kind, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec_of(kind, **changed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_spec_comes_back_from_json_as_it_was(kind: Kind) -> None:
    spec = spec_of(kind)
    assert PairSpec.model_validate_json(json.dumps(spec.model_dump())) == spec
