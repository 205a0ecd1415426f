"""What a real desk tells its watchers: bars in progress, profit as it stands, averages, and news of the risk gate."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from ibdesk_server.client import FeedClient

if TYPE_CHECKING:
    from ibdesk_server.serve import WebServer


async def test_a_run_is_seen_by_its_bars_in_progress_its_profit_and_the_averages(
    web: WebServer, api: httpx.AsyncClient, key: str
) -> None:
    async with asyncio.timeout(40), FeedClient(web.feed_url, key, topics=["progress", "pnl", "emas", "bars"]) as feed:
        await anext(feed)
        run = {"file": "buyer.py", "symbols": ["AAPL"], "bar": "10 secs", "parameters": {"size": 1}}
        started = await api.post("/api/v1/runs", json=run)
        assert started.status_code == 201, started.text
        run_id = started.json()["run_id"]
        tables = feed.tables
        wanted = 10_000_000_000
        while not (
            tables["progress"].get("AAPL", wanted)
            and tables["pnl"].get(run_id)
            and (tables["emas"].get("AAPL", wanted) or {}).get("ema_12")
        ):
            await anext(feed)
        await api.post(f"/api/v1/runs/{run_id}/stop")

        progress, pnl = tables["progress"].get("AAPL", wanted), tables["pnl"].get(run_id)
        averages = tables["emas"].get("AAPL", wanted)
        assert progress is not None
        assert pnl is not None
        assert averages is not None
        assert progress["low"] <= progress["close"] <= progress["high"]
        assert set(pnl) == {"owner", "at_ns", "pnl", "realized_pnl", "unrealized_pnl", "commission"}
        assert averages["opened_ns"] % wanted == 0
        assert {"ema_12", "ema_26", "ema_200"} < set(averages)


async def test_halts_and_limits_are_told_and_none_is_left_out(web: WebServer, api: httpx.AsyncClient, key: str) -> None:
    async with asyncio.timeout(40), FeedClient(web.feed_url, key, topics=["risk"]) as feed:
        snapshot = await anext(feed)
        limits = {row["rule"]: row["limit"] for row in snapshot.rows if row["kind"] == "limit"}
        for _ in range(3):
            halt = (await api.post("/api/v1/risk/halt", json={"reason": "a test"})).raise_for_status().json()
            body = {"id": halt["id"], "reason": "it is over"}
            (await api.post("/api/v1/risk/resume", json=body)).raise_for_status()
        news: list[tuple[str, str]] = []
        while len(news) < 6:
            news += [(row["kind"], row["text"]) for row in (await anext(feed)).rows]

        assert limits["max_daily_loss"] == 25_000.0
        assert news == [("halted", "a test"), ("resumed", "it is over")] * 3
