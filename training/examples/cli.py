"""`cosup examples ...`: question examples made from a corpus by rule."""

import typer

from semiparametric.command import settings_command
from training.examples.settings import PythonExamplesSettings

examples_app = typer.Typer(help="Make question examples for training and evaluation.", no_args_is_help=True)


@examples_app.callback()
def examples() -> None:
    """Keep `python` a subcommand although it is the only one."""


@settings_command(
    examples_app,
    "python",
    PythonExamplesSettings,
    help="Make questions with cited answers from a corpus of Python documentation, split so that test modules are "
    "never seen in training.",
)
def examples_python(settings: PythonExamplesSettings) -> None:
    """Write the splits and print how many examples of each task they hold."""
    from semiparametric.errors import InputError
    from semiparametric.formats import read_passages, write_jsonl
    from training.examples.build import build_examples, count_tasks

    if settings.out.exists() and not settings.out.is_dir():
        raise InputError(f"'{settings.out}' is a file, not a folder", where="--out", remedy="Name a folder")
    splits = build_examples(read_passages(settings.corpus), settings)
    settings.out.mkdir(parents=True, exist_ok=True)
    for name, made in splits.items():
        count = write_jsonl(settings.out / f"{name}.jsonl.gz", made)
        tasks = ", ".join(f"{task} {number}" for task, number in sorted(count_tasks(made).items()))
        typer.echo(f"{settings.out / f'{name}.jsonl.gz'}: {count} examples ({tasks})")
