"""Damage at random places: whatever the bytes, the data is read, or refused with a sentence."""

import zlib

import numpy as np
import pytest

from trainbox.errors import RefusedInput

ROUNDS = 60


def damaged(content, random):
    """Flip, cut, repeat or overwrite a piece of ``content``."""
    place = int(random.integers(len(content) + 1))
    length = int(random.integers(1, 20))
    piece = random.integers(0, 256, length, np.uint8).tobytes()
    words = (b"", piece, content[place : place + length] * 3, b"NaN", b"-1e999", b"[[[[", b"{}", b"null", b"\x00")
    word = words[int(random.integers(len(words)))]
    return content[:place] + word + content[place + int(random.integers(0, 20)) :]


FILES = {
    "voc": ("Annotations/1.xml", "Annotations/2.xml", "Annotations/3.xml"),
    "coco": ("instances.json",),
    "yolo": ("data.yaml", "labels/train/a.txt"),
    "records": ("data.record", "label_map.pbtxt"),
}


@pytest.mark.parametrize("writer", FILES)
def test_damaged_files_are_read_or_refused(make, read, tmp_path, writer):
    random = np.random.default_rng(zlib.crc32(writer.encode()))
    folder = getattr(make, writer)(tmp_path)
    whole = {name: (folder / name).read_bytes() for name in FILES[writer]}
    outcomes = set()
    for _ in range(ROUNDS):
        for name, content in whole.items():
            make.put(folder / name, damaged(content, random) if random.random() < 0.7 else content)
        try:
            data = read(folder)
        except RefusedInput as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
        else:
            outcomes.add("read")
            for image in data.images:
                boxes = image.boxes_yxyx
                assert np.isfinite(boxes).all() and ((boxes >= 0) & (boxes <= 1)).all()
                assert (boxes[:, 2:] > boxes[:, :2]).all() and (image.classes < len(data.labels)).all()
    assert outcomes == {"read", "refused"}
