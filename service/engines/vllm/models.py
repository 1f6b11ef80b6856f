"""vLLM's own models, whose last states can be read: `CosupLlamaForCausalLM` and its kin, made when first asked for.

The query state is what enters the output embedding: the last state after the final norm. vLLM hands exactly these rows
to `compute_logits`, one for each row of logits, outside of any CUDA graph.
"""

from typing import Any

from vllm import ModelRegistry

from service.engines.vllm.protocol import ARCHITECTURES, PREFIX
from service.engines.vllm.worker import rows


def __getattr__(name: str) -> type:
    architecture = name.removeprefix(PREFIX)
    if architecture == name or architecture not in ARCHITECTURES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    model = _readable(name, ModelRegistry.models[architecture].load_model_cls())
    globals()[name] = model
    return model


def _readable(name: str, base: Any) -> type:
    def compute_logits(self: Any, hidden_states: Any, *args: Any, **keywords: Any) -> Any:
        rows.show(hidden_states)
        return base.compute_logits(self, hidden_states, *args, **keywords)

    return type(name, (base,), {"__module__": __name__, "compute_logits": compute_logits})
