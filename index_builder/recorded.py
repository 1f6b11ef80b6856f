"""Going on with a build: the order that a served version's manifest records, with what a command says otherwise."""

import logging
from pathlib import Path
from typing import Any

from index_builder.order import Order
from index_builder.settings import BuildSettings
from semiparametric.errors import StoreError
from semiparametric.store import Manifest

logger = logging.getLogger(__name__)


def recorded_settings(manifest: Manifest, index: Path, **given: Any) -> BuildSettings:
    """The settings of the build that a version came from.

    Args:
        manifest: The version's.
        index: The index's folder, where it lies now.
        given: Settings that stand in place of the recorded ones; those that are None or empty do not.

    Raises:
        InputError: A setting is wrong.
        StoreError: The manifest does not record a build.
    """
    settings = manifest.build.settings
    if not {"pair", "corpus"} <= settings.keys():
        raise StoreError(
            f"version {manifest.version} does not say how it was built",
            where=str(index),
            remedy="Build it again with `cosup index build`",
        )
    unknown = sorted(settings.keys() - BuildSettings.model_fields.keys())
    if unknown:
        logger.warning("settings of an older Cosup are passed over: %s", ", ".join(unknown))
    known = {name: value for name, value in settings.items() if name not in unknown}
    told = {name: value for name, value in given.items() if value}
    return BuildSettings.resolve(known | {"out": index, "name": manifest.name} | told)


def recorded_order(manifest: Manifest, settings: BuildSettings, *, sources_only: bool = False) -> Order:
    """An order that goes on with a version, with its upserts and deletions unless told otherwise; errors as `Order`."""
    if sources_only:
        return Order.checked(settings)
    return Order.checked(settings, upserted=manifest.build.upserted, deleted=manifest.build.deleted)
