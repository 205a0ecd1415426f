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


@router.get("/strategies", summary="Strategy files that can be started")
async def strategies(folder: TheStrategies) -> list[StrategyAnswer]:
    """Return each file with the JSON schema of its parameters; a broken one with what is wrong with it."""
    return [StrategyAnswer.model_validate(file) for file in await asyncio.to_thread(folder.files)]


@router.get("/strategies/{file}", summary="One strategy file")
async def strategy(file: StrategyName, folder: TheStrategies) -> StrategyAnswer:
    """Return what a file defines, or what is wrong with it."""
    return await _file(folder, file)


@router.get("/strategies/{file}/schema", summary="The parameters of a strategy, as JSON schema")
async def schema(file: StrategyName, folder: TheStrategies) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a strategy's parameters, from which a form can be made."""
    found = await _file(folder, file)
    if found.error is not None:
        raise HTTPException(409, found.error)
    return found.parameters


async def _file(folder: TheStrategies, file: str) -> StrategyAnswer:
    for found in await asyncio.to_thread(folder.files):
        if found.file == file:
            return StrategyAnswer.model_validate(found)
    raise HTTPException(404, f"there is no strategy file {file!r}: /api/v1/strategies lists them")
