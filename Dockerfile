# MMIF-AMIN for Linux on x86-64. Research use only, not for diagnosis. Needs BuildKit, Docker's default since 23.0.
#   docker build --target cuda -t mmif-amin:cuda --build-arg VERSION=... .
#   docker build --target cpu -t mmif-amin:cpu --build-arg VERSION=... --build-arg TORCH_INDEX=... .
# VERSION is what `mmif-amin --version` prints; the build compares. TORCH_INDEX is the CPU index on PyTorch's install page.
# The versions of all packages are in container/requirements*.txt, which `make lock` writes. Nothing from apt is needed.

# An exact tag. Its digest was not looked up: no registry of images could be reached from where this was written.
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

# torch is installed in a stage of its own, so that a change of the package does not build its large layer again.
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
# `docker run --user` lets the container write into a mount that belongs to that user; everything works as any user.
RUN useradd --uid 10001 --user-group --home-dir /tmp --no-create-home --no-log-init mmif \
    && install --directory --mode 1777 /data
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=container/requirements.txt,target=/requirements.txt \
    pip install --no-deps --requirement /requirements.txt
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --no-cache-dir --no-deps --no-index /dist/*.whl
# Caches go to /tmp, which any user may write and which a read-only container gets with `--tmpfs /tmp`. MONAI asks for the
# user's name, which a user of `docker run --user` does not have. MLflow reports its use to its makers unless told not to.
ENV HOME=/tmp \
    LOGNAME=mmif \
    MLFLOW_DISABLE_TELEMETRY=true
ARG VERSION
RUN test "$(mmif-amin --version)" = "mmif-amin ${VERSION:?is missing: --build-arg VERSION=what bundle/configs/metadata.json says}"
LABEL org.opencontainers.image.title="MMIF-AMIN" \
      org.opencontainers.image.description="Fuses an MRI with a CT, PET or SPECT of the same patient. Research use only, not for diagnosis." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["mmif-amin"]
CMD ["--help"]

# `info` reads the weights and runs the network, so no target can be built without them.
FROM base AS cpu
COPY --link --from=torch-cpu /torch /usr/local
RUN --mount=type=tmpfs,target=/tmp pip check && mmif-amin info

FROM base AS cuda
COPY --link --from=torch-cuda /torch /usr/local
RUN --mount=type=tmpfs,target=/tmp pip check && mmif-amin info
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
