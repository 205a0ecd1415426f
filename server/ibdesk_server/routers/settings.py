"""The settings in effect. For admins."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from ibdesk.config import as_plain
from ibdesk_server.answers import Listing, SettingAnswer
from ibdesk_server.dependencies import TheSettings, api_router
from ibdesk_server.security.principal import Role

router = api_router("settings", role=Role.ADMIN)


@router.get("/settings", summary="List the settings in effect")
async def settings(
    tree: TheSettings,
    section: Annotated[
        str, Query(max_length=100, pattern=r"^[a-z_.]*$", description="only this section", examples=["server"])
    ] = "",
) -> Listing[SettingAnswer]:
    """Return every setting of this process with its value and source; secrets are masked. Settings are read-only."""
    items = [
        found for found in _leaves(as_plain(tree, origins=True), "") if f"{found.name}.".startswith(_prefix(section))
    ]
    return Listing(items=items, total=len(items))


def _prefix(section: str) -> str:
    return f"{section.rstrip('.')}." if section else ""


def _leaves(branch: dict[str, Any], path: str) -> list[SettingAnswer]:
    found = []
    for name, value in branch.items():
        full = f"{path}{name}"
        if set(value) == {"value", "origin"} and isinstance(value["origin"], str):
            found.append(SettingAnswer(name=full, value=value["value"], origin=value["origin"]))
        else:
            found += _leaves(value, f"{full}.")
    return found
