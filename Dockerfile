# Trainbox's images, each a target:
#
#   serve      serves what was trained: LiteRT, no TensorFlow
#   base       what training needs, without our own code: the slow layer
#   train      trains and serves: what SageMaker is given
#   train-gpu  the same, with JAX and CUDA
#
#   docker build --platform linux/amd64 --target train -t trainbox:train .
#
# `trainbox image build` does that and says the sizes. BASE_IMAGE is any Debian with Python 3.11 to 3.13. The order of the
# stages matters: builders older than BuildKit make every stage above the target.
ARG BASE_IMAGE=python:3.12-slim-bookworm


# What builds, and stays behind: settings of pip come in as build arguments, and are in no image.
FROM ${BASE_IMAGE} AS tools
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_DEFAULT_TIMEOUT=60
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# Debian keeps what makes environments in a package of its own; binutils strips libraries.
# hadolint ignore=DL3008,DL3009,SC2046
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends binutils $(python3 -c "import ensurepip" 2>/dev/null || echo python3-venv)
# pip has an environment of its own: the one that is shipped needs none.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/trainbox
COPY requirements/build.txt image/install.sh /tools/
RUN /tools/bin/pip install --quiet --require-hashes --only-binary :all: -r /tools/build.txt


# Our own code, as a small layer over any of the large ones.
FROM tools AS code
COPY pyproject.toml README.md LICENSE /source/
COPY src /source/src
RUN /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels /source \
 && /tools/bin/pip --python /opt/trainbox/bin/python install --quiet --no-warn-script-location \
      --no-deps --no-index --root /staged /wheels/*.whl


# What all images have in common. Nothing is shipped below /opt/ml: it belongs to SageMaker, and to what is mounted there.
FROM ${BASE_IMAGE} AS runtime
LABEL org.opencontainers.image.title="Trainbox" \
      org.opencontainers.image.description="Trains small vision models, and serves what it trained" \
      org.opencontainers.image.licenses="Apache-2.0" \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port="true" \
      com.amazonaws.sagemaker.capabilities.multi-models="true"
# Whoever runs it has no home to write to; /tmp is all that needs to be writable.
ENV PATH=/opt/trainbox/bin:${PATH} \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib
EXPOSE 8080
ENTRYPOINT ["trainbox-container"]


FROM tools AS serve-packages
COPY requirements/serve.txt /tools/
RUN sh /tools/install.sh /tools/serve.txt


FROM runtime AS serve
COPY --from=serve-packages /opt/trainbox /opt/trainbox
COPY --from=code /staged/opt/trainbox /opt/trainbox
RUN ["/opt/trainbox/bin/python", "-m", "trainbox.container.bill", "/opt/trainbox/sbom.cdx.json"]


FROM tools AS train-packages
COPY requirements/train.txt /tools/
RUN sh /tools/install.sh /tools/train.txt


FROM runtime AS base
COPY --from=train-packages /opt/trainbox /opt/trainbox


FROM base AS train
COPY --from=code /staged/opt/trainbox /opt/trainbox
RUN ["/opt/trainbox/bin/python", "-m", "trainbox.container.bill", "/opt/trainbox/sbom.cdx.json"]


FROM tools AS train-gpu-packages
COPY requirements/train-gpu.txt /tools/
RUN sh /tools/install.sh /tools/train-gpu.txt


FROM runtime AS train-gpu
# What makes Docker with NVIDIA's runtime, and SageMaker, show the GPU to the container.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=train-gpu-packages /opt/trainbox /opt/trainbox
COPY --from=code /staged/opt/trainbox /opt/trainbox
RUN ["/opt/trainbox/bin/python", "-m", "trainbox.container.bill", "/opt/trainbox/sbom.cdx.json"]
