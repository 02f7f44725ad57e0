"""The bill of materials: what is installed, in a document that CycloneDX's own schema accepts."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from trainbox.container.bill import bill

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u14
Description: GNU C Library
 with a second line

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: bash
Status: install ok installed
Architecture: amd64
Version: 1:5.2~rc+b1
"""


@pytest.fixture
def debian(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "os-release").write_text('NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n')
    return {"debian": tmp_path / "status", "system": tmp_path / "os-release"}


def test_it_lists_python_packages_with_version_and_licence(tmp_path: Path) -> None:
    listed = {component["purl"]: component for component in bill(debian=tmp_path / "none")["components"]}
    numpy = listed[f"pkg:pypi/numpy@{version('numpy')}"]
    assert "BSD" in json.dumps(numpy["licenses"])
    assert f"pkg:pypi/trainbox@{version('trainbox')}" in listed
    assert all(component["licenses"] for purl, component in listed.items() if purl.startswith("pkg:pypi/py"))


def test_it_lists_what_debian_has_installed(debian: dict[str, Path]) -> None:
    purls = [component["purl"] for component in bill(**debian)["components"]]
    assert [purl for purl in purls if purl.startswith("pkg:deb")] == [
        "pkg:deb/debian/bash@1%3A5.2~rc%2Bb1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12",
    ]


def test_the_schema_of_cyclonedx_accepts_it(debian: dict[str, Path]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bill(**debian))) is None
    broken = bill(**debian)
    broken["components"][0].pop("name")
    assert validator.validate_str(json.dumps(broken)) is not None


def test_the_same_image_has_the_same_bill(debian: dict[str, Path]) -> None:
    assert bill(**debian) == bill(**debian)
