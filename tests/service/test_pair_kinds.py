"""Answers and lookups of pairs that project, look up with text, or are served with fewer dimensions."""

import asyncio
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from semiparametric.errors import InputError, PairError, StoreError
from semiparametric.pair import Gen, load_gen
from semiparametric.query_text import QueryEncoder, load_query_encoder
from semiparametric.store import Store
from service.decoding.answer import Answer
from service.decoding.events import DoneEvent
from service.decoding.generation import generate, retrieve
from service.decoding.lookup import TextEncoder
from service.decoding.request import GenerationRequest
from service.engines.transformers import TransformersEngine
from service.preflight import check_models
from service.settings import ModelSettings
from tests.pair_kinds import KINDS, Kind, save_pair_of
from tests.service.lively import enliven
from tests.service.naive import answered_naively
from tests.service.running import running_app, running_engine
from tests.small_index import PASSAGES, build_small_index

QUESTIONS = [f"What does the {word} do?" for word in ("lamp", "灯台", "wheel", "[Ret]")]
SIZES = {"full": None, "cut": 8}


def naive_query(
    pair: Path, gen: Gen, encoder: QueryEncoder | None, dimension: int, ids: list[int], text: str
) -> NDArray[np.float32]:
    """The oracle of a query: the state at `[Ret]` or the text so far, projected and cut, each step by its formula."""
    with torch.no_grad():
        if encoder is None:
            output = gen.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
            vector: Tensor = output.hidden_states[-1][0, -1]
        else:
            tokenizer = encoder.encoder.tokenizer
            tokens = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
            tokens = tokens[-gen.spec.passage.max_tokens :]
            vector = encoder.encoder.model(input_ids=torch.tensor([tokens])).last_hidden_state[0].mean(0)
    if gen.spec.projection is not None and gen.spec.projection.query:
        vector = load_file(pair / "projection.safetensors")["query.weight"] @ vector
    query: NDArray[np.float32] = vector.numpy()[:dimension]
    return query / np.linalg.norm(query)


async def answer_of(
    engine: TransformersEngine, store: Store, gen: Gen, request: GenerationRequest, encoder: TextEncoder | None
) -> Answer:
    events = [event async for event in generate(engine, store, gen.codec, request, encoder)]
    assert isinstance(events[-1], DoneEvent)
    return events[-1].answer


def encoder_of(pair: Path, gen: Gen) -> QueryEncoder | None:
    return load_query_encoder(pair) if gen.spec.query == "text" else None


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
async def test_answers_of_every_kind_of_pair_equal_a_full_recomputation(tmp_path: Path, kind: Kind, size: str) -> None:
    pair = tmp_path / "pair"
    save_pair_of(pair, kind)
    index = build_small_index(pair, tmp_path / "index", dimension=SIZES[size])
    gen = enliven(load_gen(pair))
    encoder = encoder_of(pair, gen)
    requests = [
        GenerationRequest(question, retrieval="first", max_retrievals=3, max_new_tokens=30) for question in QUESTIONS
    ]
    with Store.open(index) as store:
        assert store.dimension == (SIZES[size] or gen.spec.dimension)
        async with running_engine(gen) as engine:
            answers = await asyncio.gather(*(answer_of(engine, store, gen, request, encoder) for request in requests))
        query_of = partial(naive_query, pair, gen, encoder, store.dimension)
        for answer, request in zip(answers, requests, strict=True):
            text, used = answered_naively(gen, store, request, query_of)
            assert [passage.passage.id for passage in answer.passages] == used
            assert answer.text.replace("\ufffd", "") == text.replace("\ufffd", "")
    assert max(answer.usage.retrievals for answer in answers) > 1  # a query was made in the middle of an answer


