# MMIF-AMIN for Linux on x86-64. Research use only, not for diagnosis. Needs BuildKit, Docker's default since 23.0.
#   docker build --target cuda -t mmif-amin:cuda .
#   docker build --target cpu --build-arg TORCH_INDEX=URL -t mmif-amin:cpu .    # URL: the CPU index on PyTorch's install page
# Versions: container/requirements*.txt, renewed by container/lock.py. Nothing is taken from apt, for nothing is needed.

# An exact tag. Its digest was not looked up: where this was written no registry of images can be reached.
FROM python:3.11.15-slim-bookworm AS python
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM python AS wheel
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --constraint container/requirements.txt setuptools \
    && pip wheel --no-deps --no-build-isolation --wheel-dir /dist .

# torch stands in a tree of its own, so that a change of the package does not build its large layer again.
FROM python AS torch-cpu
ARG TORCH_INDEX
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=container/requirements-cpu.txt,target=/requirements.txt \
    pip install --prefix /torch --no-deps --requirement /requirements.txt \
    --index-url "${TORCH_INDEX:?is missing: --build-arg TORCH_INDEX=the CPU index on the install page of PyTorch}"

FROM python AS torch-cuda
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=container/requirements-cuda.txt,target=/requirements.txt \
    pip install --prefix /torch --no-deps --requirement /requirements.txt

# All that both targets share.
FROM python AS base
# A mount that belongs to the user takes `docker run --user`: everything works as any other user too.
RUN useradd --uid 10001 --user-group --home-dir /tmp --no-create-home --no-log-init mmif \
    && install --directory --mode 1777 /data
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=container/requirements.txt,target=/requirements.txt \
    pip install --no-deps --requirement /requirements.txt
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --no-cache-dir --no-deps --no-index /dist/*.whl
# Caches go to /tmp, which any user may write and which a read-only container gets with `--tmpfs /tmp`. MONAI asks for the
# user's name, which a user of `docker run --user` does not have. MLflow would report its use to its makers.
ENV HOME=/tmp \
    LOGNAME=mmif \
    MLFLOW_DISABLE_TELEMETRY=true
LABEL org.opencontainers.image.title="MMIF-AMIN" \
      org.opencontainers.image.description="Fuses an MRI with a CT, PET or SPECT of the same patient. Research use only, not for diagnosis." \
      org.opencontainers.image.version="0.4.0" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["mmif-amin"]
CMD ["--help"]

# `info` reads the weights and runs the network, so neither target can be built without them.
FROM base AS cpu
COPY --link --from=torch-cpu /torch /usr/local
RUN --mount=type=tmpfs,target=/tmp pip check && mmif-amin info

FROM base AS cuda
COPY --link --from=torch-cuda /torch /usr/local
RUN --mount=type=tmpfs,target=/tmp pip check && mmif-amin info
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
