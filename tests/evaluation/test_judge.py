"""Judges: shared words, and real tiny models of both kinds from a folder."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, T5Config, T5ForConditionalGeneration

from evaluation.judge import LexicalJudge, NliJudge, judgements, open_judge
from semiparametric.errors import InputError
from tests.conftest import tiny_tokenizer

PAIRS = [
    ("The lamp is lit at dusk by the keeper of the tower.", "The keeper lights it."),
    ("The tide turns.", "The tide turns twice a day."),
    ("The wheel follows the tide.", "At dusk."),
]


def save_classifier(
    folder: Path, *, favoured: int | None = None, labels: tuple[str, ...] = ("CONTRADICTION", "ENTAILMENT")
) -> Path:
    """A random pair classifier; one that always says the same label where one is favoured."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        initializer_range=0.5,
    )
    model = BertForSequenceClassification(config)
    if favoured is not None:
        with torch.no_grad():
            model.classifier.weight.zero_()
            model.classifier.bias[favoured] = 1.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_by_words_a_sentence_follows_where_nearly_all_its_words_stand_in_the_passage() -> None:
    premise = "The lamp is lit at dusk. The keeper notes the weather."
    asked = [
        (premise, "The lamp is lit at dusk."),
        (premise, "The lamp is lit at noon."),  # four of five words: by words that is enough
        (premise, "The wheel turns at noon."),
        (premise, "..."),
    ]
    assert LexicalJudge().judge(asked) == [True, True, False, False]


def test_a_classifier_says_whether_its_likeliest_label_is_entailment(tmp_path: Path) -> None:
    always = NliJudge(save_classifier(tmp_path / "always", favoured=1))
    never = NliJudge(save_classifier(tmp_path / "never", favoured=0))
    assert always.judge(PAIRS) == [True] * 3
    assert never.judge(PAIRS) == [False] * 3


def test_pairs_judged_in_batches_have_the_judgements_of_each_alone(tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "nli")
    together, alone = NliJudge(folder, batch=8), NliJudge(folder, batch=1)
    pairs = [(first, second) for first, _ in PAIRS for _, second in PAIRS]
    assert together.judge(pairs) == [alone.judge([pair])[0] for pair in pairs]
    assert judgements(together, [*pairs, *pairs]) == dict(zip(pairs, together.judge(pairs), strict=True))


def test_a_classifier_reads_the_whole_hypothesis_of_a_passage_that_is_too_long(tmp_path: Path) -> None:
    judge = NliJudge(save_classifier(tmp_path / "nli", favoured=1))
    assert judge.judge([("A long passage. " * 100, "The end.")]) == [True]


def save_writer(folder: Path, written: str) -> Path:
    """A sequence-to-sequence model whose first token is always the same, and then the end."""
    tokenizer = tiny_tokenizer()
    config = T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    config.pad_token_id, config.eos_token_id, config.decoder_start_token_id = 0, 2, 0
    model = T5ForConditionalGeneration(config)
    # What the decoder reads decides alone, and embeddings are tied: padding calls for the token, the token for the end.
    with torch.no_grad():
        for parameter in model.decoder.block.parameters():
            parameter.zero_()
        model.shared.weight.zero_()
        model.shared.weight[0, 0] = 1.0
        model.shared.weight[tokenizer.convert_tokens_to_ids(written), :2] = torch.tensor([2.0, 1.0])
        model.shared.weight[2, 1] = 10.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_that_writes_says_yes_by_a_one(tmp_path: Path) -> None:
    assert NliJudge(save_writer(tmp_path / "yes", "1")).judge(PAIRS) == [True] * 3
    assert NliJudge(save_writer(tmp_path / "no", "0")).judge(PAIRS) == [False] * 3


def test_lexical_is_named_and_any_other_name_is_a_folder(tmp_path: Path) -> None:
    assert open_judge("lexical").suffix == "_lexical"
    assert open_judge(str(save_classifier(tmp_path / "nli"))).suffix == ""


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: there is no NLI model.*Give a Hugging Face folder.*or 'lexical'"):
        open_judge(str(tmp_path / "nowhere"))


def test_a_model_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "feelings", labels=("GLAD", "SAD"))
    with pytest.raises(InputError, match=r"labels \['GLAD', 'SAD'\] do not name one as entailment"):
        open_judge(str(folder))


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "nli")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        open_judge(str(folder))