@pytest.mark.parametrize("kind", ["projected", "shared", "text", "dual_projected"])
async def test_the_service_looks_up_and_answers_with_every_kind_of_pair(tmp_path: Path, kind: Kind) -> None:
    pair = tmp_path / "pair"
    save_pair_of(pair, kind)
    index = build_small_index(pair, tmp_path / "index", dimension=4)
    gen = load_gen(pair)
    encoder = encoder_of(pair, gen)
    question = QUESTIONS[0]
    query = naive_query(pair, gen, encoder, 4, [*gen.codec.prompt(question), gen.spec.control.ret], question)
    with Store.open(index) as store:
        expected = [(store.passage(hit.row).id, hit.score) for hit in store.search(query[None], 4)[0]]
    async with running_app(pair=pair, index=index) as client:
        found = (await client.post("/retrieve", json={"query": question, "top_k": 4})).json()["passages"]
        answer = (await client.post("/generate", json={"question": question, "retrieval": "first"})).json()
    assert [passage["id"] for passage in found] == [name for name, _ in expected]
    np.testing.assert_allclose([passage["score"] for passage in found], [score for _, score in expected], atol=1e-5)
    assert answer["passages"][0]["id"] == expected[0][0]
    np.testing.assert_allclose(answer["passages"][0]["score"], expected[0][1], atol=1e-5)


class SlowEncoder:
    """A query encoder that waits until it is let go, and remembers its texts."""

    def __init__(self, encoder: QueryEncoder) -> None:
        self.encoder = encoder
        self.let_go = threading.Event()
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.let_go.wait(30)
        self.texts += texts
        return self.encoder.encode(texts)


async def test_encoding_a_query_holds_up_no_other_answer(tmp_path: Path) -> None:
    pair = tmp_path / "pair"
    save_pair_of(pair, "dual")
    index = build_small_index(pair, tmp_path / "index")
    gen, slow = load_gen(pair), SlowEncoder(load_query_encoder(pair))
    with Store.open(index) as store:
        async with running_engine(gen) as engine:
            first = GenerationRequest("Q", retrieval="first", max_new_tokens=3)
            waiting = asyncio.create_task(answer_of(engine, store, gen, first, slow))
            other = GenerationRequest("Q", retrieval="never", max_new_tokens=3)
            assert (await answer_of(engine, store, gen, other, slow)).usage.completion_tokens
            assert not waiting.done()
            slow.let_go.set()
            assert (await waiting).passages
            assert slow.texts == ["Q"]
            await retrieve(engine, store, gen.codec, "What [Ret]?", 1, None, slow)
            assert slow.texts == ["Q", "What [Ret]?"]


async def test_a_text_query_without_its_encoder_and_an_encoder_without_text_queries_are_refused(tmp_path: Path) -> None:
    save_pair_of(tmp_path / "text", "text")
    save_pair_of(tmp_path / "state", "plain")
    index = build_small_index(tmp_path / "text", tmp_path / "index")
    request = GenerationRequest("Q", retrieval="first")
    encoder = load_query_encoder(tmp_path / "text")
    with Store.open(index) as store:
        for pair, given, said in (
            ("text", None, "the pair's query, 'text', needs a query encoder"),
            ("state", encoder, "the pair's query, 'state', is no text, so it takes no query encoder"),
        ):
            gen = load_gen(tmp_path / pair)
            engine = TransformersEngine(gen)
            with pytest.raises(PairError, match=said):
                await answer_of(engine, store, gen, request, given)
            with pytest.raises(PairError, match=said):
                await retrieve(engine, store, gen.codec, "Q", 1, None, given)


@pytest.mark.bad_input
async def test_an_index_of_dimensions_that_the_pair_was_not_trained_for_is_not_served(tmp_path: Path) -> None:
    pair = tmp_path / "pair"
    save_pair_of(pair, "plain")
    index = build_small_index(pair, tmp_path / "index", dimension=5)
    with pytest.raises(InputError, match=r"index: the pair was not trained to serve with its 5 leading dimensions"):
        check_models(ModelSettings(pair=pair, index=index))
    with pytest.raises(StoreError, match=r"was not trained to serve with its 5 leading dimensions alone"):
        async with running_app(pair=pair, index=index):
            pass


def test_the_small_index_keeps_the_leading_dimensions_asked_for(tmp_path: Path) -> None:
    save_pair_of(tmp_path / "pair", "plain")
    with Store.open(build_small_index(tmp_path / "pair", tmp_path / "index", dimension=8)) as store:
        assert (store.dimension, store.manifest.index.dimension, len(store)) == (8, 8, len(PASSAGES))
