"""The objective against slow and obvious versions of itself."""

import math

import torch
from torch import nn
from transformers import LlamaForCausalLM

from tests.conftest import tiny_llama_config
from training.loss import IGNORED, next_sequence_loss, next_token_loss


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


def test_next_sequence_loss_is_cross_entropy_over_all_passages_of_the_batch() -> None:
    torch.manual_seed(1)
    queries, sequences = torch.randn(4, 6), torch.randn(3, 6)
    targets = torch.tensor([2, 0, 0, 1])
    expected = 0.0
    for query, target in zip(queries, targets, strict=True):
        scores = [float(query @ sequence) / 0.5 for sequence in sequences]
        expected += math.log(sum(math.exp(score) for score in scores)) - scores[int(target)]
    found = next_sequence_loss(queries, sequences, targets, temperature=0.5)
    assert math.isclose(float(found.loss), expected / 4, rel_tol=1e-5)


def test_accuracy_is_the_share_of_queries_whose_passage_scores_highest() -> None:
    sequences = torch.eye(3)
    queries = torch.tensor([[5.0, 0, 0], [0, 0, 5.0], [0, 1.0, 4.0]])
    found = next_sequence_loss(queries, sequences, torch.tensor([0, 2, 1]), temperature=1.0)
    assert math.isclose(float(found.accuracy), 2 / 3, rel_tol=1e-6)


def test_a_batch_without_lookups_has_no_next_sequence_loss() -> None:
    sequences = torch.randn(2, 4, requires_grad=True)
    found = next_sequence_loss(torch.empty(0, 4), sequences, torch.empty(0, dtype=torch.long), temperature=1.0)
    found.loss.backward()
    assert found.loss.item() == 0
