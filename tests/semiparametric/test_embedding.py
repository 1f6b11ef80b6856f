"""Sequence embeddings: exact, whatever a passage is batched and padded with."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2Model,
)

from semiparametric.control import ControlTokens, add_control_tokens, encode_text
from semiparametric.embedding import as_query, embed_passages, pool, sequence_states, tokenize_passages
from semiparametric.errors import PairError
from semiparametric.formats import Passage
from semiparametric.pair import Embseq
from semiparametric.spec import PairSpec, PassageForm, Pooling, Similarity
from tests.conftest import tiny_llama_config
from tests.semiparametric.tokenizer_kinds import (
    LITERALS,
    bert_tokenizer,
    gpt2_tokenizer,
    llama_tokenizer,
    unigram_tokenizer,
)

CONTROL = ControlTokens(ret=1, cs=2, ce=3)
SENTENCE = "The keeper trims the lamp at dusk and notes the weather. "


def llama(vocab_size: int) -> PreTrainedModel:
    return LlamaModel(tiny_llama_config(vocab_size))


def qwen2(vocab_size: int) -> PreTrainedModel:
    config = Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
    )
    return Qwen2Model(config)


def gpt2(vocab_size: int) -> PreTrainedModel:
    return GPT2Model(GPT2Config(vocab_size=vocab_size, n_positions=128, n_embd=32, n_layer=2, n_head=4))


def bert(vocab_size: int) -> PreTrainedModel:
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    return BertModel(config)


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "llama": llama_tokenizer,
    "qwen2": llama_tokenizer,
    "gpt2": gpt2_tokenizer,
    "bert": bert_tokenizer,
}
MODELS: dict[str, Callable[[int], PreTrainedModel]] = {"llama": llama, "qwen2": qwen2, "gpt2": gpt2, "bert": bert}
CAUSAL = ("llama", "qwen2", "gpt2")


def embseq_of(kind: str, pooling: Pooling = "mean", similarity: Similarity = "dot", max_tokens: int = 64) -> Embseq:
    torch.manual_seed(3)
    tokenizer = TOKENIZERS[kind]()
    spec = PairSpec(
        control=CONTROL,
        passage=PassageForm(max_tokens=max_tokens),
        pooling=pooling,
        similarity=similarity,
        dimension=32,
    )
    return Embseq(MODELS[kind](len(tokenizer)).eval(), tokenizer, spec)


def passages(count: int) -> list[Passage]:
    """Of many lengths in no order, some longer than the limit."""
    repeats = np.random.default_rng(0).permutation(count) % 7
    return [
        Passage(id=str(n), title=f"Title {n}" * (n % 2), text=f"{n} {SENTENCE * times} 灯台")
        for n, times in enumerate(repeats.tolist())
    ]


@torch.inference_mode()
def one_by_one(embseq: Embseq, entries: list[Passage]) -> NDArray[np.float32]:
    """The oracle: every passage alone, so that nothing is padded and no position is shifted."""
    rows: list[Tensor] = []
    for ids in tokenize_passages(embseq.tokenizer, embseq.spec, entries):
        states = embseq.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        row = states[-1] if embseq.spec.pooling == "last_token" else states.mean(0)
        rows.append(row / row.norm() if embseq.spec.similarity == "cosine" else row)
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize(
    ("kind", "pooling"),
    [*((kind, pooling) for kind in CAUSAL for pooling in ("last_token", "mean")), ("bert", "mean")],
)
def test_a_passage_has_one_vector_whatever_it_is_batched_with(
    kind: str, pooling: Pooling, similarity: Similarity
) -> None:
    embseq = embseq_of(kind, pooling, similarity)
    entries = passages(23)
    oracle = one_by_one(embseq, entries)
    assert np.ptp(oracle, axis=0).max() > 0.05  # the passages differ, so a mixed-up order would show
    for batch_tokens in (1, 64, 200, 8192):
        vectors = embed_passages(embseq, entries, batch_tokens=batch_tokens)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, oracle, atol=1e-5)
    np.testing.assert_allclose(embed_passages(embseq, entries[::-1]), oracle[::-1], atol=1e-5)
    np.testing.assert_allclose(embed_passages(embseq, [entries[4]]), oracle[4:5], atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right", "both"])
@pytest.mark.parametrize("pooling", ["last_token", "mean"])
@pytest.mark.parametrize("kind", CAUSAL)
def test_padding_on_either_side_changes_no_vector(
    kind: str, pooling: Pooling, side: Literal["left", "right", "both"]
) -> None:
    embseq = embseq_of(kind, pooling)
    entries = passages(9)
    sequences = tokenize_passages(embseq.tokenizer, embseq.spec, entries)
    longest = max(len(ids) for ids in sequences) + 2
    ids = torch.full((len(sequences), longest), 5)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        free = longest - len(sequence)
        start = {"left": free, "right": 0, "both": free // 2}[side]
        ids[row, start : start + len(sequence)] = torch.tensor(sequence)
        mask[row, start : start + len(sequence)] = 1
    with torch.inference_mode():
        vectors = pool(sequence_states(embseq.model, ids, mask), mask, pooling)
    np.testing.assert_allclose(vectors.numpy(), one_by_one(embseq, entries), atol=1e-5)


def test_last_token_takes_the_last_real_state_and_mean_their_average() -> None:
    hidden = torch.arange(24.0).reshape(3, 4, 2)  # [b=3, s=4, d=2]
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]])
    assert pool(hidden, mask, "last_token").tolist() == [[6, 7], [10, 11], [22, 23]]
    assert pool(hidden, mask, "mean").tolist() == [[3, 4], [9, 10], [21, 22]]


def test_pooling_half_precision_states_gives_float32() -> None:
    hidden = torch.ones(1, 300, 4, dtype=torch.bfloat16)
    mask = torch.ones(1, 300, dtype=torch.long)
    for pooling in ("last_token", "mean"):
        pooled = pool(hidden, mask, pooling)
        assert pooled.dtype == torch.float32
        assert pooled.tolist() == [[1, 1, 1, 1]]


def test_cosine_rows_and_queries_have_unit_length_and_dot_ones_keep_theirs() -> None:
    entries = passages(6)
    lengths = np.linalg.norm(embed_passages(embseq_of("llama", similarity="cosine"), entries), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    dot = embseq_of("llama", similarity="dot").spec
    state = torch.tensor([3.0, 4.0], requires_grad=True)
    query = as_query(state, dot)
    assert query.dtype == np.float32
    assert query.tolist() == [3, 4]
    cosine = as_query(state.to(torch.bfloat16), dot.model_copy(update={"similarity": "cosine"}))
    assert cosine.dtype == np.float32
    np.testing.assert_allclose(cosine, [0.6, 0.8], atol=1e-6)


def test_no_passages_give_no_rows() -> None:
    vectors = embed_passages(embseq_of("llama"), [])
    assert vectors.dtype == np.float32
    assert vectors.shape == (0, 32)


def test_progress_is_told_in_passages() -> None:
    told: list[int] = []
    embed_passages(embseq_of("llama"), passages(10), batch_tokens=100, on_batch=told.append)
    assert sum(told) == 10
    assert len(told) > 1


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_what_stands_after_the_limit_changes_nothing(kind: str) -> None:
    embseq = embseq_of(kind, max_tokens=16)
    long = Passage(id="1", title="T", text=SENTENCE * 9)
    longer = Passage(id="2", title="T", text=SENTENCE * 9 + "Something else altogether.")
    tokens = tokenize_passages(embseq.tokenizer, embseq.spec, [long, longer])
    assert [len(ids) for ids in tokens] == [16, 16]
    vectors = embed_passages(embseq, [long, longer])
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_cutting_in_one_thread_and_encoding_in_another_do_not_mix() -> None:
    tokenizer = llama_tokenizer()
    spec = PairSpec(control=CONTROL, dimension=32, passage=PassageForm(max_tokens=16))
    long = Passage(id="1", text=SENTENCE * 20)
    whole = encode_text(tokenizer, long.text)

    def tokens(number: int) -> list[int]:
        return encode_text(tokenizer, long.text) if number % 2 else tokenize_passages(tokenizer, spec, [long])[0]

    with ThreadPoolExecutor(8) as threads:
        lengths = [len(ids) for ids in threads.map(tokens, range(300))]
    assert lengths == [16, len(whole)] * 150


def test_a_cut_passage_keeps_the_tokens_that_frame_it() -> None:
    tokenizer = bert_tokenizer()
    spec = PairSpec(control=CONTROL, dimension=32, passage=PassageForm(max_tokens=8))
    short, long = tokenize_passages(tokenizer, spec, [Passage(id="1", text="a"), Passage(id="2", text=SENTENCE * 3)])
    assert len(short) < len(long) == 8
    for ids in (short, long):
        assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)


ANY_TEXT = st.lists(st.sampled_from(LITERALS) | st.text(max_size=6), max_size=8).map("".join)
FRAMED = {make.__name__: make() for make in (llama_tokenizer, gpt2_tokenizer, bert_tokenizer, unigram_tokenizer)}
for each in FRAMED.values():
    add_control_tokens(each)


@pytest.mark.parametrize("kind", FRAMED)
@pytest.mark.parametrize("max_tokens", [8, 64])
@given(title=ANY_TEXT, text=ANY_TEXT)
@settings(deadline=None, max_examples=60)
def test_no_passage_gives_a_special_id_but_its_frame(kind: str, max_tokens: int, title: str, text: str) -> None:
    tokenizer = FRAMED[kind]
    spec = PairSpec(control=CONTROL, dimension=32, passage=PassageForm(max_tokens=max_tokens))
    ids = tokenize_passages(tokenizer, spec, [Passage(id="1", title=title, text=text + ".")])[0]
    framed = kind in {"bert_tokenizer", "unigram_tokenizer"}
    assert len(ids) <= max_tokens
    inner = ids[1:-1] if framed else ids
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id != tokenizer.eos_token_id else None
    assert (set(tokenizer.all_special_ids) - {unknown}).isdisjoint(inner)


def test_an_embseq_of_another_width_than_pair_json_says_is_refused() -> None:
    embseq = embseq_of("llama")
    embseq.spec = embseq.spec.model_copy(update={"dimension": 64})
    with pytest.raises(PairError, match=r"Embseq gives 32 dimensions, pair.json says 64"):
        embed_passages(embseq, passages(1))
