"""`cosup corpus ...`: corpora made on the user's own machine."""

import typer

from index_builder.documents_settings import DocumentsCorpusSettings
from index_builder.python_docs.settings import PythonCorpusSettings
from semiparametric.command import settings_command

corpus_app = typer.Typer(
    help="Make a corpus from documents, or from what is installed on this machine.", no_args_is_help=True
)


@settings_command(
    corpus_app,
    "python",
    PythonCorpusSettings,
    help="Write the docstrings of Python's standard library, or of installed packages, as a corpus. "
    "Sources are parsed, never imported. Names that start with an underscore are left out unless --private.",
)
def corpus_python(settings: PythonCorpusSettings) -> None:
    """Make the corpus and say what it holds."""
    from index_builder.python_docs.corpus import build_corpus
    from semiparametric.errors import InputError
    from semiparametric.formats import write_jsonl

    if not settings.out.parent.is_dir():
        raise InputError(f"folder '{settings.out.parent}' does not exist", where="--out", remedy="Create it first")
    made = build_corpus(settings)
    count = write_jsonl(settings.out, made.passages)
    typer.echo(f"{settings.out}: {count} passages of {made.num_modules} modules")
    if made.unreadable:
        typer.echo(
            f"{len(made.unreadable)} source files left out, not readable as Python (see the log above)", err=True
        )


@settings_command(
    corpus_app,
    "documents",
    DocumentsCorpusSettings,
    help="Write documents as a corpus file to train with. With --pair they are split into the passages that "
    "`cosup index build` makes of them for that pair, else by words.",
)
def corpus_documents(settings: DocumentsCorpusSettings) -> None:
    """Make the corpus and say how many passages it has."""
    from index_builder.corpus import read_corpus
    from index_builder.reading import REJECTS, reading_of
    from index_builder.splitting import by_words
    from semiparametric.formats import write_jsonl

    splitter = by_words(settings.words, settings.overlap_words)
    if settings.pair is not None:
        from index_builder.pair_tokens import by_tokens  # loads torch

        splitter = by_tokens(settings.pair, settings.passage_tokens, settings.overlap_tokens)
    reading = reading_of(settings, splitter, settings.out.with_name(f"{settings.out.name.split('.')[0]}-{REJECTS}"))
    count = write_jsonl(settings.out, read_corpus(settings.documents, reading))
    told = [f"{count} passages", *(f"{number} {name.replace('_', ' ')}" for name, number in reading.counts.items())]
    typer.echo(f"{settings.out}: {', '.join(told)}")
