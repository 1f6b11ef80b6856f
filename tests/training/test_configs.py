"""Every shipped config of `cosup train` parses: examples rot first, and users start from examples."""

from pathlib import Path

import pytest

from training.settings import TrainSettings

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_shipped_config_parses(path: Path) -> None:
    settings = TrainSettings.resolve({}, path)
    assert settings.pretrain.steps + settings.lookups.steps + settings.co_supervision.steps > 0
