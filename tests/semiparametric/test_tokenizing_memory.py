"""Passages become tokens in little memory, though a tokenizer keeps much of all that it is given at once."""

import subprocess
import sys

READ = """
import sys
from semiparametric.control import ControlTokens
from semiparametric.embedding import tokenize_rendered
from semiparametric.spec import PairSpec, PassageForm
from tests.memory import kib
from tests.semiparametric.tokenizer_kinds import llama_tokenizer

spec = PairSpec(control=ControlTokens(ret=1, cs=2, ce=3), dimension=32, passage=PassageForm(max_tokens=32))
tokenizer = llama_tokenizer()
sentence = "The keeper trims the lamp at dusk " + "and writes it down, " * 60
texts = [f"{number} {sentence}" for number in range(int(sys.argv[1]))]
tokenize_rendered(tokenizer, spec, texts[:64])
before = kib("VmHWM")
tokens = tokenize_rendered(tokenizer, spec, texts)
if tokens.cut != len(texts) or {len(row) for row in tokens.rows} != {32}:
    raise SystemExit("the texts were not cut")
print((kib("VmHWM") - before) // 1024)
"""


def taken(texts: int) -> int:
    """The MiB that so many long passages take at the most, in a process of their own."""
    command = [sys.executable, "-c", READ, str(texts)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_shard_of_long_passages_takes_hardly_more_than_a_few_of_them() -> None:
    assert taken(4096) < 100  # MiB: given all at once they take over 200
