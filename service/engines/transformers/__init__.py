"""The embedded engine: any Hugging Face causal language model with a standard cache, on a CPU or a GPU."""

from service.engines.transformers.engine import TransformersEngine

__all__ = ["TransformersEngine"]
