"""The engine on vLLM: continuous batching, prefix caching, and one copy of Gen's weights.

`engine` is the service's side: it turns sessions into requests of vLLM's AsyncLLM. `worker` and `models` run inside
vLLM's own processes, at its public extension points; `protocol` is what the two sides know of each other.
"""
