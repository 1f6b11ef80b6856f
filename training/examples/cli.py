"""`cosup examples ...`: question examples made from a corpus by rule, or converted from other formats."""

from typing import TYPE_CHECKING

import typer

from semiparametric.command import settings_command
from training.examples.settings import ConvertSettings, FromCorpusSettings, PythonExamplesSettings

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from semiparametric.formats import Example

examples_app = typer.Typer(help="Make question examples for training and evaluation.", no_args_is_help=True)


@settings_command(
    examples_app,
    "python",
    PythonExamplesSettings,
    help="Make questions with cited answers from a corpus of Python documentation, split so that test modules are "
    "never seen in training.",
)
def examples_python(settings: PythonExamplesSettings) -> None:
    """Write the splits and print how many examples of each task they hold."""
    from semiparametric.formats import read_passages
    from training.examples.build import build_examples

    _refuse_a_file(settings.out)
    _write_splits(build_examples(read_passages(settings.corpus), settings), settings.out)


@settings_command(
    examples_app,
    "convert",
    ConvertSettings,
    help="Convert question sets of other formats, with the passages that they carry.",
)
def examples_convert(settings: ConvertSettings) -> None:
    """Write examples and corpus, and print what they hold and what was left out."""
    from training.examples.convert import convert

    conversion = convert(settings)
    for written in conversion.examples:
        typer.echo(f"{written.path}: {written.tasks.total()} examples ({_listed(written.tasks)})")
        if written.left_out:
            typer.echo(f"{written.path}: {written.left_out.total()} left out ({_listed(written.left_out)})", err=True)
    if conversion.corpus:
        typer.echo(f"{conversion.corpus}: {conversion.num_passages} passages")


@settings_command(
    examples_app,
    "from-corpus",
    FromCorpusSettings,
    help="Make examples of documents alone: titles and sentences that lead to their passages, passages that lead on to "
    "the next.",
)
def examples_from_documents(settings: FromCorpusSettings) -> None:
    """Write the splits and print how many examples of each task they hold."""
    from training.examples.from_corpus import examples_from_corpus

    _refuse_a_file(settings.out)
    _write_splits(examples_from_corpus(settings), settings.out)


def _refuse_a_file(out: "Path") -> None:
    from semiparametric.errors import InputError

    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file, not a folder", where="--out", remedy="Name a folder")


def _write_splits(splits: "Mapping[str, Sequence[Example]]", out: "Path") -> None:
    from semiparametric.formats import write_jsonl
    from training.examples.build import count_tasks

    out.mkdir(parents=True, exist_ok=True)
    for name, made in splits.items():
        count = write_jsonl(out / f"{name}.jsonl.gz", made)
        typer.echo(f"{out / f'{name}.jsonl.gz'}: {count} examples ({_listed(count_tasks(made))})")


def _listed(counts: "Counter[str]") -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
