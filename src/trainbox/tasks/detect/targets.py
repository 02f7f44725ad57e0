"""What the network should answer for a picture: its boxes told to the anchors that answer for them."""

from dataclasses import dataclass

import numpy as np

from trainbox.tasks.detect.coder import encode
from trainbox.tasks.detect.matcher import BACKGROUND, match


@dataclass(frozen=True)
class TargetAssigner:
    """Turns boxes into targets. ``anchors_cyxhw`` float32 (n, 4); ``classes`` is their number, background left out."""

    anchors_cyxhw: np.ndarray
    classes: int

    def __call__(self, boxes_yxyx: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (encodings, logits) targets of one picture.

        Encodings: float32 (n, 5), ty, tx, th, tw and 1 where the anchor matches a box. Logits: float32
        (n, classes + 1), one-hot with background first.
        """
        matched = match(boxes_yxyx, self._corners())
        found = matched != BACKGROUND
        encodings = np.zeros((len(matched), 5), np.float32)
        encodings[found, :4] = encode(boxes_yxyx[matched[found]], self.anchors_cyxhw[found])
        encodings[:, 4] = found
        logits = np.zeros((len(matched), self.classes + 1), np.float32)
        logits[np.arange(len(matched)), np.where(found, classes[matched] + 1 if len(classes) else 0, 0)] = 1
        return encodings, logits

    def _corners(self) -> np.ndarray:
        centres, halves = self.anchors_cyxhw[:, :2], self.anchors_cyxhw[:, 2:] / 2
        return np.concatenate([centres - halves, centres + halves], axis=-1)
