"""What an image holds, as a CycloneDX bill of materials: ``python -m trainbox.container.bill FILE`` at its building.

Made of what the image itself knows: the metadata of its Python packages, and Debian's list of what is installed. It
says nothing of the time or the machine, so that the same image has the same bill.
"""

import json
import platform
import sys
from collections.abc import Iterator, Mapping
from email.parser import HeaderParser
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

from trainbox import __version__

LONGEST_LICENCE = 80
INSTALLED = "install ok installed"
_DEBIAN = Path("/var/lib/dpkg/status")
_SYSTEM = Path("/etc/os-release")


def bill(debian: Path = _DEBIAN, system: Path = _SYSTEM) -> dict[str, Any]:
    """Return the document; ``debian`` lists Debian's packages, and ``system`` says which Debian it is."""
    found = [_interpreter(), *map(_python, distributions()), *_packages(debian, system)]
    components = {component["purl"]: component for component in found}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "trainbox", "version": __version__}},
        "components": [components[purl] for purl in sorted(components)],
    }


def _interpreter() -> dict[str, Any]:
    version = platform.python_version()
    return _component("Python", version, f"pkg:generic/python@{version}", {"expression": "PSF-2.0"})


def _python(distribution: Distribution) -> dict[str, Any]:
    name, version = distribution.metadata["Name"], distribution.version
    purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"
    return _component(name, version, purl, _licence(distribution.metadata))


def _licence(metadata: PackageMetadata) -> dict[str, Any] | None:
    """Return what a package says of its licence: an expression, else a name, else the classifiers; None for nothing."""
    if "License-Expression" in metadata:
        return {"expression": metadata["License-Expression"]}
    named = metadata["License"].strip() if "License" in metadata else ""
    if named and len(named) <= LONGEST_LICENCE and "\n" not in named:
        return {"license": {"name": named}}
    told = [value.split(" :: ")[-1] for value in metadata.get_all("Classifier") or () if value.startswith("License ::")]
    return {"license": {"name": ", ".join(told)}} if told else None


def _packages(debian: Path, system: Path) -> Iterator[dict[str, Any]]:
    """Yield Debian's packages; nothing where the image is not made of any."""
    if not debian.is_file():
        return
    about = dict(line.split("=", 1) for line in system.read_text().splitlines() if "=" in line)
    release = {name: value.strip('"') for name, value in about.items()}
    origin = release.get("ID", "debian")
    for paragraph in debian.read_text(encoding="utf-8").split("\n\n"):
        package = HeaderParser().parsestr(paragraph)
        if package.get("Status") != INSTALLED:
            continue
        name, version = package["Package"], package["Version"]
        where = f"?arch={package['Architecture']}&distro={origin}-{release.get('VERSION_ID', 'unknown')}"
        yield _component(name, version, f"pkg:deb/{origin}/{quote(name)}@{quote(version)}{where}", None)


def _component(name: str, version: str, purl: str, licence: Mapping[str, Any] | None) -> dict[str, Any]:
    described = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return described | ({"licenses": [licence]} if licence else {})


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(bill(), indent=1) + "\n", encoding="utf-8")
