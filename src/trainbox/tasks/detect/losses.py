"""SSD's losses on keras.ops: classification with hard mining or focal weighting, and smooth L1 for the boxes.

Targets of both losses carry a weight in the last column, so that each stays a plain Keras loss of two tensors.
Sources: W. Liu et al., "SSD" (2016), section 2.2; T. Lin et al., "Focal Loss" (2017); the OD API's ``losses.py``.
"""

from dataclasses import dataclass
from typing import Literal

from keras import KerasTensor, ops


@dataclass(frozen=True)
class ClassificationLoss:
    """Sigmoid cross-entropy over classes and background, normalised by the number of matched anchors.

    ``targets``: float32 (batch, n, classes + 1), one-hot, background first. ``logits``: the same shape.
    ``background_as_zeros`` wants no class of the background, not even its own.
    """

    kind: Literal["hard_mining", "focal"] = "hard_mining"
    negatives_per_positive: float = 3.0
    least_negatives: int = 0
    focal_alpha: float | None = 0.75
    focal_gamma: float = 2.0
    background_as_zeros: bool = False

    def __call__(self, targets: KerasTensor, logits: KerasTensor) -> KerasTensor:
        """Return the batch's loss, a scalar."""
        positive = 1.0 - targets[..., 0]
        normaliser = ops.maximum(ops.sum(positive), 1.0)
        if self.background_as_zeros:
            targets = ops.concatenate([ops.zeros_like(targets[..., :1]), targets[..., 1:]], axis=-1)
        entropy = ops.maximum(logits, 0) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))
        if self.kind == "focal":
            return ops.sum(entropy * self._focus(targets, logits)) / normaliser
        by_anchor = ops.sum(entropy, axis=-1)
        return ops.sum(by_anchor * self._mined(positive, by_anchor)) / normaliser

    def _focus(self, targets: KerasTensor, logits: KerasTensor) -> KerasTensor:
        probability = ops.sigmoid(logits)
        wrongness = targets * (1 - probability) + (1 - targets) * probability
        if self.focal_alpha is None:
            return wrongness**self.focal_gamma
        alpha = targets * self.focal_alpha + (1 - targets) * (1 - self.focal_alpha)
        return alpha * wrongness**self.focal_gamma

    def _mined(self, positive: KerasTensor, by_anchor: KerasTensor) -> KerasTensor:
        """Return 1 for the matched anchors and for the worst of the others, by image."""
        negative_loss = ops.where(positive > 0, -1.0, by_anchor)
        rank = ops.argsort(ops.argsort(-negative_loss, axis=-1), axis=-1)
        wanted = ops.maximum(ops.sum(positive, axis=-1) * self.negatives_per_positive, self.least_negatives)
        chosen = ops.cast(ops.cast(rank, "float32") < wanted[:, None], "float32") * (1.0 - positive)
        return ops.stop_gradient(positive + chosen)


@dataclass(frozen=True)
class LocalisationLoss:
    """Smooth L1, quadratic below ``corner`` and straight above, over matched anchors, normalised by their number.

    ``targets``: float32 (batch, n, 5): ty, tx, th, tw and 1 for a matched anchor. ``encodings``: (batch, n, 4).
    """

    by_code_size: bool = False
    corner: float = 1.0

    def __call__(self, targets: KerasTensor, encodings: KerasTensor) -> KerasTensor:
        """Return the batch's loss, a scalar."""
        weights = targets[..., 4]
        distance = ops.abs(targets[..., :4] - encodings)
        smooth = ops.where(distance < self.corner, 0.5 * distance**2, self.corner * (distance - 0.5 * self.corner))
        loss = ops.sum(ops.sum(smooth, axis=-1) * weights) / ops.maximum(ops.sum(weights), 1.0)
        return loss / 4 if self.by_code_size else loss
