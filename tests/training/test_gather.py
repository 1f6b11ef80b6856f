"""Steps of two processes against one process that has both batches."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from tests.training import two_ranks
from tests.training.random_batches import furthest, gradients, random_model
from training.gather import gathered, in_step, num_ranks, total
from training.loss import next_sequence_sum
from training.model import CoSupervisedModel


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what two processes left."""
    folder = tmp_path_factory.mktemp("ranks")
    spawn(two_ranks.run, args=(folder,), nprocs=2)
    return folder


def left(ranks: Path, case: str) -> tuple[dict[str, float], list[dict[str, Tensor]]]:
    """Terms of a case (`loss` is the mean of the ranks' shares) and each rank's gradients."""
    files = [load_file(ranks / f"{case}-{rank}.safetensors") for rank in range(2)]
    terms = [{name[5:]: float(value) for name, value in each.items() if name.startswith("term.")} for each in files]
    grads = [{name: value for name, value in each.items() if not name.startswith("term.")} for each in files]
    assert {**terms[0], "loss": 0} == {**terms[1], "loss": 0}, "each rank logs the figures of the global batch"
    return terms[0] | {"loss": sum(each["loss"] for each in terms) / 2}, grads


def whole(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The global batch: each passage once, targets counted over all."""
    keys = torch.cat([part["sequence_keys"] for part in parts]).tolist()
    rows = [
        {name: values[row : row + 1] for name, values in passages.items()}
        for passages in chain.from_iterable(part["passages"] for part in parts)
        for row in range(len(passages["ids"]))
    ]
    once = dict(zip(reversed(keys), reversed(rows), strict=True))
    order = list(dict.fromkeys(keys))
    targets = [order.index(int(part["sequence_keys"][target])) for part in parts for target in part["targets"]]
    return {
        "groups": [group for part in parts for group in part["groups"]],
        "passages": [once[key] for key in order],
        "targets": torch.tensor(targets, dtype=torch.long),
    }


def one_process(kind: str) -> tuple[dict[str, float], dict[str, Tensor]]:
    model = random_model()
    terms = model(whole(two_ranks.batches(kind)))
    terms["loss"].backward()
    return {name: float(value.detach()) for name, value in terms.items()}, gradients(model)


@pytest.mark.slow
@pytest.mark.parametrize("case", [name for name, (_, gather, *_) in two_ranks.CASES.items() if gather == "all"])
def test_with_gradients_for_all_two_ranks_are_one_process_with_the_global_batch(ranks: Path, case: str) -> None:
    terms, expected = one_process(two_ranks.CASES[case][0])
    found_terms, found = left(ranks, case)
    assert found_terms == pytest.approx(terms, rel=1e-5)
    assert max(furthest(each, expected) for each in found) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("case", ["sequences", "sequences-chunks"])
def test_with_gradients_for_the_local_part_the_loss_is_the_same_and_others_passages_are_constants(
    ranks: Path, case: str
) -> None:
    terms, _ = one_process("uneven")
    found_terms, found = left(ranks, case)
    assert found_terms == pytest.approx(terms, rel=1e-5)
    expected = local_gradients("uneven", with_others=True)
    assert max(furthest(each, expected) for each in found) < 1e-5


@pytest.mark.slow
def test_without_gathering_a_query_meets_its_own_ranks_passages_alone(ranks: Path) -> None:
    expected = local_gradients("uneven", with_others=False)
    assert max(furthest(each, expected) for each in left(ranks, "none")[1]) < 1e-5


def local_gradients(kind: str, *, with_others: bool) -> dict[str, Tensor]:
    """The mean over two ranks of gradients in which the other rank's sequence embeddings are constants."""
    model, batches = random_model(), two_ranks.batches(kind)
    sequences = [vectors(model, batch) for batch in batches]
    queries = sum(len(batch["targets"]) for batch in batches)
    nsp = torch.zeros(())
    for rank, batch in enumerate(batches):
        other = 1 - rank
        fresh = [row for row, key in enumerate(batches[other]["sequence_keys"]) if key not in batch["sequence_keys"]]
        others = sequences[other].detach()[fresh] if with_others else sequences[rank][:0]
        columns = torch.cat([sequences[rank], others])
        found = model(batch, only="vectors")["queries"]
        nsp = nsp + next_sequence_sum(found, columns, batch["targets"], temperature=0.1).loss / queries
    alone = whole(batches) | {"passages": [], "targets": torch.empty(0, dtype=torch.long)}
    alone["groups"] = [group | {"rets": torch.empty(0, dtype=torch.long)} for group in alone["groups"]]
    (model(alone)["loss"] + model.objective.nsp_weight * nsp).backward()  # without lookups the loss is L_NTP
    return gradients(model)


def vectors(model: CoSupervisedModel, batch: Mapping[str, Any]) -> Tensor:
    return torch.cat([model.sequence_vectors(part["ids"], part["mask"]) for part in batch["passages"]])


def test_in_one_process_nothing_is_exchanged() -> None:
    sequences = torch.randn(3, 4)
    assert gathered(sequences, None, "all") is sequences
    assert in_step([1, 2], 0, torch.device("cpu")) == [1, 2]
    assert num_ranks() == 1
    assert total(torch.tensor(3)) == 3


def test_sequences_of_several_ranks_without_keys_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.gather.num_ranks", lambda: 2)
    with pytest.raises(ValueError, match="told apart by keys; there are none"):
        gathered(torch.randn(3, 4), None, "sequences")
