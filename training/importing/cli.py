"""`cosup pair ...`."""

import typer

from semiparametric.command import settings_command
from training.importing.settings import ImportSettings, InfoSettings

pair_app = typer.Typer(help="Import and inspect pairs.", no_args_is_help=True)


@settings_command(
    pair_app,
    "import",
    ImportSettings,
    help="Make a pair of two checkpoints in the layout of the paper's authors. Weights may be safetensors or PyTorch "
    ".bin files; of the latter nothing but tensors is loaded, and safetensors are written.",
)
def pair_import(settings: ImportSettings) -> None:
    """Import, and say where the pair is and what it was taken to be."""
    from training.importing.build import import_pair

    spec = import_pair(settings)
    typer.echo(f"The pair is in {settings.out}: {spec.dimension} dimensions, {spec.pooling}, {spec.control}")


@settings_command(
    pair_app,
    "info",
    InfoSettings,
    arguments=("pair",),
    help="What a pair says about itself, its size, and whether its fingerprint is that of its files.",
)
def pair_info(settings: InfoSettings) -> None:
    """Print the description first, so that it is seen even of a pair whose fingerprint is refused."""
    from training.importing.info import check_fingerprint, describe

    for name, value in describe(settings.pair):
        typer.echo(f"{name:<34} {value}")
    typer.echo(f"{'fingerprint':<34} {check_fingerprint(settings.pair)} (that of its files)")
