"""The base class of sections of settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings; sections can be nested.

    Each field has a constrained type, a default and a description, from which the file, the environment, the help
    pages and `ibdesk config example` are derived. A secret is a `SecretStr`. A field with ``exclude=True`` is not a
    setting: it is derived from others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
