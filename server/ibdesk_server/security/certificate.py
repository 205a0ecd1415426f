"""The check of the server's certificate before it serves, so that a fault gives a clear message."""

from __future__ import annotations

import ssl

from ibdesk.errors import ConfigError
from ibdesk_server.security.settings import TlsSettings


def check_certificate(tls: TlsSettings) -> None:
    """Check that certificate and key, if set, can be read and belong together.

    Raises:
        ConfigError: If they cannot be used.
    """
    if tls.certificate is None or tls.key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"server.tls.certificate {tls.certificate} and server.tls.key {tls.key} cannot be used: {reason}"
        ) from None


def _no_password() -> str:
    raise ValueError("the key has a password, which cannot be entered when the server restarts")
