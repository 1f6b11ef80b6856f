"""A step in chunks against the same step at once."""

from typing import Any, cast

import pytest
import torch
from transformers import LlamaModel, PreTrainedModel

from semiparametric.errors import InputError
from tests.conftest import tiny_llama_config
from tests.training.random_batches import VOCABULARY, furthest, gradients, random_batch, random_model, random_rows
from training import grad_cache
from training.loss import IGNORED
from training.model import CoSupervisedModel, Objective


def at_once(model: CoSupervisedModel, batch: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Terms and gradients of one forward and backward pass."""
    model.zero_grad()
    terms = model(batch)
    terms["loss"].backward()
    return {name: float(value.detach()) for name, value in terms.items()}, gradients(model)


def in_chunks(model: CoSupervisedModel, batch: dict[str, Any], rows: int) -> tuple[dict[str, Any], dict[str, Any]]:
    model.zero_grad()
    terms = grad_cache.backward(model, batch, chunk_rows=rows)
    return {name: float(value.detach()) for name, value in terms.items()}, gradients(model)


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
@pytest.mark.parametrize("supervision", ["co-supervised", "nsp", "ntp"])
def test_gradients_and_terms_are_those_of_one_pass(rows: int, supervision: Any) -> None:
    model = random_model(Objective(supervision, 0.5))
    terms, expected = at_once(model, random_batch())
    found_terms, found = in_chunks(model, random_batch(), rows)
    assert furthest(found, expected) < 1e-5
    assert found_terms == pytest.approx(terms, rel=1e-5)


def test_leading_dimensions_and_dot_products_change_nothing_about_it() -> None:
    for said in ({"leading_dimensions": (4, 16)}, {"similarity": "dot", "temperature": 8.0, "pooling": "last_token"}):
        model = random_model(**said)
        _, expected = at_once(model, random_batch())
        assert furthest(in_chunks(model, random_batch(), 2)[1], expected) < 1e-5


def test_where_texts_are_the_queries_their_encoder_gets_its_gradient_and_gen_that_of_its_tokens() -> None:
    model = random_model()
    model.query = LlamaModel(tiny_llama_config(VOCABULARY))
    batch = random_batch()
    batch["queries"] = [random_rows(len(batch["targets"]), 5, torch.Generator().manual_seed(9))]
    _, expected = at_once(model, batch)
    assert furthest(in_chunks(model, batch, 2)[1], expected) < 1e-5
    assert any(name.startswith("query.") for name in expected)


def test_one_model_as_gen_and_embseq_gets_the_gradients_of_both_roles() -> None:
    model = random_model()
    model.embseq = cast(PreTrainedModel, model.gen.base_model)
    _, expected = at_once(model, random_batch())
    assert furthest(in_chunks(model, random_batch(), 2)[1], expected) < 1e-5


def test_dropout_drops_the_same_in_both_passes() -> None:
    """A batch that is one chunk meets the same random states in one pass and in two."""
    model = random_model(dropout=0.5)
    batch = random_batch()
    batch["groups"] = [
        {"labels": part["labels"][:-1], "rets": part["rets"], "ids": part["ids"][:-1], "mask": part["mask"][:-1]}
        for part in batch["groups"]
    ]
    torch.manual_seed(5)
    terms, expected = at_once(model, batch)
    torch.manual_seed(5)
    found_terms, found = in_chunks(model, batch, 100)
    assert furthest(found, expected) < 1e-5
    assert found_terms == pytest.approx(terms, rel=1e-5)
    torch.manual_seed(6)
    assert furthest(in_chunks(model, batch, 100)[1], expected) > 1e-2, "there is dropout to speak of"


def test_random_numbers_after_the_step_go_on_as_if_each_chunk_had_been_passed_once() -> None:
    model, batch = random_model(dropout=0.5), random_batch()
    grad_cache.backward(model, batch, chunk_rows=2)
    torch.manual_seed(5)
    first = [grad_cache.backward(model, batch, chunk_rows=2)["loss"] for _ in range(2)]
    assert first[0] != first[1]


def test_gradients_are_added_to_those_that_stand_and_scaled() -> None:
    model = random_model()
    _, expected = at_once(model, random_batch())
    model.zero_grad()
    for _ in range(2):
        grad_cache.backward(model, random_batch(), chunk_rows=2, scale=0.5)
    assert furthest(gradients(model), expected) < 1e-5


def test_a_batch_without_lookups_trains_the_next_token_alone() -> None:
    model, batch = random_model(), random_batch()
    batch |= {"passages": [], "targets": torch.empty(0, dtype=torch.long)}
    batch["groups"] = [group | {"rets": torch.empty(0, dtype=torch.long)} for group in batch["groups"]]
    terms, expected = at_once(model, batch)
    found_terms, found = in_chunks(model, batch, 2)
    assert furthest(found, expected) < 1e-5
    assert found_terms["loss"] == pytest.approx(terms["ntp"], rel=1e-5)


def test_a_batch_in_which_no_token_counts_trains_the_lookups_alone() -> None:
    model, batch = random_model(), random_batch()
    for group in batch["groups"]:
        group["labels"].fill_(IGNORED)
    _, expected = at_once(model, batch)
    assert furthest(in_chunks(model, batch, 2)[1], expected) < 1e-5


def test_weights_that_are_not_trained_get_no_gradient() -> None:
    model = random_model(Objective("nsp"))
    model.gen.requires_grad_(requires_grad=False)
    grad_cache.backward(model, random_batch(), chunk_rows=2)
    assert all(name.startswith("embseq.") for name in gradients(model))


def test_chunks_of_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="a chunk of 0 rows holds nothing"):
        grad_cache.backward(random_model(), random_batch(), chunk_rows=0)


class Held:
    """Counts the bytes that are held for backward passes."""

    now = most = 0

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        Held.now += tensor.nbytes
        Held.most = max(Held.most, Held.now)

    def __del__(self) -> None:
        Held.now -= self.tensor.nbytes


def most_held(rows: int, chunk_rows: int | None) -> int:
    """The most bytes that one step over a batch holds for its backward passes."""
    model, batch = random_model(), random_batch(rows, rows)
    Held.now = Held.most = 0
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        if chunk_rows is None:
            model(batch)["loss"].backward()
        else:
            grad_cache.backward(model, batch, chunk_rows=chunk_rows)
    return Held.most


def test_what_is_held_for_the_backward_pass_grows_with_the_chunk_and_not_with_the_batch() -> None:
    assert most_held(256, 8) < 1.2 * most_held(32, 8)
    assert most_held(256, None) > 6 * most_held(32, None), "at once it grows with the batch"
