"""What the service and vLLM's worker processes agree on. Imports neither."""

# The families whose query state is tested to equal the Hugging Face reference, by `architectures` of config.json.
ARCHITECTURES = (
    "GPT2LMHeadModel",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "GemmaForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Phi3ForCausalLM",
    "PhiForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
)
PREFIX = "Cosup"  # before an architecture's name: the same model, whose last states can be read

# Keys of SamplingParams.extra_args.
FORBIDDEN = "cosup_forbidden"  # ids that are masked before sampling
SAMPLING = "cosup_sampling"  # temperature, top_p and seed, where the token is not to be the likeliest
STATE = "cosup_state"  # the name under which the request's last state is kept
LOOKUP = "cosup_lookup"  # [Ret] and [Cs]: the state is that at [Ret], after which [Cs] is forced and ends the request

PROCESSOR = "service.engines.vllm.worker:GenProcessor"
EXTENSION = "service.engines.vllm.worker.StateExtension"
TAKE = "take_states"  # the method of the extension
