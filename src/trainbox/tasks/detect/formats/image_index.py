"""Which image an annotation means: looked up by name near the annotation, since paths in it are of other machines."""

import posixpath
from collections.abc import Sequence
from urllib.parse import unquote

from trainbox.data.files import FileReference, FileTree

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


class ImageIndex:
    """Every image file of some trees, found by its name or by its name without the ending."""

    def __init__(self, trees: Sequence[FileTree]) -> None:
        self._by_name: dict[str, list[FileReference]] = {}
        self._by_stem: dict[str, list[FileReference]] = {}
        self.images = [FileReference(tree, name) for tree in trees for name in tree.names() if is_image_name(name)]
        for image in self.images:
            base = posixpath.basename(image.name).casefold()
            self._by_name.setdefault(base, []).append(image)
            self._by_stem.setdefault(_stem(base), []).append(image)

    def find(self, file_name: str, near: FileReference) -> FileReference | None:
        """Return the image that ``file_name``, written in the file ``near``, means; None where there is none.

        Of several files of that name the one is meant whose path agrees most with the path that is written, then the
        one nearest to the annotation.
        """
        written = file_name.replace("\\", "/").strip()
        base = posixpath.basename(written).casefold()
        found = self._by_name.get(base) or self._by_name.get(unquote(base)) or self._by_stem.get(_stem(base), [])
        return self._nearest(found, written, near)

    def find_stem(self, stem: str, near: FileReference, ending: str = "") -> FileReference | None:
        """Return the image called ``stem`` with any ending; ``ending`` is preferred (lower case, with its dot)."""
        found = self._by_stem.get(posixpath.basename(stem).casefold(), [])
        same = [image for image in found if image.name.lower().endswith(ending)]
        return self._nearest(same or found, stem, near)

    def _nearest(self, found: Sequence[FileReference], written: str, near: FileReference) -> FileReference | None:
        if len(found) < 2:
            return found[0] if found else None
        place = posixpath.join(posixpath.dirname(near.name), "x").split("/")
        wanted = written.casefold().split("/")[::-1]

        def fit(image: FileReference) -> tuple[int, bool, int, int]:
            parts = image.name.casefold().split("/")
            return (
                _shared(wanted[1:], parts[-2::-1]),
                image.tree is near.tree,
                _shared(place, image.name.split("/")),
                -len(parts),
            )

        return max(found, key=fit)


def is_image_name(name: str) -> bool:
    """Tell whether a name ends as an image's does."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def _stem(base: str) -> str:
    return base.rsplit(".", 1)[0] if is_image_name(base) else base


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many leading parts two paths have in common."""
    return next(
        (place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other),
        min(len(first), len(second)),
    )
