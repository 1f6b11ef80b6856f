"""`cosup keys create|revoke|list`: the keys of a service."""

import typer

from semiparametric.command import settings_command
from service.keys.settings import CreateKeySettings, KeyFileSettings, RevokeKeySettings

keys_app = typer.Typer(help="Make and revoke the keys of a service.", no_args_is_help=True)


@settings_command(
    keys_app,
    "create",
    CreateKeySettings,
    arguments=("name",),
    help="Make a key and print it, this once: the file keeps only its hash. A running service knows it a second later.",
)
def create(settings: CreateKeySettings) -> None:
    """The key alone goes to stdout, so that a script can take it."""
    from service.keys.key_file import create_key

    secret = create_key(
        settings.keys,
        settings.name,
        settings.indexes,
        admin=settings.admin,
        requests_per_minute=settings.requests_per_minute,
        concurrent_requests=settings.concurrent_requests,
    )
    typer.echo(f"{settings.keys}: the key {settings.name!r} is made. It is shown only now:", err=True)
    typer.echo(secret.get_secret_value())


@settings_command(
    keys_app,
    "revoke",
    RevokeKeySettings,
    arguments=("name",),
    help="Take a key back. A running service refuses it a second later.",
)
def revoke(settings: RevokeKeySettings) -> None:
    """Revoke and say so."""
    from service.keys.key_file import revoke_key

    revoke_key(settings.keys, settings.name)
    typer.echo(f"{settings.keys}: the key {settings.name!r} is revoked")


@settings_command(keys_app, "list", KeyFileSettings, help="List the keys, which cannot be shown, and what each may do.")
def list_(settings: KeyFileSettings) -> None:
    """One line a key."""
    from service.keys.key_file import read_keys

    typer.echo(f"{'name':<20} {'indexes':<30} {'admin':<5} {'per minute':>10} {'at a time':>9}  made")
    for key in read_keys(settings.keys):
        minute, at_a_time = (
            "any" if limit is None else limit for limit in (key.requests_per_minute, key.concurrent_requests)
        )
        made = key.created.isoformat(timespec="seconds")
        indexes, admin = ", ".join(key.indexes), "yes" if key.admin else "no"
        typer.echo(f"{key.name:<20} {indexes:<30} {admin:<5} {minute:>10} {at_a_time:>9}  {made}")
