"""The certificate that the server shows: read before anything is served, so that a wrong one is told in a sentence."""

from __future__ import annotations

import ssl

from ibdesk.errors import ConfigError
from ibdesk_server.security.settings import TlsSettings


def check_certificate(tls: TlsSettings) -> None:
    """See that certificate and key can be read and belong together, if there are any.

    Raises:
        ConfigError: If not.
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
    raise ValueError("the key has a password, which nobody could type when the server is started again")
