"""What `cosup pair import` refuses: by its message, and leaving nothing behind."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from transformers import BertConfig, BertModel

from semiparametric.errors import InputError, PairError
from tests.training.authors_layout import (
    BASE,
    CONTROL,
    imported,
    save_checkpoints,
    save_safetensors,
    save_tokenizer,
    tiny_config,
    tiny_embseq,
    tiny_gen,
)
from training.importing.settings import ImportSettings


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `gen` and `embseq`."""
    return save_checkpoints(tmp_path_factory.mktemp("authors"))


@pytest.fixture
def broken(checkpoints: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoints, to spoil."""
    shutil.copytree(checkpoints, tmp_path / "broken")
    return tmp_path / "broken"


def test_a_folder_that_is_not_a_pair_is_refused_as_out(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PairError, match="exists and is not a pair"):
        imported(checkpoints, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_table_smaller_than_the_tokenizer_is_refused(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "gen", tiny_gen(vocab_size=BASE + 2))
    save_safetensors(tmp_path / "embseq", tiny_embseq())
    with pytest.raises(PairError, match="the embedding table has 402 rows, the tokenizer 404 tokens"):
        imported(tmp_path, tmp_path / "pair")


def test_different_hidden_sizes_are_refused(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "gen", tiny_gen())
    save_safetensors(tmp_path / "embseq", tiny_embseq(hidden_size=48))
    with pytest.raises(PairError, match="Gen has hidden size 32, Embseq 48"):
        imported(tmp_path, tmp_path / "pair")


@pytest.mark.parametrize(
    ("added", "told"),
    [
        (("<PAD>", "[Cs]", "[Ret]"), r"\[Ce\]=missing, \[Ret\]=402"),
        (("<PAD>", "[Ret]", "[Cs]", "[Ce]"), r"\[Cs\]=402, \[Ce\]=403, \[Ret\]=401"),
        (("[Cs]", "[Ce]", "[Ret]"), r"<PAD>=missing"),
        ((), r"<PAD>=missing, \[Cs\]=missing"),
    ],
)
def test_control_tokens_that_are_missing_or_in_another_order_are_refused(
    tmp_path: Path, added: tuple[str, ...], told: str
) -> None:
    for role, model in (("gen", tiny_gen(vocab_size=500)), ("embseq", tiny_embseq(vocab_size=500))):
        save_safetensors(tmp_path / role, model)
        save_tokenizer(tmp_path / role, added, pad="<PAD>" if "<PAD>" in added else None)
    with pytest.raises(PairError, match=told) as caught:
        imported(tmp_path, tmp_path / "pair")
    assert "With its embedding table of 500 rows it would be <PAD>=496, [Cs]=497" in str(caught.value)


def test_an_embseq_that_cannot_pad_is_refused_for_last_position_only(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "gen", tiny_gen())
    save_safetensors(tmp_path / "embseq", tiny_embseq(vocab_size=BASE))
    save_tokenizer(tmp_path / "embseq", (), pad=None)
    with pytest.raises(PairError, match="the tokenizer has no <PAD>"):
        imported(tmp_path, tmp_path / "pair")
    assert imported(tmp_path, tmp_path / "pair", pooling="last_token").control == CONTROL


def test_tokenizers_that_number_one_vocabulary_differently_are_refused(broken: Path) -> None:
    save_tokenizer(broken / "embseq", ("[Cs]", "<PAD>", "[Ce]", "[Ret]"))
    with pytest.raises(PairError, match="'<PAD>' is 400 in Gen's and 401 in Embseq's"):
        imported(broken, broken / "pair")


def test_a_gen_without_a_head_is_refused(checkpoints: Path, tmp_path: Path) -> None:
    with pytest.raises(PairError, match=r"not a causal language model: its config\.json says LlamaModel"):
        imported(checkpoints, tmp_path / "pair", gen=str(checkpoints / "embseq"))


def test_a_gen_whose_weights_lack_the_head_is_refused(broken: Path) -> None:
    shutil.copy(broken / "gen" / "config.json", broken / "embseq" / "config.json")
    with pytest.raises(PairError, match="its weights have no lm_head"):
        imported(broken, broken / "pair", gen=str(broken / "embseq"))


def test_an_encoder_is_refused_as_gen(broken: Path) -> None:
    BertModel(BertConfig(vocab_size=404, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(
        broken / "gen"
    )
    with pytest.raises(PairError, match="not a causal language model"):
        imported(broken, broken / "pair")


class Harm:
    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return (Path.touch, (Path("harm.txt"),))


def test_a_pickle_of_more_than_tensors_is_refused_and_runs_nothing(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(broken)
    (broken / "gen" / "model.safetensors").unlink()
    torch.save(tiny_gen().state_dict() | {"harm": Harm()}, broken / "gen" / "pytorch_model.bin")
    with pytest.raises(PairError, match="a pickle of more than tensors"):
        imported(broken, broken / "pair")
    (broken / "gen" / "pytorch_model.bin").write_bytes(pickle.dumps(Harm(), protocol=2))
    with pytest.raises(PairError, match="a pickle of more than tensors"):
        imported(broken, broken / "pair")
    assert not (broken / "harm.txt").exists()


def test_a_bin_file_without_named_tensors_is_refused(broken: Path) -> None:
    (broken / "gen" / "model.safetensors").unlink()
    torch.save({"epoch": 3}, broken / "gen" / "pytorch_model.bin")
    with pytest.raises(PairError, match="something other than named tensors"):
        imported(broken, broken / "pair")


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_weight_file_that_is_cut_off_is_named(broken: Path, name: str) -> None:
    whole = (broken / "gen" / "model.safetensors").read_bytes()
    (broken / "gen" / "model.safetensors").unlink()
    (broken / "gen" / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PairError, match=f"gen/{name}"):
        imported(broken, broken / "pair")
    assert not (broken / "pair").exists()


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("weight_map", "told"),
    [
        ({"a": "model-00001-of-00002.safetensors"}, "names model-00001-of-00002.safetensors, which the folder lacks"),
        ({"a": "../gen/model.safetensors"}, "which is no file name"),
        ({}, "it names no file"),
        ([], "not an index"),
    ],
)
def test_an_index_of_files_that_are_not_there_is_told(broken: Path, weight_map: Any, told: str) -> None:
    index = broken / "gen" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(PairError, match=told):
        imported(broken, broken / "pair")


def test_weights_that_are_not_those_of_the_config_are_refused(broken: Path) -> None:
    tiny_config(num_hidden_layers=3, architectures=["LlamaForCausalLM"]).save_pretrained(broken / "gen")
    with pytest.raises(PairError, match=r"its weights lack model\.layers\.2\..* and 6 more"):
        imported(broken, broken / "pair")
    tiny_config(num_hidden_layers=1, architectures=["LlamaForCausalLM"]).save_pretrained(broken / "gen")
    with pytest.raises(PairError, match=r"its weights hold model\.layers\.1\..*for which its config.json has no place"):
        imported(broken, broken / "pair")
    tiny_config(intermediate_size=96, architectures=["LlamaForCausalLM"]).save_pretrained(broken / "gen")
    with pytest.raises(PairError, match=r"is \[.*64.*\] in its weights and \[.*96.*\] by its config.json"):
        imported(broken, broken / "pair")


def test_numbers_that_are_not_finite_are_refused_and_leave_nothing(broken: Path) -> None:
    gen = tiny_gen()
    gen.model.norm.weight.data[0] = 1e6
    gen.save_pretrained(broken / "gen")
    with pytest.raises(PairError, match=r"model\.norm\.weight holds numbers that are not finite in float16"):
        imported(broken, broken / "pair", dtype="float16")
    assert sorted(path.name for path in broken.iterdir()) == ["embseq", "gen"]
    assert imported(broken, broken / "pair", dtype="bfloat16").dimension == 32


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", "the checkpoint has no weights"),
        ("tokenizer.model", "the checkpoint has no tokenizer.*--tokenizer"),
    ],
)
def test_a_checkpoint_that_lacks_a_file_says_which(broken: Path, file: str, told: str) -> None:
    (broken / "gen" / file).unlink()
    with pytest.raises(PairError, match=told):
        imported(broken, broken / "pair")


@pytest.mark.bad_input
def test_an_unknown_kind_of_model_and_a_damaged_tokenizer_are_told(broken: Path) -> None:
    (broken / "gen" / "tokenizer.json").write_text("{")
    with pytest.raises(PairError, match="its tokenizer cannot be read"):
        imported(broken, broken / "pair")
    (broken / "gen" / "config.json").write_text('{"model_type": "abacus"}')
    with pytest.raises(PairError, match="not that of a known model"):
        imported(broken, broken / "pair")


@pytest.mark.bad_input
def test_a_sentencepiece_tokenizer_without_its_package_says_what_to_install(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.importing.tokens.find_spec", lambda name: None)
    with pytest.raises(PairError, match="pip install sentencepiece protobuf"):
        imported(broken, broken / "pair")


def test_a_disk_that_is_too_full_is_refused(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(PairError, match=r"needs 0\.0 GB, and 0\.0 GB are free"):
        imported(checkpoints, tmp_path / "pair")


def test_a_hub_that_is_out_of_bounds_or_out_of_reach_is_refused_with_the_local_alternative(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    local = "name its local folder: --gen FOLDER"
    name = "kaist-ai/cosupervision-gen-Llama2_7b"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PairError, match=f"HF_HUB_OFFLINE is set.*{local}"):
        imported(checkpoints, tmp_path / "pair", gen=name)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(PairError, match=f"from the hub it cannot be had.*{local}"):
        imported(checkpoints, tmp_path / "pair", gen=name)


@pytest.mark.parametrize("name", ["no/such/folder", "./gone", "/nowhere/gen"])
def test_a_folder_that_is_not_there_is_refused(checkpoints: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(PairError, match=r"--gen: there is no such folder, and .* is not a hub name"):
        imported(checkpoints, tmp_path / "pair", gen=name)


def test_settings_that_make_no_sense_are_refused_before_anything_is_read(checkpoints: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"passage_template.*must hold \{text\}.*passage_max_tokens") as caught:
        ImportSettings.resolve(
            {"gen": "a", "embseq": "b", "out": "c", "passage_template": "{title}", "passage_max_tokens": 1}
        )
    assert "pooling" not in str(caught.value)
    with pytest.raises(PairError, match="300 is more than the 256 positions of Embseq"):
        imported(checkpoints, tmp_path / "pair", passage_max_tokens=300)
