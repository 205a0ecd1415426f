"""Keeps secrets out of logs: known ones wherever they stand, and whatever looks like one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

MASK = "***"

_BEYOND_JSON = 2**63
# Shorter ones would blot out half of every line, and protect nothing.
_SHORTEST = 6
_TELLING = r"(?:password|passwd|secret|token|api[_-]?key|authorization|cookie|credential|login[_-]?code)"
_TELLING_NAME = re.compile(_TELLING, re.IGNORECASE)
# What is said of a secret is none: how many there are, when one ends.
_HARMLESS_NAME = re.compile(r"(?:_count|_seconds|_at|_id|_name|_file)$", re.IGNORECASE)
# Without one of these, a text has none of the shapes below.
_SUSPECT = re.compile(r"[:=]|Bearer|eyJ", re.IGNORECASE)
_SHAPES = (
    # Authorization: Bearer abc, also as Python writes headers.
    re.compile(
        rf"({_TELLING}\w*['\"]?\s*[:=]\s*['\"]?(?:Bearer\s+|Basic\s+)?)(?!\*\*\*)[^\s'\",;&}})\]]+", re.IGNORECASE
    ),
    re.compile(r"\b(Bearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE),
    # A JSON web token.
    re.compile(r"()\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"),
    # The password in an address.
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/@:]*:)[^\s/@]+(?=@)", re.IGNORECASE),
    # The code of a one-time login.
    re.compile(r"([?&](?:code|key)=)[^\s&#'\"]+", re.IGNORECASE),
)


class Mask:
    """Replaces secrets in what is about to be written."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.hide(*secrets)

    def hide(self, *secrets: str) -> None:
        """Replace these from now on, wherever they stand; may be called from any thread."""
        self._secrets |= {secret for secret in secrets if len(secret) >= _SHORTEST}
        if self._secrets:
            # The longest first, so that no part of one is left over when another is its beginning.
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._known = re.compile("|".join(re.escape(secret) for secret in longest_first))

    def text(self, text: str) -> str:
        """Return a text without secrets, and without halves of surrogate pairs, which are no Unicode."""
        if not text.isascii():
            text = text.encode(errors="backslashreplace").decode()
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if _SUSPECT.search(text) is None:
            return text
        for shape in _SHAPES:
            text = shape.sub(rf"\1{MASK}", text)
        return text

    def value(self, name: str, value: Any) -> Any:
        """Return a value that goes by a name, without secrets and as JSON takes it."""
        if _TELLING_NAME.search(name) and not _HARMLESS_NAME.search(name) and value not in ("", None):
            return MASK
        match value:
            case SecretStr() | SecretBytes():
                return MASK
            case str():
                return self.text(value)
            case dict():
                return {self.text(str(key)): self.value(str(key), item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(name, item) for item in value]
            case bool() | None:
                return value
            case int():
                return value if abs(value) < _BEYOND_JSON else str(value)
            case float():
                return value if math.isfinite(value) else None
            case _:
                return self.text(str(value))


def secrets_in(settings: BaseModel) -> Iterator[str]:
    """Give every secret that stands in settings or their sections."""
    for name in type(settings).model_fields:
        match getattr(settings, name):
            case SecretStr() as secret:
                yield secret.get_secret_value()
            case SecretBytes() as secret:
                yield secret.get_secret_value().decode(errors="replace")
            case BaseModel() as section:
                yield from secrets_in(section)
            case _:
                pass
