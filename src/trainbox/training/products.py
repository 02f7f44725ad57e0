"""1x1 convolutions as products of matrices: the same answers from the same variables, and on a CPU a quicker step.

oneDNN, which computes TensorFlow's convolutions, takes up to twice as long for the gradient of such a kernel as for the
product that it is (ARCHITECTURE.md).
"""

from collections import Counter
from typing import Any

import keras

SAME_PLACE = (1, 1)


def with_products(network: keras.Model) -> keras.Model:
    """Return a functional network on the layers and variables of ``network``, its trained 1x1 convolutions as products.

    A ReLU behind such a convolution is computed with it, where nothing else reads what is between the two. ``network``
    stays as it is, and is trained with what is returned.
    """
    readers = _readers(network)
    activations = {
        id(layer.input): layer
        for layer in network.layers
        if isinstance(layer, keras.layers.ReLU) and readers[id(layer.input)] == 1
    }
    products: dict[int, Product] = {}
    for layer in network.layers:
        if _is_pointwise(layer):
            products[id(layer)] = Product(layer, activations.get(id(layer.output)))
    done = {id(product.activation) for product in products.values()}

    def replaced(layer: keras.Layer) -> keras.Layer:
        if id(layer) in done:
            return keras.layers.Identity(name=f"{layer.name}.done", dtype=layer.dtype_policy)
        return products.get(id(layer), layer)

    return keras.models.clone_model(network, clone_function=replaced)


def _readers(network: keras.Model) -> Counter[int]:
    """Count what reads each answer, by its id: layers, and whoever asks the network."""
    read = [keras.tree.flatten(layer.input) for layer in network.layers]
    return Counter(id(answer) for answers in [*read, network.outputs] for answer in answers)


def _is_pointwise(layer: keras.Layer) -> bool:
    """Whether a layer is a plain 1x1 convolution that is trained: forwards alone, oneDNN's are as quick."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.trainable
        and layer.kernel_size == layer.strides == layer.dilation_rate == SAME_PLACE
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


class Product(keras.layers.Layer):
    """Computes a 1x1 convolution, and the ReLU behind it where given, as a product of matrices.

    Takes (batch, height, width, channels) of known height and width, and gives what the convolution gives.
    """

    def __init__(self, convolution: keras.layers.Conv2D, activation: keras.layers.ReLU | None) -> None:
        super().__init__(name=f"{convolution.name}.product", dtype=convolution.dtype_policy)
        self.convolution = convolution
        self.activation = activation

    def call(self, inputs: Any) -> Any:
        """Multiply the channels of each place by the kernel, add the bias, activate."""
        ops = keras.ops
        _, height, width, channels = inputs.shape
        filters = self.convolution.filters
        places = ops.reshape(inputs, (-1, channels))
        answer = ops.matmul(places, ops.reshape(self.convolution.kernel, (channels, filters)))
        if self.convolution.use_bias:
            answer = ops.add(answer, self.convolution.bias)
        answer = self.convolution.activation(answer)
        if self.activation is not None:
            answer = self.activation(answer)
        return ops.reshape(answer, (-1, height, width, filters))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the shape and type of the convolution's answer."""
        shape = (*inputs.shape[:-1], self.convolution.filters)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)
