"""A network that computes as its 8-bit file will: what rounding takes away can then be trained back.

As TensorFlow Lite rounds (its quantization specification): kernels channel by channel between the same number below and
above zero, what a layer gives as a whole, from least to most. Gradients pass as if nothing were rounded, except beyond
those ends. (Jacob et al., 2018.)
"""

from typing import Any

import keras

LEAST_RANGE = 1e-6
"""A range of nothing has no scale: a channel of zeros is rounded as if it held this."""
COMPUTING = (
    keras.layers.Add,
    keras.layers.Concatenate,
    keras.layers.Conv2D,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
    keras.layers.ReLU,
)
"""Layers whose answers an integer file holds as integers of their own scale; others pass theirs on."""


def rounded_copy(network: keras.Model) -> keras.Model:
    """Return a functional network of the same layers and weights whose kernels and answers are rounded to 8 bits.

    It computes in float32, whatever ``network`` does: bfloat16 is as coarse as what is to be learned here. An answer
    that goes into a ReLU is rounded behind it, where the file's operator ends. Batch norm must be folded before. All
    answers are 0 until the copy was called with ``training``: they are held to what was seen there.
    """
    activated = {id(layer.input) for layer in network.layers if isinstance(layer, keras.layers.ReLU)}
    rounded = {
        layer.name for layer in network.layers if isinstance(layer, COMPUTING) and id(layer.output) not in activated
    }

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        answer = layer(*args, **kwargs)
        return Rounded(name=f"{layer.name}.rounded", dtype="float32")(answer) if layer.name in rounded else answer

    copy = keras.models.clone_model(network, clone_function=_with_rounded_kernel, call_function=call)
    take_weights(copy, network)
    return copy


def take_weights(network: keras.Model, source: keras.Model) -> None:
    """Fill a network with the weights of another, layer by layer, found by name: a rounded copy's, or for one."""
    for layer in network.layers:
        if layer.weights and not isinstance(layer, Rounded):
            layer.set_weights(source.get_layer(layer.name).get_weights())


class Rounded(keras.layers.Layer):
    """Rounds to 256 values between the least and the most that it was given in training; any shape, the same returned.

    The converter takes them from all representative examples: the ends of one batch alone would be nearer, and its
    steps finer, than the file's. They only move apart, so a copy is made anew once the weights have moved.
    """

    def build(self, input_shape: Any) -> None:
        """Add the ends, which lie around 0."""
        self.low = self.add_weight(shape=(), initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(shape=(), initializer="zeros", trainable=False, name="high")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the inputs, rounded; 0 stays 0. Beyond the ends they become the ends."""
        if training:
            given = keras.ops.stop_gradient(inputs)
            self.low.assign(keras.ops.minimum(self.low, keras.ops.min(given)))
            self.high.assign(keras.ops.maximum(self.high, keras.ops.max(given)))
        high = keras.ops.maximum(self.high, LEAST_RANGE)
        return keras.quantizers.fake_quant_with_min_max_vars(inputs, self.low, high)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the shape and type of the inputs."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)


def rounded_kernel(kernel: Any, channels: int | None) -> Any:
    """Return a kernel rounded to 255 values, for each channel of the axis ``channels``, or as a whole where None."""
    ops, rounded = keras.ops, keras.quantizers.fake_quant_with_min_max_vars
    if channels is None:
        most = ops.stop_gradient(ops.maximum(ops.max(ops.abs(kernel)), LEAST_RANGE))
        return rounded(kernel, -most, most, narrow_range=True)
    # Keras takes the ends for those of the last axis, whatever axis it is told, unless it runs on TensorFlow.
    last = ops.swapaxes(kernel, channels, -1)
    most = ops.max(ops.abs(last), axis=tuple(range(len(last.shape) - 1)))
    most = ops.stop_gradient(ops.maximum(most, LEAST_RANGE))
    return ops.swapaxes(rounded(last, -most, most, narrow_range=True, axis=-1), channels, -1)


class RoundedConv2D(keras.layers.Conv2D):
    """A convolution with its kernel rounded for each channel that it gives."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with the rounded kernel."""
        return super().convolution_op(inputs, rounded_kernel(kernel, channels=3))


class RoundedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A depthwise convolution, of depth multiplier 1, with its kernel rounded for each channel."""

    def call(self, inputs: Any) -> Any:
        """Convolve each channel with its rounded kernel."""
        answer = keras.ops.depthwise_conv(
            inputs,
            rounded_kernel(self.kernel, channels=2),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
        )
        return self.activation(answer + self.bias if self.use_bias else answer)


class RoundedDense(keras.layers.Dense):
    """A dense layer with its kernel rounded as a whole, as the files have it."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Multiply by the rounded kernel."""
        answer = keras.ops.matmul(inputs, rounded_kernel(self.kernel, channels=None))
        return self.activation(answer + self.bias if self.use_bias else answer)


ROUNDED_KINDS: dict[type[keras.Layer], type[keras.Layer]] = {
    keras.layers.Conv2D: RoundedConv2D,
    keras.layers.DepthwiseConv2D: RoundedDepthwiseConv2D,
    keras.layers.Dense: RoundedDense,
}


def _with_rounded_kernel(layer: keras.Layer) -> keras.Layer:
    kind, config = ROUNDED_KINDS.get(type(layer), type(layer)), layer.get_config()
    return kind.from_config({name: "float32" if name == "dtype" else value for name, value in config.items()})
