# syntax=docker/dockerfile:1
# One image for every service: `lemo api`, `lemo worker`, `lemo beat`, `lemo consumer`, `lemo console`, `lemo upgrade`.
# The target `flink` is a second one, with Flink beside Lemo (docs/realtime.md).
# docs/deploy.md says how to build and run them.
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm
ARG MAVEN_IMAGE=maven:3.9.11-eclipse-temurin-17

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

FROM ${PYTHON_IMAGE} AS lemo
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

FROM ${MAVEN_IMAGE} AS connector
RUN mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory=/jars \
        -Dartifact=org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2 \
    && echo "5605c691d11a501382c383fecba37a7a552467da5ab7ba904ef5d6f3d62c5616 */jars/flink-sql-connector-kafka-5.0.0-2.2.jar" >/sums \
    && sha256sum --check --strict /sums

FROM build AS flink-build
COPY deploy/flink/requirements.lock ./deploy/flink/
# Flink out of its Python package, as the tests run it, moved to where Kubernetes' operator looks for it. The package
# keeps its own `bin`: task managers start Python by a program there.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/flink-python \
    && uv pip sync --require-hashes --python /opt/flink-python/bin/python deploy/flink/requirements.lock
WORKDIR /opt/flink-python/lib/python3.11/site-packages/pyflink
RUN mkdir /opt/flink && cp -a bin /opt/flink && mv conf lib log opt plugins /opt/flink
COPY --from=connector /jars /opt/flink/lib
COPY deploy/flink/config.yaml /opt/flink/conf/
COPY deploy/flink/common.py deploy/flink/sessions.py deploy/flink/realtime_metrics.py deploy/flink/hot_scores.py \
    /opt/flink/jobs/

FROM lemo AS flink
USER 0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner lemo --group lemo --mode 0700 /var/lib/flink
COPY --from=flink-build /opt/flink-python /opt/flink-python
COPY --from=flink-build /opt/flink /opt/flink
# The operator starts pods by this program, with Flink's as its arguments.
COPY --chmod=0755 deploy/flink/docker-entrypoint.sh /
ENV FLINK_HOME=/opt/flink \
    FLINK_CONF_DIR=/opt/flink/conf \
    FLINK_LOG_DIR=/tmp \
    PATH=/opt/flink/bin:/opt/lemo/bin:$PATH
USER 10001:10001
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["lemo", "flink", "--help"]

# What is built where no target is named.
FROM lemo
