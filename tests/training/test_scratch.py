"""Where a pair starts from scratch."""

import pytest
import torch

from semiparametric.embedding import pool, sequence_states
from training.scratch import embseq_from_gen, gen_from_scratch
from training.settings import ScratchModel

PASSAGES = 200


def untrained_recall(averaging_layers: int) -> float:
    """How many of 200 passages of 30 words each are found by eight of their words, in another order."""
    torch.manual_seed(0)
    scratch = ScratchModel(
        hidden_size=128, intermediate_size=256, gen_layers=2, embseq_layers=2, averaging_layers=averaging_layers
    )
    gen = gen_from_scratch(scratch, vocab_size=2000).eval()
    embseq = embseq_from_gen(gen, scratch.embseq_layers).eval()
    passages = torch.randint(10, 2000, (PASSAGES, 30))
    order = torch.rand(PASSAGES, 30).argsort(1)[:, :8]
    questions = torch.cat([passages.gather(1, order), torch.full((PASSAGES, 1), 5)], dim=1)  # 5 stands for [Ret]
    with torch.inference_mode():
        seen = torch.ones_like(passages)
        vectors = pool(sequence_states(embseq, passages, seen), seen, "mean")
        queries = sequence_states(gen.base_model, questions, torch.ones_like(questions))[:, -1]
    scores = torch.nn.functional.normalize(queries, dim=-1) @ torch.nn.functional.normalize(vectors, dim=-1).T
    return float((scores.argmax(1) == torch.arange(PASSAGES)).float().mean())


def test_an_untrained_pair_finds_passages_by_their_words() -> None:
    assert untrained_recall(averaging_layers=1) > 0.8
    assert untrained_recall(averaging_layers=0) < 0.3


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_only_the_layers_asked_for_start_as_averages(layers: int) -> None:
    gen = gen_from_scratch(ScratchModel(hidden_size=32, gen_layers=3, averaging_layers=layers), vocab_size=300)
    averaging = [
        torch.equal(part.weight, torch.eye(32))
        for layer in gen.model.layers
        for part in (layer.self_attn.v_proj, layer.self_attn.o_proj)
    ]
    assert averaging == [True] * 2 * layers + [False] * 2 * (3 - layers)
