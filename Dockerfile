# syntax=docker/dockerfile:1
# One image for every service: `lemo api`, `lemo worker`, `lemo beat`, `lemo consumer`, `lemo console`, `lemo upgrade`.
# docs/deploy.md says how to build and run it.
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=/opt/lemo
WORKDIR /build
COPY requirements-uv.lock ./
RUN pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r requirements-uv.lock \
    && uv venv /opt/lemo
# Before the code, so that a change of code keeps this layer.
COPY deploy/requirements.lock ./deploy/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip sync --require-hashes --only-binary :all: deploy/requirements.lock
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY src ./src
# The build backend comes from the lock too, with its hash.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --wheel --require-hashes --build-constraints requirements.lock --out-dir /dist . \
    && uv pip install --no-deps --offline /dist/*.whl

FROM ${PYTHON_IMAGE}
# LightGBM, which trains rankers, needs OpenMP.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 lemo \
    && useradd --uid 10001 --gid lemo --home-dir /var/lib/lemo --no-create-home --shell /usr/sbin/nologin lemo \
    && install --directory --owner lemo --group lemo --mode 0700 /var/lib/lemo
COPY --from=build /opt/lemo /opt/lemo
# The root may be read-only: what is written goes to the home folder and to /tmp.
ENV PATH=/opt/lemo/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    LEMO_HOME=/var/lib/lemo
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/lemo
ENTRYPOINT ["lemo"]
CMD ["--help"]
