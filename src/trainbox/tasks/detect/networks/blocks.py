"""Convolution blocks of the MobileNets, named as TensorFlow 1 checkpoints name them.

A layer is called as its variables are in a checkpoint of the OD API, with "." for "/", which Keras does not allow in a
name. So reading a checkpoint is looking names up, not a table of correspondences.
"""

from dataclasses import dataclass

import keras

EPSILON = 0.001
MOMENTUM = 0.9997


@dataclass(frozen=True)
class Blocks:
    """What all convolutions of one network share: weight decay, batch norm or a bias in its place, and padding.

    ``tensorflow_2``: the backbone as the OD API's TensorFlow 2 builds it; another one where depth_multiplier is not 1.
    """

    weight_decay: float = 4e-5
    momentum: float = MOMENTUM
    batch_norm: bool = True
    explicit_padding: bool = False
    tensorflow_2: bool = False

    def regularizer(self) -> keras.Regularizer | None:
        """Return the L2 penalty; TensorFlow 1 halves the square, Keras does not."""
        return keras.regularizers.L2(self.weight_decay / 2) if self.weight_decay else None

    def normalise(self, x: keras.KerasTensor, name: str, activate: bool = True) -> keras.KerasTensor:
        """Apply batch norm, unless it is folded into the convolution, and relu6 where asked."""
        if self.batch_norm:
            x = keras.layers.BatchNormalization(epsilon=EPSILON, momentum=self.momentum, name=f"{name}.BatchNorm")(x)
        return keras.layers.ReLU(6.0, name=f"{name}.Relu6")(x) if activate else x

    def pad(self, x: keras.KerasTensor, kernel: int, stride: int, name: str) -> tuple[keras.KerasTensor, str]:
        """Return the convolution's input and its padding: TensorFlow's own adds more zeros behind than before."""
        if not self.explicit_padding or stride == 1 or kernel == 1:
            return x, "same"
        before = (kernel - 1) // 2
        sides = (before, kernel - 1 - before)
        return keras.layers.ZeroPadding2D((sides, sides), name=f"{name}.padding")(x), "valid"

    def conv(
        self, x: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str, activate: bool = True
    ) -> keras.KerasTensor:
        """Convolve, then batch norm."""
        x, padding = self.pad(x, kernel, stride, name)
        x = keras.layers.Conv2D(
            filters,
            kernel,
            stride,
            padding=padding,
            use_bias=not self.batch_norm,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.03),
            kernel_regularizer=self.regularizer(),
            dtype=_arithmetic(x, stride),
            name=name,
        )(x)
        return self.normalise(x, name, activate)

    def depthwise(self, x: keras.KerasTensor, kernel: int, stride: int, name: str) -> keras.KerasTensor:
        """Convolve each channel by itself, then batch norm and relu6."""
        x, padding = self.pad(x, kernel, stride, name)
        x = keras.layers.DepthwiseConv2D(
            kernel,
            stride,
            padding=padding,
            use_bias=not self.batch_norm,
            depthwise_initializer=keras.initializers.TruncatedNormal(stddev=0.03),
            dtype=_arithmetic(x, stride),
            name=name,
        )(x)
        return self.normalise(x, name)


def _arithmetic(x: keras.KerasTensor, stride: int) -> str | None:
    """Return float32 for a strided convolution of a single column, and elsewhere None: what training computes in.

    TensorFlow 2.21 on a CPU leaves parts of such a kernel's bfloat16 gradient unset: whatever was in memory.
    """
    return "float32" if stride > 1 and x.shape[2] == 1 else None
