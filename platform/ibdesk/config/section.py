"""What a section of settings is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Settings that belong together; a section may hold others.

    Each field has a constrained type, a default and a description: the file, the environment, the page of help and
    `ibdesk config example` are made from them. What must not be shown is a `SecretStr`. A field with ``exclude=True``
    is no setting: it follows from others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
