"""1x1 convolutions as products of matrices: the same answers from the same variables, and on a CPU a quicker step.

oneDNN, which computes TensorFlow's convolutions, takes longer for the gradient of such a kernel than for the product
that it is (benchmarks/RESULTS.md).
"""

from typing import Any

import keras

SAME_PLACE = (1, 1)


def with_products(network: keras.Model) -> keras.Model:
    """Return a functional network on the layers and variables of ``network``, its trained 1x1 convolutions as products.

    It answers the same but for rounding. ``network`` stays as it is, and is trained with what is returned, which is for
    training alone: it has no configuration.
    """

    def replaced(layer: keras.Layer) -> keras.Layer:
        return Product(layer) if _is_pointwise(layer) else layer

    return keras.models.clone_model(network, clone_function=replaced)


def _is_pointwise(layer: keras.Layer) -> bool:
    """Whether a layer is a plain 1x1 convolution that is trained; one that is not has no gradient to be saved."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.trainable
        and layer.kernel_size == layer.strides == layer.dilation_rate == SAME_PLACE
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


class Product(keras.layers.Layer):
    """Computes a 1x1 convolution as a product of matrices.

    Takes (batch, height, width, channels) of known height and width, and gives what the convolution gives.
    """

    def __init__(self, convolution: keras.layers.Conv2D) -> None:
        super().__init__(name=f"{convolution.name}.product", dtype=convolution.dtype_policy)
        self.convolution = convolution

    def call(self, inputs: Any) -> Any:
        """Multiply the channels of each place by the kernel, add the bias, activate."""
        ops = keras.ops
        _, height, width, channels = inputs.shape
        filters = self.convolution.filters
        kernel = ops.reshape(self.convolution.kernel, (channels, filters))
        answer = ops.matmul(ops.reshape(inputs, (-1, channels)), kernel)
        if self.convolution.use_bias:
            answer = ops.add(answer, self.convolution.bias)
        return ops.reshape(self.convolution.activation(answer), (-1, height, width, filters))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the shape and type of the convolution's answer."""
        return keras.KerasTensor((*inputs.shape[:-1], self.convolution.filters), dtype=self.compute_dtype)
