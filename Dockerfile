# Two images, the same server:
#   docker build --target cpu -t lorabay:cpu .
#   docker build --target gpu -t lorabay:gpu .
# Both install by requirements/install.sh from the lock files, as `make setup` does: the locks in one large layer, then
# lorabay itself in a small one. The server listens on every address and therefore refuses to start without
# LORABAY_API_KEY. Mount the adapters at /adapters; /cache keeps base models, compiled code and the adapter store over
# restarts. Nothing else is written but /tmp, so that the rest may be mounted read-only.
#
# tini is the first process: as such, Python would ignore SIGTERM until it has a handler, and would leave the children
# of a dead engine unburied. Any user may run the server, as on OpenShift: what it writes belongs to the group 0, and
# HOME and USER do not depend on /etc/passwd.

FROM python:3.11.14-slim-bookworm AS cpu

# libnuma: vLLM's CPU kernels are linked against it. tcmalloc: vLLM's CPU worker asks for it. g++: torch compiles
# the base with it at the first start; without it the server works, and is slower.
# hadolint ignore=DL3008 # Debian removes old versions from its mirrors, so a pin would break the build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ libc6-dev libnuma1 libtcmalloc-minimal4 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home lorabay \
    && install --directory --owner=lorabay --group=root --mode=0775 /adapters /cache

ARG PIP_ROOT_USER_ACTION=ignore
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements,target=/src/requirements \
    /src/requirements/install.sh python3 requirements/torch.txt requirements/cpu.txt \
        requirements/accounts.txt requirements/sources.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,target=/src \
    /src/requirements/install.sh --copy python3

# Without a slash the loader finds the library on x86-64 and arm64 alike.
ENV HOME=/cache \
    LD_PRELOAD=libtcmalloc_minimal.so.4 \
    LORABAY_ADAPTERS=/adapters \
    LORABAY_PORT=8000 \
    PYTHONUNBUFFERED=1 \
    TORCHINDUCTOR_CACHE_DIR=/cache/torchinductor \
    USER=lorabay \
    VLLM_NO_USAGE_STATS=1 \
    XDG_CACHE_HOME=/cache \
    XDG_CONFIG_HOME=/cache/config
USER 10001:10001
WORKDIR /home/lorabay
VOLUME ["/adapters", "/cache"]
EXPOSE 8000
HEALTHCHECK --start-period=3m --interval=10s --timeout=5s --retries=3 CMD ["python3", "-c", \
    "import http.client as h, os, ssl, sys; tls = os.environ.get('LORABAY_TLS_CERT'); port = os.environ['LORABAY_PORT']; port = 8000 if '://' in port else int(port); c = h.HTTPSConnection('127.0.0.1', port, timeout=4, context=ssl._create_unverified_context()) if tls else h.HTTPConnection('127.0.0.1', port, timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["tini", "--", "lorabay", "serve", "--host", "0.0.0.0"]


FROM vllm/vllm-openai:v0.32.0 AS gpu

USER 0
# hadolint ignore=DL3008 # as above
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home lorabay \
    && install --directory --owner=lorabay --group=root --mode=0775 /adapters /cache

# The image brings vLLM, torch and their dependencies; gpu.txt holds what lorabay needs beside them. base-model.in is
# the default base, so that the shipped adapters can be tried on a GPU host too.
ARG PIP_BREAK_SYSTEM_PACKAGES=1
ARG PIP_ROOT_USER_ACTION=ignore
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements,target=/src/requirements \
    /src/requirements/install.sh python3 requirements/gpu.txt requirements/base-model.in \
        requirements/accounts.txt requirements/sources.txt
# The import ends the build here, and not a start later, should the image lack a package that gpu.txt takes for granted.
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,target=/src \
    /src/requirements/install.sh --copy python3 \
    && python3 -c "import lorabay.api.app, lorabay.catalog.store, lorabay.cli"

# FlashInfer appends .cache/flashinfer to its folder; the CUDA driver keeps its own code below HOME.
ENV FLASHINFER_WORKSPACE_BASE=/cache \
    HOME=/cache \
    LORABAY_ADAPTERS=/adapters \
    LORABAY_PORT=8000 \
    PYTHONUNBUFFERED=1 \
    TORCHINDUCTOR_CACHE_DIR=/cache/torchinductor \
    TRITON_CACHE_DIR=/cache/triton \
    USER=lorabay \
    VLLM_NO_USAGE_STATS=1 \
    XDG_CACHE_HOME=/cache \
    XDG_CONFIG_HOME=/cache/config
USER 10001:10001
WORKDIR /home/lorabay
VOLUME ["/adapters", "/cache"]
EXPOSE 8000
HEALTHCHECK --start-period=3m --interval=10s --timeout=5s --retries=3 CMD ["python3", "-c", \
    "import http.client as h, os, ssl, sys; tls = os.environ.get('LORABAY_TLS_CERT'); port = os.environ['LORABAY_PORT']; port = 8000 if '://' in port else int(port); c = h.HTTPSConnection('127.0.0.1', port, timeout=4, context=ssl._create_unverified_context()) if tls else h.HTTPConnection('127.0.0.1', port, timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["tini", "--", "lorabay", "serve", "--host", "0.0.0.0"]
