"""Virtual environments of other Pythons, made by the tests that need them and kept between runs."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class Unavailable(Exception):
    """The Python that an environment needs is not on this machine."""


@dataclass(frozen=True)
class Environment:
    """A Python version and what pip installs; ``alone`` without what they ask for, being too old."""

    python: str
    requirements: tuple[str, ...]
    alone: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return hashlib.sha256(
            "\n".join((self.python, *self.requirements, "--no-deps", *self.alone)).encode()
        ).hexdigest()[:12]


def environment(wanted: Environment) -> Path:
    """Return the Python of an environment that has ``wanted``; raise Unavailable where that Python is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainbox-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"python{wanted.python}-{wanted.key}"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once make it once
        if not (folder / "ready").is_file():
            _make(wanted, folder)
    return folder / "bin" / "python"


def _make(wanted: Environment, folder: Path) -> None:
    base = next(_pythons(wanted.python), None)
    if base is None:
        raise Unavailable(f"Python {wanted.python} with venv is neither on PATH nor below pyenv's root.")
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([base, "-m", "venv", folder], check=True, timeout=300)
    _install(folder, *wanted.requirements)
    if wanted.alone:
        _install(folder, "--no-deps", *wanted.alone)
    (folder / "ready").write_text("\n".join(wanted.requirements) + "\n")


def _install(folder: Path, *arguments: str) -> None:
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"pip could not install {' '.join(arguments)}: {done.stderr[-2000:]}")


def _pythons(version: str) -> Iterator[Path]:
    """Yield interpreters of that version that can make environments: on PATH, then below pyenv's root."""
    candidates = [
        Path(folder) / f"python{version}" for folder in os.environ.get("PATH", "").split(os.pathsep) if folder
    ]
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates += sorted(root.glob(f"versions/{version}.*/bin/python"), reverse=True)
    for candidate in candidates:
        if candidate.is_file() and _can_make_environments(candidate, version):
            yield candidate


def _can_make_environments(python: Path, version: str) -> bool:
    """A pyenv shim without that version, or a Debian Python without venv, only fails when it is run."""
    probe = "import ensurepip, venv, sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", probe], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode == 0 and done.stdout.strip() == version
