"""`cosup examples mine`: stands here because the lookups of a pair may use its index, which training does not know."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from semiparametric.command import settings_command
from training.examples.settings import MineSettings

if TYPE_CHECKING:
    from semiparametric.formats import Passage
    from training.mining.lookups import Searcher


def add_commands(app: typer.Typer) -> None:
    """Add `mine` to `cosup examples`."""

    @settings_command(
        app,
        "mine",
        MineSettings,
        help="Add hard negatives to examples: passages that BM25, or a trained pair, finds but that are not right.",
    )
    def examples_mine(settings: MineSettings) -> None:
        from training.mining.mine import mine

        mined = mine(settings, _indexed if settings.index else None)
        typer.echo(
            f"{settings.out}: {mined.num_examples} examples, {mined.num_negatives} negatives "
            f"of {mined.num_lookups} lookups"
        )
        if mined.num_short:
            typer.echo(
                f"{mined.num_short} lookups have fewer than {settings.negatives}: the other passages found are right "
                "too (see --depth and --allow-answers)",
                err=True,
            )


def _indexed(settings: MineSettings, passages: "Mapping[str, Passage]") -> "Searcher":
    """The pair's own index in place of vectors made anew."""
    from semiparametric.pair import read_spec
    from semiparametric.store.reader import Store
    from training.mining.mine import needed_pair
    from training.mining.pair import PairSearcher, pair_queries

    pair = needed_pair(settings)
    if settings.index is None:
        raise RuntimeError("no index is named")
    store = Store.open(settings.index, fingerprint=read_spec(pair).fingerprint)
    queries = pair_queries(
        pair,
        passages,
        batch_tokens=settings.batch_tokens,
        device=settings.device,
        dimension=store.manifest.index.dimension,
    )
    return PairSearcher(
        queries,
        lambda asked, top_k: [[store.passage(hit.row).id for hit in hits] for hits in store.search(asked, top_k)],
    )
