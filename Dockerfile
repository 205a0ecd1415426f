# One image for every process of a desk: `ibdesk engine`, `web`, `dashboard`, `gateway`.
#
#   docker build --tag ibdesk .
#   docker run --rm --read-only --tmpfs /tmp ibdesk gateway --host 0.0.0.0
#
# Nothing in it needs root, a writable root file system or a capability: state is in the volume, the rest in /tmp.

FROM python:3.13-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/ibdesk
# What ibdesk needs changes less often than ibdesk: its layer comes first, in the versions that were tested together.
COPY constraints.txt pyproject.toml deploy/requirements.py ./
RUN python requirements.py server dashboard research > requirements.txt \
    && /opt/ibdesk/bin/pip install --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY platform platform
COPY server server
RUN /opt/ibdesk/bin/pip install --no-deps . \
    && /opt/ibdesk/bin/pip check

FROM python:3.13-slim

LABEL org.opencontainers.image.title="ibdesk" \
      org.opencontainers.image.description="Research, backtest, paper and live trading on Interactive Brokers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"

RUN groupadd --system --gid 10001 ibdesk \
    && useradd --system --uid 10001 --gid ibdesk --home-dir /var/lib/ibdesk --shell /usr/sbin/nologin ibdesk \
    && install --directory --owner ibdesk --group ibdesk --mode 0700 /var/lib/ibdesk
COPY --from=build /opt/ibdesk /opt/ibdesk
COPY strategies /opt/strategies

ENV PATH=/opt/ibdesk/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    XDG_STATE_HOME=/var/lib \
    IBDESK_LOG__FILE=false \
    IBDESK_LOG__STDERR_LEVEL=info \
    IBDESK_LOG__STDERR_FORMAT=json
WORKDIR /opt
USER 10001:10001
VOLUME /var/lib/ibdesk
EXPOSE 8000 5006 7497
STOPSIGNAL SIGTERM

# For the web server, which is what most containers of the image run; the others bring checks of their own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "ibdesk_server.probe", "http://127.0.0.1:8000/health/live"]

ENTRYPOINT ["ibdesk"]
CMD ["--help"]
