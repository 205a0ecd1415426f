"""Strategy files that can be started."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import HTTPException, Path

from ibdesk_server.answers import StrategyAnswer
from ibdesk_server.dependencies import TheStrategies, api_router

router = api_router("strategies")

StrategyName = Annotated[
    str, Path(min_length=1, max_length=100, description="name of the file", examples=["ema_cross.py"])
]


@router.get("/strategies", summary="List strategy files")
async def strategies(folder: TheStrategies) -> list[StrategyAnswer]:
    """Return each file with the JSON schema of its parameters, or with its error."""
    return [StrategyAnswer.model_validate(file) for file in await asyncio.to_thread(folder.files)]


@router.get("/strategies/{file}", summary="Show a strategy file")
async def strategy(file: StrategyName, folder: TheStrategies) -> StrategyAnswer:
    """Return the contents of a file, or its error."""
    return await _file(folder, file)


@router.get("/strategies/{file}/schema", summary="Show the parameters of a strategy as JSON schema")
async def schema(file: StrategyName, folder: TheStrategies) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a strategy's parameters, for example to build a form."""
    found = await _file(folder, file)
    if found.error is not None:
        raise HTTPException(409, found.error)
    return found.parameters


async def _file(folder: TheStrategies, file: str) -> StrategyAnswer:
    for found in await asyncio.to_thread(folder.files):
        if found.file == file:
            return StrategyAnswer.model_validate(found)
    raise HTTPException(404, f"there is no strategy file {file!r}: /api/v1/strategies lists them")
