"""Checkpoints as SageMaker keeps them: restored at the start, copied to S3 all the while, deletions too."""

from pathlib import Path

from amazon.storage import Storage, split

IGNORED = ".sagemaker-ignore"


class CheckpointSync:
    """A folder of the container and its copy at an s3:// address."""

    def __init__(self, storage: Storage, address: str, folder: Path) -> None:
        self._storage, self._folder = storage, folder
        self._bucket, prefix = split(address)
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._stored: dict[str, tuple[int, int]] = {}

    def restore(self) -> None:
        """Bring what was stored into the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for key in self._storage.keys(self._bucket, self._prefix):
            path = self._folder / key.removeprefix(self._prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._storage.read(f"s3://{self._bucket}/{key}"))
            self._stored[key] = _stamp(path)

    def store(self) -> None:
        """Bring S3 to what the folder holds now; a file that goes meanwhile was not there."""
        found: dict[str, tuple[int, int]] = {}
        for path in sorted(self._folder.rglob("*")):
            key = f"{self._prefix}{path.relative_to(self._folder)}"
            try:
                if not path.is_file() or any(part.endswith(IGNORED) for part in path.relative_to(self._folder).parts):
                    continue
                found[key] = _stamp(path)
                if found[key] != self._stored.get(key):
                    self._storage.write(f"s3://{self._bucket}/{key}", path)
            except FileNotFoundError:
                found.pop(key, None)
        for key in self._stored.keys() - found:
            self._storage.client.delete_object(Bucket=self._bucket, Key=key)
        self._stored = found


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns
