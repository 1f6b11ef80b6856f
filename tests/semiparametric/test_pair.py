"""A pair on disk: what comes back, what it is known by, and what is refused."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM, LlamaModel, PreTrainedTokenizerBase

from semiparametric.control import add_control_tokens
from semiparametric.errors import PairError
from semiparametric.pair import fingerprint, load_embseq, load_gen, read_spec, save_pair
from semiparametric.spec import PairSpec, PassageForm
from tests.conftest import TEXTS, tiny_llama_config, tiny_tokenizer


def save(
    out: Path,
    *,
    gen_seed: int = 1,
    embseq_seed: int = 2,
    embseq_texts: tuple[str, ...] = TEXTS,
    **changed: Any,
) -> PairSpec:
    tokenizer = tiny_tokenizer()
    said: dict[str, Any] = {"passage": PassageForm(max_tokens=64), "pooling": "mean", "dimension": 32} | changed
    spec = PairSpec(control=add_control_tokens(tokenizer), **said)
    config = tiny_llama_config(len(tokenizer))
    embseq_tokenizer: PreTrainedTokenizerBase = tiny_tokenizer(embseq_texts)
    torch.manual_seed(gen_seed)
    gen = LlamaForCausalLM(config)
    torch.manual_seed(embseq_seed)
    return save_pair(
        out,
        gen_model=gen,
        gen_tokenizer=tokenizer,
        embseq_model=LlamaModel(config),
        embseq_tokenizer=embseq_tokenizer,
        spec=spec,
    )


@pytest.fixture
def copy(tiny_pair: Path, tmp_path: Path) -> Path:
    """A pair that the test may damage."""
    copytree(tiny_pair, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_saved_pair_gives_the_same_states_again(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    spec = PairSpec(control=add_control_tokens(tokenizer), dimension=32, training={"steps": 3})
    config = tiny_llama_config(len(tokenizer))
    gen_model, embseq_model = LlamaForCausalLM(config).eval(), LlamaModel(config).eval()
    saved = save_pair(
        tmp_path / "pair",
        gen_model=gen_model,
        gen_tokenizer=tokenizer,
        embseq_model=embseq_model,
        embseq_tokenizer=tokenizer,
        spec=spec,
    )
    gen, embseq = load_gen(tmp_path / "pair"), load_embseq(tmp_path / "pair")
    assert saved == read_spec(tmp_path / "pair") == gen.spec == embseq.spec
    assert saved == spec.model_copy(update={"fingerprint": saved.fingerprint})
    assert not gen.model.training
    assert not embseq.model.training
    ids = torch.tensor([[*gen.codec.prompt("Who trims the lamp?"), spec.control.ret]])
    with torch.inference_mode():
        assert torch.equal(gen.model(ids).logits, gen_model(ids).logits)
        assert torch.equal(embseq.model(ids).last_hidden_state, embseq_model(ids).last_hidden_state)
    assert gen.tokenizer.get_vocab() == embseq.tokenizer.get_vocab() == tokenizer.get_vocab()


def test_control_tokens_and_text_survive_saving(tiny_pair: Path) -> None:
    gen = load_gen(tiny_pair)
    names = gen.tokenizer.convert_ids_to_tokens([gen.codec.control.ret, gen.codec.control.cs, gen.codec.control.ce])
    assert names == ["[Ret]", "[Cs]", "[Ce]"]
    text = "[Ret] [Cs]灯台[Ce]</s>"
    assert gen.codec.control.ids.isdisjoint(gen.codec.text(text))
    assert gen.codec.decode(gen.codec.text(text)) == text


def test_a_pair_loads_in_the_number_format_asked_for(tiny_pair: Path) -> None:
    assert load_gen(tiny_pair).model.dtype == torch.float32
    assert load_embseq(tiny_pair, dtype=torch.bfloat16).model.dtype == torch.bfloat16


def test_a_pair_holds_json_and_safetensors_only(tiny_pair: Path) -> None:
    assert {path.suffix for path in tiny_pair.rglob("*") if path.is_file()} == {".json", ".safetensors"}
    assert {path.name for path in tiny_pair.iterdir()} == {"gen", "embseq", "pair.json"}


@pytest.mark.parametrize(
    "change",
    [
        {"embseq_seed": 9},
        {"embseq_texts": ("other words altogether, other merges",)},
        {"passage": PassageForm(max_tokens=65)},
        {"passage": PassageForm(max_tokens=64, template="{text}")},
        {"pooling": "last_token"},
        {"similarity": "cosine"},
    ],
)
def test_the_fingerprint_changes_with_all_that_vectors_depend_on(tmp_path: Path, change: dict[str, Any]) -> None:
    assert save(tmp_path / "a").fingerprint != save(tmp_path / "b", **change).fingerprint


@pytest.mark.parametrize("change", [{}, {"gen_seed": 9}, {"training": {"steps": 9}}, {"temperature": 0.5}])
def test_the_fingerprint_stays_where_no_vector_changes(tmp_path: Path, change: dict[str, Any]) -> None:
    first = save(tmp_path / "a").fingerprint
    assert first == save(tmp_path / "b", **change).fingerprint
    assert len(first) == 64


def test_saving_over_a_pair_replaces_it_whole(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "pair"
    save(out)
    (out / "gen" / "left.safetensors").write_bytes(b"of the old pair")
    new = save(out, embseq_seed=9)
    assert read_spec(out) == new
    assert not (out / "gen" / "left.safetensors").exists()
    assert [path.name for path in out.parent.iterdir()] == ["pair"]


def test_saving_into_an_empty_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "pair").mkdir()
    assert save(tmp_path / "pair") == read_spec(tmp_path / "pair")


def test_what_is_not_a_pair_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("words")
    for name in ("thesis", "file"):
        with pytest.raises(PairError, match=rf"{name}: it exists and is not a pair. Choose an empty or new folder"):
            save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "words"
    assert {path.name for path in tmp_path.iterdir()} == {"thesis", "file"}


def test_saving_that_fails_leaves_the_old_pair_whole_and_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "pair"
    save(out)
    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(out, embseq_seed=9, training={"path": tmp_path})
    assert {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_is_no_pair_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    said = r"not a pair: there is no pair.json. Train one with `cosup train CONFIG.yaml`"
    for load in (read_spec, load_gen, load_embseq):
        with pytest.raises(PairError, match=said):
            load(tmp_path)
        with pytest.raises(PairError, match=said):
            load(tmp_path / "nowhere")


@pytest.mark.parametrize("part", ["gen", "embseq"])
def test_a_missing_half_is_named(copy: Path, part: str) -> None:
    rmtree(copy / part)
    with pytest.raises(PairError, match=rf"copy: the pair has no {part}/ folder"):
        (load_gen if part == "gen" else load_embseq)(copy)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("format_version", 2, r"pair.json, field format_version: .*\(got 2\).*version of Cosup"),
        ("colour", "red", "pair.json, field colour: Extra inputs are not permitted"),
        ("pooling", "max", r"pair.json, field pooling: Input should be 'last_token', 'mean' or .* \(got 'max'\)"),
        ("dimension", None, r"pair.json, field dimension: Input should be a valid integer \(got None\)"),
    ],
)
def test_a_pair_json_of_another_kind_is_refused_by_field(copy: Path, field: str, value: Any, said: str) -> None:
    said_in_file = json.loads((copy / "pair.json").read_text())
    (copy / "pair.json").write_text(json.dumps(said_in_file | {field: value}))
    with pytest.raises(PairError, match=said):
        read_spec(copy)


def test_a_pair_json_that_lacks_a_field_is_refused_by_it(copy: Path) -> None:
    said_in_file = json.loads((copy / "pair.json").read_text())
    del said_in_file["control"]
    (copy / "pair.json").write_text(json.dumps(said_in_file))
    with pytest.raises(PairError, match=r"pair.json, field control: Field required$"):
        read_spec(copy)


def test_half_a_pair_json_is_refused_by_its_name(copy: Path) -> None:
    data = (copy / "pair.json").read_bytes()
    (copy / "pair.json").write_bytes(data[: len(data) // 2])
    with pytest.raises(PairError, match=r"pair\.json: Invalid JSON"):
        read_spec(copy)


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def change_a_tensor(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda gen: cut(gen / "model.safetensors"), "gen: cannot be loaded .*incomplete metadata"),
        (lambda gen: (gen / "model.safetensors").write_bytes(b""), "gen: cannot be loaded .*header too small"),
        (lambda gen: (gen / "model.safetensors").unlink(), "gen: cannot be loaded .*no file named model.safetensors"),
        (lambda gen: cut(gen / "config.json"), "gen: cannot be loaded .*not a valid JSON file"),
        (lambda gen: cut(gen / "tokenizer.json"), "gen: cannot be loaded"),
        (lambda gen: (gen / "tokenizer.json").unlink(), "gen: cannot be loaded"),
        (
            lambda gen: change_a_tensor(gen / "model.safetensors", lambda tensors: tensors.pop("model.norm.weight")),
            r"gen: its weights lack model\.norm\.weight",
        ),
        (
            lambda gen: change_a_tensor(
                gen / "model.safetensors", lambda tensors: tensors.update({"model.norm.weight": torch.ones(7)})
            ),
            "gen: cannot be loaded",
        ),
    ],
    ids=[
        "half",
        "empty",
        "none",
        "half config",
        "half tokenizer",
        "no tokenizer",
        "tensor missing",
        "tensor misshapen",
    ],
)
def test_damaged_weights_or_tokenizers_are_refused_by_their_folder(
    copy: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object], said: str
) -> None:
    caplog.set_level(logging.CRITICAL, "transformers")
    damage(copy / "gen")
    with pytest.raises(PairError, match=said):
        load_gen(copy)


def test_pickled_weights_are_not_read(copy: Path) -> None:
    torch.save(load_file(copy / "embseq" / "model.safetensors"), copy / "embseq" / "pytorch_model.bin")
    (copy / "embseq" / "model.safetensors").unlink()
    with pytest.raises(PairError, match="embseq: cannot be loaded"):
        load_embseq(copy)


def test_a_gen_whose_control_tokens_are_not_those_of_pair_json_is_refused(tiny_pair: Path, tmp_path: Path) -> None:
    pair = tmp_path / "pair"
    copytree(tiny_pair, pair)
    spec = json.loads((pair / "pair.json").read_text())
    spec["control"]["ret"], spec["control"]["cs"] = spec["control"]["cs"], spec["control"]["ret"]
    (pair / "pair.json").write_text(json.dumps(spec))
    with pytest.raises(PairError, match=r"pair.json says \[Ret\] is \d+, the tokenizer of gen/ says \d+"):
        load_gen(pair)


def test_the_fingerprint_changes_with_embseqs_configuration_but_not_with_who_wrote_it(
    tiny_pair: Path, tmp_path: Path
) -> None:
    embseq = tmp_path / "embseq"
    copytree(tiny_pair / "embseq", embseq)
    spec = read_spec(tiny_pair)
    config = json.loads((embseq / "config.json").read_text())
    (embseq / "config.json").write_text(json.dumps(config | {"transformers_version": "0"}))
    assert fingerprint(embseq, spec) == spec.fingerprint
    (embseq / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert fingerprint(embseq, spec) != spec.fingerprint


def test_whoever_may_read_pair_json_may_read_the_weights(tiny_pair: Path) -> None:
    mode = (tiny_pair / "pair.json").stat().st_mode
    weights = list(tiny_pair.rglob("*.safetensors"))
    assert len(weights) == 2
    assert all(path.stat().st_mode == mode for path in weights)
