"""Writing settings: what else stands in trainbox.toml stays."""

from pathlib import Path

import pytest

from trainbox.errors import UsageError
from trainbox.platforms.settings import Settings, keep


def test_comments_and_other_settings_stay(tmp_path: Path) -> None:
    path = tmp_path / "trainbox.toml"
    path.write_text('# Top\n\n[sagemaker]\nregion = "eu-west-1" # near\n# Who pays\n[sagemaker.tags]\nteam = "cars"\n')
    path.chmod(0o640)
    keep({"image": "repo@sha256:0a", "subnets": ("subnet-1",), "tags": {"team": "cars"}}, path)
    settings = Settings.read(path).sagemaker
    assert (settings.region, settings.image, settings.subnets) == ("eu-west-1", "repo@sha256:0a", ("subnet-1",))
    assert settings.tags == {"team": "cars"}
    text = path.read_text()
    assert '# Top\n\n[sagemaker]\nregion = "eu-west-1" # near\n' in text
    assert "# Who pays\n" in text and '[sagemaker.tags]\nteam = "cars"\n' in text
    assert path.stat().st_mode & 0o777 == 0o640 and list(tmp_path.iterdir()) == [path]


def test_a_file_is_made(tmp_path: Path) -> None:
    keep({"region": 'eu"west'}, tmp_path / "trainbox.toml")
    assert Settings.read(tmp_path / "trainbox.toml").sagemaker.region == 'eu"west'


def test_what_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "trainbox.toml"
    path.write_text("[sagemaker\n")
    with pytest.raises(UsageError, match="is no TOML"):
        keep({"region": "eu-west-1"}, path)
    assert path.read_text() == "[sagemaker\n"
    with pytest.raises(UsageError, match="cannot be written"):
        keep({"region": "eu-west-1"}, tmp_path / "nowhere/trainbox.toml")
