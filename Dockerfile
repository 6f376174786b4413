# syntax=docker/dockerfile:1
# One image for both roles, `sluicegate serve …` (the default) and `sluicegate-operator run …`, and
# for `kubectl-sluicegate …`.
# docs/image.md tells how it is built and checked.

# Tag and digest change together.
ARG BASE=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/image.txt requirements/build.txt requirements/
COPY scripts/image-root scripts/image-root
# The packages are a layer of their own: a change of our code does not make it anew.
RUN scripts/image-root packages /out
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY gateway gateway
COPY operator operator
RUN scripts/image-root project /out

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Sluicegate" \
      org.opencontainers.image.description="A Kubernetes-native gateway for the OpenAI Responses API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/packages /opt/sluicegate
COPY --from=build /out/project /opt/sluicegate
# No bytecode is written: the root file system is read-only, and the build has compiled all of it.
ENV PATH=/opt/sluicegate/bin:$PATH \
    PYTHONPATH=/opt/sluicegate/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
EXPOSE 4000 4001 4002
CMD ["sluicegate", "serve"]
