"""Random models of 32 dimensions and random batches for them: what tests of the objective need, in milliseconds."""

from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, LlamaModel

from semiparametric.control import ControlTokens
from semiparametric.spec import PairSpec
from tests.conftest import tiny_llama_config
from training.loss import IGNORED
from training.model import CoSupervisedModel, Objective

VOCABULARY = 60
RET = 59


def random_spec(**said: Any) -> PairSpec:
    """Cosine at 32 dimensions, unless said otherwise."""
    defaults: dict[str, Any] = {"similarity": "cosine", "temperature": 0.1, "dimension": 32, "pooling": "mean"}
    return PairSpec(control=ControlTokens(ret=RET, cs=58, ce=57), **(defaults | said))


def random_model(
    objective: Objective | None = None, *, seed: int = 0, dropout: float = 0.0, **said: Any
) -> CoSupervisedModel:
    """Two small Llamas; `said` goes into the spec."""
    torch.manual_seed(seed)
    config = tiny_llama_config(VOCABULARY)
    config.attention_dropout = dropout
    model = CoSupervisedModel(
        LlamaForCausalLM(config), LlamaModel(config), random_spec(**said), objective or Objective("co-supervised", 0.5)
    )
    model.gen.set_attn_implementation("eager")
    model.embseq.set_attn_implementation("eager")
    return model.train()


def random_rows(count: int, longest: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Right-padded rows of random ids, `[count, longest]`."""
    ids = torch.randint(3, 57, (count, longest), generator=generator)
    lengths = torch.randint(2, longest + 1, (count, 1), generator=generator)
    lengths[0] = longest
    mask = (torch.arange(longest) < lengths).long()
    return {"ids": ids * mask, "mask": mask}


def random_batch(rows: int = 7, passages: int = 5, *, seed: int = 0) -> dict[str, Any]:
    """A batch with two groups, one `[Ret]` in most rows, and passages in two parts; the labels of some tokens count."""
    generator = torch.Generator().manual_seed(seed)
    groups, queries = [], 0
    for count, longest in ((rows // 2, 6), (rows - rows // 2, 9)):
        group = random_rows(count, longest, generator)
        labels = group["ids"].masked_fill(
            (group["mask"] == 0) | (torch.rand(group["ids"].shape, generator=generator) < 0.4), IGNORED
        )
        rets = torch.arange(count - 1) * longest + 1  # the last row of a group looks nothing up
        group["ids"].view(-1)[rets] = RET
        groups.append(group | {"labels": labels, "rets": rets})
        queries += len(rets)
    parts = [random_rows(passages // 2, 4, generator), random_rows(passages - passages // 2, 8, generator)]
    return {
        "groups": groups,
        "passages": parts,
        "targets": torch.randint(0, passages, (queries,), generator=generator),
        "sequence_keys": torch.arange(passages) + 1000 * seed,
    }


def gradients(model: CoSupervisedModel) -> dict[str, Tensor]:
    """The gradients that stand in a model, by name."""
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def furthest(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The greatest difference of two sets of gradients, relative to the norm of each weight's gradient.

    Some gradients are zero but for rounding, such as that of a bias of attention keys: no norm counts as less than a
    thousandth of that of all.
    """
    assert found.keys() == expected.keys()
    least = 1e-3 * torch.cat([gradient.ravel() for gradient in expected.values()]).norm()
    return max(
        float((found[name] - gradient).norm() / gradient.norm().clamp(min=least)) for name, gradient in expected.items()
    )
