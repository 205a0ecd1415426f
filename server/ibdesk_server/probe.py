"""``python -m ibdesk_server.probe``: check that a process of a desk answers, for containers and service managers.

It imports only the standard library, so a check takes about 0.05 s::

    python -m ibdesk_server.probe http://127.0.0.1:8000/health/live
    python -m ibdesk_server.probe http://127.0.0.1:8000/health/ready --key-file /run/secrets/probe_key
    python -m ibdesk_server.probe tcp://127.0.0.1:7497
    python -m ibdesk_server.probe unix:/var/lib/ibdesk/desk.sock
    python -m ibdesk_server.probe guardian:/var/lib/ibdesk/guardian-paper.sock
    python -m ibdesk_server.probe guardian:/var/lib/ibdesk

The exit code is 0 if the process answers, else 1 with one sentence on standard error. A redirect counts as an answer.
"""

from __future__ import annotations

import argparse
import http.client
import socket
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

_KEY_HEADER = "X-API-Key"
_UNIX, _GUARDIAN = "unix:", "guardian:"
_STATUS = b'{"do": "status"}\n'


class ProbeError(Exception):
    """The process does not answer, or reports that it is not healthy."""


def probe(url: str, *, key: str = "", seconds: float = 3.0) -> None:
    """Return once an ``http://`` address answers with a status below 400, or a ``tcp://`` one accepts a connection.

    A ``unix:`` path is a desk port, which must send its welcome. A ``guardian:`` path is a guardian's socket, or a
    folder with the socket of a guardian in any mode, which must answer. `key` is the API key to send.

    Raises:
        ProbeError: If there is no answer within `seconds`.
        ValueError: If the address has another scheme.
    """
    if url.startswith(_UNIX):
        _listen_for_word(url.removeprefix(_UNIX), b"", seconds=seconds)
        return
    if url.startswith(_GUARDIAN):
        _ask_guardian(Path(url.removeprefix(_GUARDIAN)), seconds=seconds)
        return
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "tcp"} or parts.hostname is None or parts.port is None:
        raise ValueError(
            f"{url} cannot be probed: write http://HOST:PORT/PATH, tcp://HOST:PORT, unix:PATH or guardian:PATH"
        )
    try:
        if parts.scheme == "tcp":
            socket.create_connection((parts.hostname, parts.port), seconds).close()
            return
        status = _status(parts.hostname, parts.port, parts.path or "/", key=key, seconds=seconds)
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(f"{url} does not answer: {error}") from None
    if status >= 400:
        raise ProbeError(f"{url} answers {status} {http.client.responses.get(status, '')}".rstrip())


def _ask_guardian(path: Path, *, seconds: float) -> None:
    """Wait for the answer of the guardian at this socket, or of any guardian in this folder.

    Raises:
        ProbeError: If there is none within `seconds`.
    """
    found = sorted(path.glob("guardian-*.sock")) if path.is_dir() else [path]
    failures = []
    for each in found:
        try:
            _listen_for_word(str(each), _STATUS, seconds=seconds / len(found))
        except ProbeError as error:
            failures.append(str(error))
        else:
            return
    raise ProbeError("; ".join(failures) or f"there is no guardian in {path}")


def _listen_for_word(path: str, question: bytes, *, seconds: float) -> None:
    """Wait until the other side sends something: a process that hangs still accepts connections.

    Raises:
        ProbeError: If it sends nothing within `seconds`.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(path)
            if question:
                # Even sending zero bytes fails if the other side has sent its message and closed already.
                connection.sendall(question)
            heard = connection.recv(1)
    except OSError as error:
        raise ProbeError(f"unix:{path} does not answer: {error}") from None
    if not heard:
        raise ProbeError(f"unix:{path} closed the connection without an answer")


def _status(host: str, port: int, path: str, *, key: str, seconds: float) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", path, headers={_KEY_HEADER: key} if key else {})
        return connection.getresponse().status
    finally:
        connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe the address in the arguments and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ibdesk_server.probe", description="Check that a process answers.")
    parser.add_argument("url", help="http://HOST:PORT/PATH, tcp://HOST:PORT, unix:PATH or guardian:PATH")
    parser.add_argument("--key-file", type=Path, help="file with the API key to send")
    parser.add_argument("--seconds", type=float, default=3.0, help="how many seconds to wait for the answer")
    asked = parser.parse_args(arguments)
    try:
        key = asked.key_file.read_text(encoding="utf-8").strip() if asked.key_file is not None else ""
        probe(asked.url, key=key, seconds=asked.seconds)
    except (ProbeError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
