"""`cosup pair import` on tiny checkpoints in the authors' layout, against direct recomputation."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from typer.testing import CliRunner

from cosup.cli import app
from index_builder.build import build_index
from index_builder.settings import BuildSettings
from semiparametric.control import encode_text
from semiparametric.embedding import embed_passages
from semiparametric.errors import PairError
from semiparametric.formats import Passage, write_jsonl
from semiparametric.pair import load_embseq, load_gen, read_spec, save_pair
from semiparametric.spec import Projection
from service.decoding.engine import Sampling
from service.engines.transformers import TransformersEngine
from service.local import Ask, ModelSettings, answer_all
from tests.small_index import PASSAGES
from tests.training.authors_layout import (
    BASE,
    CONTROL,
    LENGTH,
    imported,
    save_checkpoints,
    save_safetensors,
    save_tokenizer,
    save_torch_files,
    sentencepiece_model,
    tiny_embseq,
    tiny_gen,
)
from training.importing.info import check_fingerprint, describe

LITERALS = ("[Ret]", "[Cs]", "[Ce]", "<PAD>", "</s>", "a[Ret]b", " [Cs] [Ce]", "## Output:\n\n[Ret]")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `gen` and `embseq`."""
    return save_checkpoints(tmp_path_factory.mktemp("authors"))


@pytest.fixture(scope="module")
def pair(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pair imported from them with the authors' pooling."""
    out = tmp_path_factory.mktemp("imported") / "pair"
    imported(checkpoints, out)
    return out


def last_position_vector(passage: Passage) -> torch.Tensor:
    """The oracle: the authors' model, tokenizer, right padding, default positions, mask, and state at index -1."""
    pieces = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model())
    ids = [1, *pieces.encode(f"{passage.title} :: {passage.text}")][:LENGTH]
    padding = LENGTH - len(ids)
    mask = torch.tensor([[1] * len(ids) + [0] * padding])
    with torch.no_grad():
        output = tiny_embseq()(input_ids=torch.tensor([ids + [BASE] * padding]), attention_mask=mask)
    states: torch.Tensor = output.last_hidden_state
    return states[0, -1]


# What comes out of it


def test_the_pair_says_how_the_authors_trained(pair: Path, checkpoints: Path) -> None:
    spec = read_spec(pair)
    assert spec.control == CONTROL
    assert spec.prompt.render("Why?") == "## Input:\n\nWhy?## Output:\n\n"
    assert (spec.pooling, spec.similarity, spec.temperature, spec.dimension) == ("last_position", "dot", 1.0, 32)
    assert spec.training["imported"]["gen"] == {"name": str(checkpoints / "gen")}


def test_vectors_are_the_states_at_the_end_of_the_padded_row(pair: Path) -> None:
    vectors = embed_passages(load_embseq(pair), PASSAGES)
    expected = torch.stack([last_position_vector(passage) for passage in PASSAGES]).numpy()
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-6)
    assert len(np.unique(vectors.round(4), axis=0)) == len(PASSAGES)


def test_a_vector_does_not_depend_on_what_it_is_batched_with(pair: Path) -> None:
    embseq = load_embseq(pair)
    alone = np.concatenate([embed_passages(embseq, [passage], batch_tokens=1) for passage in PASSAGES])
    np.testing.assert_allclose(embed_passages(embseq, PASSAGES), alone, rtol=0, atol=1e-6)


def test_last_token_pooling_gives_the_state_of_the_last_real_token(checkpoints: Path, tmp_path: Path) -> None:
    imported(checkpoints, tmp_path / "pair", pooling="last_token", passage_template="{text}")
    embseq = load_embseq(tmp_path / "pair")
    ids = [1, *encode_text(embseq.tokenizer, PASSAGES[0].text)]
    with torch.no_grad():
        state = tiny_embseq()(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
    np.testing.assert_allclose(embed_passages(embseq, PASSAGES[:1])[0], state, rtol=0, atol=1e-6)
    assert not np.allclose(last_position_vector(PASSAGES[0]), state, atol=0.1)


def test_the_query_state_is_the_state_where_ret_is_the_input(pair: Path) -> None:
    gen = load_gen(pair)
    prompt = [*gen.codec.prompt("What does the keeper do?"), CONTROL.ret]
    with torch.no_grad():  # as the authors compute it: one token further, and the state before it
        states = tiny_gen().model(input_ids=torch.tensor([[*prompt, 7]])).last_hidden_state

    async def query_state() -> np.ndarray[Any, np.dtype[np.float32]]:
        engine = TransformersEngine(gen)
        await engine.start()
        try:
            session = await engine.open(prompt, Sampling())
            return await session.query_state()
        finally:
            await engine.stop()

    np.testing.assert_allclose(asyncio.run(query_state()), states[0, len(prompt) - 1], rtol=0, atol=1e-5)


def test_the_prompt_has_the_ids_that_sentencepiece_gives(pair: Path) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model())
    codec = load_gen(pair).codec
    assert codec.prompt("Which tide?") == [1, *pieces.encode("## Input:\n\nWhich tide?## Output:\n\n")]
    assert codec.decode(codec.text("The tide turns.")) == "The tide turns."


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("folder", ["gen", "embseq"])
def test_text_never_becomes_control(pair: Path, folder: str, literal: str) -> None:
    tokenizer = load_gen(pair).tokenizer if folder == "gen" else load_embseq(pair).tokenizer
    assert CONTROL.ids | {BASE} <= set(tokenizer.all_special_ids)
    assert {1, 2, BASE, *CONTROL.ids}.isdisjoint(encode_text(tokenizer, literal))


