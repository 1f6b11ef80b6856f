"""The objective against slow and obvious versions of itself."""

import math

import torch
from torch import nn
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from tests.conftest import tiny_llama_config
from training.loss import IGNORED, Objective, next_sequence_sum, next_token_loss


def test_next_token_loss_is_the_models_own_loss() -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(tiny_llama_config(50))
    ids = torch.randint(3, 50, (3, 9))
    labels = ids.clone()
    labels[0, :4] = IGNORED
    states = model.model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(next_token_loss(states, labels, model.lm_head), model(input_ids=ids, labels=labels).loss)


def test_next_token_loss_of_nothing_is_zero_and_can_be_differentiated() -> None:
    states = torch.randn(1, 4, 8, requires_grad=True)
    loss = next_token_loss(states, torch.full((1, 4), IGNORED), nn.Linear(8, 5))
    loss.backward()
    assert loss.item() == 0
    assert states.grad is not None


def infonce(queries: torch.Tensor, sequences: torch.Tensor, targets: torch.Tensor, temperature: float) -> float:
    """The sum of InfoNCE over the queries, in plain Python."""
    found = 0.0
    for query, target in zip(queries, targets, strict=True):
        scores = [float(query @ sequence) / temperature for sequence in sequences]
        found += math.log(sum(math.exp(score) for score in scores)) - scores[int(target)]
    return found


def test_next_sequence_loss_is_cross_entropy_over_all_passages_of_the_batch() -> None:
    torch.manual_seed(1)
    queries, sequences, targets = torch.randn(4, 6), torch.randn(3, 6), torch.tensor([2, 0, 0, 1])
    found = next_sequence_sum(queries, sequences, targets, temperature=0.5)
    assert math.isclose(float(found.loss), infonce(queries, sequences, targets, 0.5), rel_tol=1e-5)


def test_with_leading_dimensions_it_is_the_mean_over_each_size_cut_and_for_cosine_of_unit_length_again() -> None:
    torch.manual_seed(2)
    queries, sequences = (F.normalize(torch.randn(count, 8), dim=1) for count in (5, 4))
    targets = torch.tensor([0, 1, 2, 3, 3])
    for unit in (False, True):
        expected = 0.0
        for size in (2, 4, 8):
            cut = [vectors[:, :size] for vectors in (queries, sequences)]
            if unit:
                cut = [vectors / vectors.norm(dim=1, keepdim=True) for vectors in cut]
            expected += infonce(cut[0], cut[1], targets, 0.1) / 3
        found = next_sequence_sum(queries, sequences, targets, temperature=0.1, leading_dimensions=(2, 4), unit=unit)
        assert math.isclose(float(found.loss), expected, rel_tol=1e-5)
        assert float(found.right) == float(((queries @ sequences.T).argmax(1) == targets).sum())


def test_the_loss_over_passages_is_computed_in_full_precision_under_bf16() -> None:
    torch.manual_seed(3)
    queries, sequences = (F.normalize(torch.randn(6, 16), dim=1) for _ in range(2))
    targets = torch.arange(6)
    exact = next_sequence_sum(queries, sequences, targets, temperature=0.02).loss
    with torch.autocast("cpu", torch.bfloat16):
        assert next_sequence_sum(queries, sequences, targets, temperature=0.02).loss == exact


def test_a_query_is_right_where_its_passage_scores_highest() -> None:
    queries = torch.tensor([[5.0, 0, 0], [0, 0, 5.0], [0, 1.0, 4.0]])
    assert float(next_sequence_sum(queries, torch.eye(3), torch.tensor([0, 2, 1]), temperature=1.0).right) == 2


def test_a_batch_without_lookups_has_no_next_sequence_loss() -> None:
    sequences = torch.randn(2, 4, requires_grad=True)
    found = next_sequence_sum(torch.empty(0, 4), sequences, torch.empty(0, dtype=torch.long), temperature=1.0)
    found.loss.backward()
    assert found.loss.item() == 0


def test_the_objective_weighs_the_losses_that_count() -> None:
    ntp, nsp = torch.tensor(2.0), torch.tensor(3.0)
    assert Objective("ntp", 0.5).loss(ntp, nsp) == 2
    assert Objective("nsp", 0.5).loss(ntp, nsp) == 3
    assert Objective("co-supervised", 0.5).loss(ntp, nsp) == 3.5
