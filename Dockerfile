# One image for every role of GPU Steward; the command picks the role: agent, check, prices, ...
#   docker build -t gpusteward:0.1.0 .
#   docker run --rm gpusteward:0.1.0 prices list
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

# The wheel, and a virtual environment that holds it and its dependencies. pip stays behind in this stage.
FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY exporter/ exporter/
RUN python -m pip wheel --no-cache-dir --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/gpusteward \
    && python -m pip --python /opt/gpusteward/bin/python install --no-cache-dir --no-index --find-links /wheels gpusteward

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="GPU Steward" \
      org.opencontainers.image.description="Prometheus exporter of GPU cost and underuse" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/gpusteward /opt/gpusteward
ENV PATH="/opt/gpusteward/bin:${PATH}" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes can tell that it is not root. Nothing is written to the image's file system.
# NVML needs no root either: the device files are open to all. Reading kubelet's pod-resources socket, later,
# takes root: the DaemonSet will say so, not the image.
USER 65532:65532
WORKDIR /
EXPOSE 9455
# /livez answers while the event loop runs; a driver that hangs does not make the container unhealthy. The port is
# fixed here and does not follow agent.listen: who changes that one runs the container with --no-healthcheck, or with
# --health-cmd. Kubernetes does not look at this line.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9455/livez', timeout=4)"]
ENTRYPOINT ["gpusteward"]
CMD ["agent"]