@pytest.mark.parametrize("num_shards", [1, 3])
def test_torch_files_give_the_same_pair_as_safetensors(pair: Path, tmp_path: Path, num_shards: int) -> None:
    save_torch_files(tmp_path / "gen", tiny_gen(), num_shards)
    save_torch_files(tmp_path / "embseq", tiny_embseq(), num_shards)
    imported(tmp_path, tmp_path / "pair")
    assert not list((tmp_path / "pair").rglob("*.bin"))
    for name, weight in load_gen(pair).model.state_dict().items():
        assert torch.equal(weight, load_gen(tmp_path / "pair").model.state_dict()[name]), name
    vectors = embed_passages(load_embseq(tmp_path / "pair"), PASSAGES)
    assert np.array_equal(vectors, embed_passages(load_embseq(pair), PASSAGES))


def test_large_weight_files_are_written_in_parts(
    pair: Path, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.importing.weights.PART_BYTES", 50_000)
    imported(checkpoints, tmp_path / "pair")
    files = sorted(path.name for path in (tmp_path / "pair" / "gen").glob("*.safetensors"))
    assert files == [f"model-{number:05}-of-{len(files):05}.safetensors" for number in range(1, len(files) + 1)]
    assert len(files) > 2
    for name, weight in load_gen(pair).model.state_dict().items():
        assert torch.equal(weight, load_gen(tmp_path / "pair").model.state_dict()[name]), name


def test_embseq_may_have_a_head_which_is_left_out(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "gen", tiny_gen())
    save_torch_files(tmp_path / "embseq", tiny_gen())
    imported(tmp_path, tmp_path / "pair")
    names = {name for file in (tmp_path / "pair" / "embseq").glob("*.safetensors") for name in load_file(file)}
    assert names == set(tiny_embseq().state_dict())


def test_a_tied_head_is_saved_once(tmp_path: Path) -> None:
    save_torch_files(tmp_path / "gen", tiny_gen(tie_word_embeddings=True))
    save_safetensors(tmp_path / "embseq", tiny_embseq())
    imported(tmp_path, tmp_path / "pair")
    model = load_gen(tmp_path / "pair").model
    assert torch.equal(model.get_output_embeddings().weight, tiny_gen(tie_word_embeddings=True).lm_head.weight)


def test_weights_are_converted_to_the_type_asked_for(checkpoints: Path, tmp_path: Path) -> None:
    imported(checkpoints, tmp_path / "pair", dtype="bfloat16")
    for folder in ("gen", "embseq"):
        assert {w.dtype for w in load_file(tmp_path / "pair" / folder / "model.safetensors").values()} == {
            torch.bfloat16
        }
        assert json.loads((tmp_path / "pair" / folder / "config.json").read_bytes())["dtype"] == "bfloat16"


def test_a_base_tokenizer_gets_the_four_tokens_where_the_table_has_their_rows(tmp_path: Path) -> None:
    bare = save_checkpoints(tmp_path / "bare")
    save_tokenizer(tmp_path / "base", added=(), pad=None)
    for role in ("gen", "embseq"):
        for name in ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
            (bare / role / name).unlink()
    assert imported(bare, tmp_path / "pair", tokenizer=str(tmp_path / "base")).control == CONTROL
    vectors = embed_passages(load_embseq(tmp_path / "pair"), PASSAGES[:1])
    np.testing.assert_allclose(vectors[0], last_position_vector(PASSAGES[0]), rtol=0, atol=1e-6)


def test_a_hub_name_in_the_cache_is_imported_without_the_network_and_its_commit_noted(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "cache" / "models--kaist-ai--gen"
    save_torch_files(cached / "snapshots" / "0123abc", tiny_gen())
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0123abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    spec = imported(checkpoints, tmp_path / "pair", gen="kaist-ai/gen")
    assert spec.training["imported"]["gen"] == {"name": "kaist-ai/gen", "commit": "0123abc"}


def test_the_folders_of_a_pair_are_checkpoints_too(pair: Path, tmp_path: Path) -> None:
    assert imported(pair, tmp_path / "pair").fingerprint == read_spec(pair).fingerprint


def test_an_imported_pair_replaces_a_pair(checkpoints: Path, tmp_path: Path) -> None:
    first = imported(checkpoints, tmp_path / "pair")
    second = imported(checkpoints, tmp_path / "pair", passage_max_tokens=LENGTH + 1)
    assert read_spec(tmp_path / "pair") == second != first
    assert [path.name for path in tmp_path.iterdir()] == ["pair"]


async def test_from_import_through_an_index_to_a_cited_answer(checkpoints: Path, tmp_path: Path) -> None:
    out, corpus, index = tmp_path / "pair", tmp_path / "corpus.jsonl", tmp_path / "index"
    command = ["pair", "import", "--out", str(out), "--passage-max-tokens", str(LENGTH)]
    for role in ("gen", "embseq"):
        command += [f"--{role}", str(checkpoints / role)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    write_jsonl(corpus, PASSAGES)
    manifest = build_index(BuildSettings(pair=out, corpus=corpus, out=index))
    assert (manifest.fingerprint, manifest.corpus.count) == (read_spec(out).fingerprint, len(PASSAGES))
    ask = Ask("What does the lamp do?", top_k=4, retrieval="first", max_new_tokens=8)
    (reply,) = await asyncio.to_thread(answer_all, ModelSettings(pair=out, index=index), [ask])
    assert reply.found is not None
    assert reply.answer is not None
    gen = load_gen(out)
    prompt = torch.tensor([[*gen.codec.prompt("What does the lamp do?"), CONTROL.ret]])
    with torch.no_grad():
        state = tiny_gen().model(input_ids=prompt).last_hidden_state[0, -1]
    scores = {passage.id: float(state @ last_position_vector(passage)) for passage in PASSAGES}
    assert [found.passage.id for found in reply.found] == sorted(scores, key=scores.__getitem__, reverse=True)
    assert reply.answer.passages[0].passage.id == reply.found[0].passage.id


# What `cosup pair info` tells


def test_info_tells_what_the_pair_is_and_checks_its_fingerprint(pair: Path) -> None:
    result = CliRunner().invoke(app, ["pair", "info", str(pair)])
    assert result.exit_code == 0, result.output
    lines = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    count = sum(weight.numel() for weight in tiny_gen().state_dict().values())
    assert lines["gen"].startswith(f"llama, {count / 1e6:.2f} million parameters, F32, ")
    assert (lines["pooling"], lines["dimension"]) == ('"last_position"', "32")
    assert json.loads(lines["control"]) == {"ret": CONTROL.ret, "cs": CONTROL.cs, "ce": CONTROL.ce}
    assert lines["fingerprint"] == f"{read_spec(pair).fingerprint} (that of its files)"


def test_info_refuses_a_pair_whose_files_were_changed(pair: Path, tmp_path: Path) -> None:
    shutil.copytree(pair, tmp_path / "pair")
    shutil.copy(tmp_path / "pair" / "gen" / "model.safetensors", tmp_path / "pair" / "embseq" / "model.safetensors")
    result = CliRunner().invoke(app, ["pair", "info", str(tmp_path / "pair")])
    assert result.exit_code == 2
    assert "pooling" in result.output
    assert "its files give" in result.output
    (tmp_path / "pair" / "embseq" / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(PairError, match="cannot be read"):
        describe(tmp_path / "pair")
    shutil.rmtree(tmp_path / "pair" / "embseq")
    with pytest.raises(PairError, match=r"embseq: it lacks weights or config\.json"):
        describe(tmp_path / "pair")
    with pytest.raises(PairError, match="cannot be read"):
        check_fingerprint(tmp_path / "pair")
    with pytest.raises(PairError, match="not a pair"):
        describe(tmp_path)


def test_info_describes_a_shared_pair_and_one_with_a_projection(pair: Path, tmp_path: Path) -> None:
    gen, embseq = load_gen(pair), load_embseq(pair)
    spec = gen.spec.model_copy(update={"shared": True})
    models: dict[str, Any] = {"gen_model": gen.model, "gen_tokenizer": gen.tokenizer}
    none: dict[str, Any] = {"embseq_model": None, "embseq_tokenizer": None}
    saved = save_pair(tmp_path / "shared", **models, **none, spec=spec)
    assert dict(describe(tmp_path / "shared"))["embseq"] == "Gen itself, without its head"
    assert check_fingerprint(tmp_path / "shared") == saved.fingerprint
    models |= {"embseq_model": embseq.model, "embseq_tokenizer": embseq.tokenizer}
    matrices = {f"{side}.weight": torch.ones(8, 32) for side in ("query", "sequence")}
    spec = gen.spec.model_copy(update={"dimension": 8, "projection": Projection(query=True, sequence=True)})
    saved = save_pair(tmp_path / "projected", **models, projection=matrices, spec=spec)
    assert json.loads(dict(describe(tmp_path / "projected"))["projection"]) == {"query": True, "sequence": True}
    assert check_fingerprint(tmp_path / "projected") == saved.fingerprint
