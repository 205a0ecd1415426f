"""Backtests over the API: real processes, which can be watched, ended and lost."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from tests.plain_http import PLAIN
from tests.server.conftest import StartWeb

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk
from ibdesk.engine import RiskLimits
from ibdesk_server.backtests.jobs import JobFolder, Jobs
from ibdesk_server.backtests.request import BacktestRequest, SampleBars
from ibdesk_server.backtests.service import Backtests
from ibdesk_server.backtests.settings import BacktestSettings
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings
from ibdesk_server.strategy_folder import StrategyFolder

SECONDS = 240.0

pytestmark = pytest.mark.timeout(300)
SAMPLE = {"source": "sample", "symbols": ["IBM"]}

STRATEGIES = {
    "trend": '''
import polars as pl

from ibdesk import Field, Strategy, ema


class Trend(Strategy):
    """Hold `size` shares while the close is above its average."""

    size: float = Field(10, gt=0)

    def features(self) -> dict[str, pl.Expr]:
        return {"mean": ema("close", 20)}

    def target(self) -> pl.Expr:
        return pl.when(pl.col("close") > pl.col("mean")).then(self.size).otherwise(0.0)
''',
    "endless": '''
from ibdesk import Bar, Strategy


class Endless(Strategy):
    """Think for ever at the second year's end."""

    def on_bar(self, bar: Bar) -> None:
        self.state["bars"] = self.state.get("bars", 0) + 1
        while self.state["bars"] == 500:
            pass
''',
    "hungry": '''
from ibdesk import Bar, Strategy


class Hungry(Strategy):
    """Eat all memory."""

    def on_bar(self, bar: Bar) -> None:
        bytearray(8_000_000_000)
''',
    "faulty": '''
from ibdesk import Bar, Strategy


class Faulty(Strategy):
    """Fail at the first bar."""

    def on_bar(self, bar: Bar) -> None:
        raise ZeroDivisionError("no price moved")
''',
}


@pytest.fixture(scope="session")
def strategies_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strategies")
    for name, text in STRATEGIES.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    bars = sample_daily_bars().filter(pl.col("symbol") == "IBM").head(300)
    bars.write_parquet(folder / "ibm.parquet")
    (folder / "bad.csv").write_text("date,open,high,low,close\n2024-01-02,1,2,0.5,much\n2024-01-03,1,2,0.5,1\n")
    (folder / "long.csv").write_text("x" * 2_000_000)
    bars.write_parquet(folder.parent / "secret.parquet")
    (folder / "link.parquet").symlink_to(folder.parent / "secret.parquet")
    return folder


@pytest.fixture
def limits(data_folder: Path) -> BacktestSettings:
    return BacktestSettings(
        data_folder=data_folder,
        at_once=1,
        queue=1,
        seconds=600,
        niceness=0,
        max_bars=5_000,
        max_file_bytes=1_000_000,
        memory_bytes=2**31,
    )


@pytest.fixture
def server_settings(tmp_path: Path, strategies_folder: Path, limits: BacktestSettings) -> Settings:
    server = ServerSettings(port=0, key_file=tmp_path / "api.key", strategies=strategies_folder, backtests=limits)
    return Settings(state_folder=tmp_path, server=server)


async def start(api: httpx.AsyncClient, strategy: str, bars: dict[str, Any] = SAMPLE, **more: Any) -> dict[str, Any]:
    answer = await api.post("/api/v1/backtests", json={"file": f"{strategy}.py", "bars": bars} | more)
    assert answer.status_code == 202, answer.text
    started: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/backtests/{started['id']}"
    return started


async def look(api: httpx.AsyncClient, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/api/v1/backtests/{job['id']}")).json()
    return found


async def wait_for(met: Callable[[], bool]) -> None:
    """Look until something is so that another process brings about."""
    async with asyncio.timeout(SECONDS):
        while not met():  # noqa: ASYNC110 - nothing of this process tells it
            await asyncio.sleep(0.02)


async def until(api: httpx.AsyncClient, job: dict[str, Any], *states: str) -> list[dict[str, Any]]:
    """Return what was seen of a backtest up to the first of the states."""
    seen = [await look(api, job)]
    async with asyncio.timeout(SECONDS):
        while seen[-1]["state"] not in states:
            await asyncio.sleep(0.02)
            seen.append(await look(api, job))
    return seen


async def test_a_backtest_runs_to_its_figures_trades_and_report(api: httpx.AsyncClient) -> None:
    job = await start(api, "trend", parameters={"size": 5})

    *before, done = await until(api, job, "done", "failed")
    trades = (await api.get(f"/api/v1/backtests/{job['id']}/trades", params={"limit": 7})).json()
    report = await api.get(f"/api/v1/backtests/{job['id']}/report", headers={"Accept": "text/html"})

    assert done["error"] == ""
    assert [seen["progress"] for seen in before] == sorted(seen["progress"] for seen in before)
    assert (job["state"], done["progress"], done["by"]) == ("queued", 1, job["by"])
    result = done["result"]
    assert (result["class_name"], result["parameters"], result["symbols"]) == ("Trend", {"size": 5}, ["IBM"])
    assert result["stats"]["trades"] == trades["total"] > 7 == len(trades["items"])
    assert done["created_at"] < done["started_at"] < done["finished_at"]
    policy = report.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert report.text.startswith("<!doctype html>")
    assert re.search(r"<h1>Trend</h1>", report.text)


async def test_a_backtest_has_the_limits_of_the_desk_unless_told_otherwise(api: httpx.AsyncClient) -> None:
    limited = await start(api, "trend", parameters={"size": 20_000})
    *_, denied = await until(api, limited, "done", "failed")
    free = await start(api, "trend", parameters={"size": 20_000}, limits="none")
    *_, filled = await until(api, free, "done", "failed")

    [warning, *_] = denied["result"]["warnings"]
    assert (denied["result"]["stats"]["fills"], denied["result"]["stats"]["halted_at"]) == (0, None)
    assert denied["result"]["stats"]["denied"] == denied["result"]["stats"]["orders"] > 0
    assert "denied by risk.max_order_shares" in warning
    assert filled["result"]["stats"]["fills"] > filled["result"]["stats"]["denied"] == 0


async def test_the_progress_of_the_bars_is_told(api: httpx.AsyncClient) -> None:
    job = await start(api, "endless")

    async with asyncio.timeout(SECONDS):
        while (seen := await look(api, job))["progress"] < 0.14:
            assert seen["state"] in {"queued", "running"}
            await asyncio.sleep(0.02)

    # The 500th of the 3,270 bars is never done; every hundredth part is told.
    assert seen["progress"] == pytest.approx(500 / 3_270, abs=0.012)
    await api.delete(f"/api/v1/backtests/{job['id']}")


async def test_one_runs_and_one_waits_and_a_third_is_refused(api: httpx.AsyncClient) -> None:
    first = await start(api, "endless")
    await until(api, first, "running")
    second = await start(api, "trend")
    third = await api.post("/api/v1/backtests", json={"file": "trend.py", "bars": SAMPLE})
    waiting = await look(api, second)
    running = (await api.get("/api/v1/backtests", params={"state": "running"})).json()

    cancelled = await api.post(f"/api/v1/backtests/{first['id']}/cancel")
    *_, ended = await until(api, first, "cancelled")
    *_, done = await until(api, second, "done", "failed")

    assert waiting["state"] == "queued"
    assert (third.status_code, third.json()["type"]) == (503, "urn:ibdesk:QueueFullError")
    assert [job["id"] for job in running["items"]] == [first["id"]]
    assert (cancelled.status_code, ended["finished_at"] is not None) == (202, True)
    assert done["state"] == "done"


async def test_one_that_waits_can_be_cancelled(api: httpx.AsyncClient) -> None:
    first = await start(api, "endless")
    await until(api, first, "running")
    second = await start(api, "trend")

    await api.post(f"/api/v1/backtests/{second['id']}/cancel")
    answer = await look(api, second)
    await api.delete(f"/api/v1/backtests/{first['id']}")

    assert (answer["state"], answer["started_at"], answer["result"]) == ("cancelled", None, None)


async def test_one_that_is_deleted_is_gone_and_makes_room(api: httpx.AsyncClient) -> None:
    first = await start(api, "endless")
    await until(api, first, "running")

    deleted = await api.delete(f"/api/v1/backtests/{first['id']}")
    gone = await api.get(f"/api/v1/backtests/{first['id']}")
    second = await start(api, "trend")

    assert (deleted.status_code, gone.status_code) == (204, 404)
    assert (await until(api, second, "done", "failed"))[-1]["state"] == "done"


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("faulty", "in on_bar: ZeroDivisionError: no price moved"),
        ("hungry", "it needs more than the allowed 2,048 MiB of memory"),
    ],
)
async def test_one_that_fails_says_why(api: httpx.AsyncClient, strategy: str, words: str) -> None:
    job = await start(api, strategy)

    *_, failed = await until(api, job, "done", "failed")
    report = await api.get(f"/api/v1/backtests/{job['id']}/report")

    assert failed["state"] == "failed"
    assert words in failed["error"]
    assert (report.status_code, "is failed" in report.json()["detail"]) == (409, True)


async def test_one_whose_process_dies_says_so(api: httpx.AsyncClient, tmp_path: Path) -> None:
    job = await start(api, "endless")
    await until(api, job, "running")

    os.kill(int((tmp_path / "backtests" / job["id"] / "pid").read_text()), signal.SIGKILL)
    *_, failed = await until(api, job, "failed")

    assert failed["error"] == "its process was killed (SIGKILL): no output"


class TestTimeLimit:
    """A backtest may take so long and no longer."""

    @pytest.fixture
    def limits(self, limits: BacktestSettings) -> BacktestSettings:
        return limits.model_copy(update={"seconds": 0.3})

    async def test_one_that_takes_too_long_is_ended(self, api: httpx.AsyncClient) -> None:
        job = await start(api, "endless")

        *_, failed = await until(api, job, "failed")

        assert failed["error"] == "it took more than the allowed 0.3 s"


async def test_bars_come_from_a_file_of_the_folder(api: httpx.AsyncClient) -> None:
    job = await start(api, "trend", {"source": "file", "file": "ibm.parquet"})

    *_, done = await until(api, job, "done", "failed")

    assert (done["state"], done["result"]["stats"]["bars"]) == ("done", 300)


async def test_bars_come_from_the_history_of_the_desk(api: httpx.AsyncClient) -> None:
    bars = {"source": "history", "symbols": ["AAPL", "MSFT"], "bar": "1 day", "count": 60}
    job = await start(api, "trend", bars)

    *_, done = await until(api, job, "done", "failed")

    assert done["error"] == ""
    assert (done["result"]["symbols"], done["result"]["stats"]["bars"]) == (["AAPL", "MSFT"], 60)


@pytest.mark.parametrize(
    ("bars", "words"),
    [
        ({"source": "file", "file": "bad.csv"}, "'much' is not a number"),
        (
            {"source": "sample", "symbols": ["TSLA"]},
            "no bars of TSLA: it has AAPL, GOOG, IBM, MSFT",
        ),
        ({"source": "sample"}, "bars are too many: a backtest may use at most 5,000"),
        ({"source": "history", "symbols": ["NOSUCH"]}, "NOSUCH"),
    ],
)
async def test_bars_that_cannot_be_used_fail_it(api: httpx.AsyncClient, bars: dict[str, Any], words: str) -> None:
    job = await start(api, "trend", bars)

    *_, failed = await until(api, job, "done", "failed")

    assert failed["state"] == "failed"
    assert words in failed["error"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "absent.py"}, "the server's strategy folder does not contain 'absent.py'"),
        ({"file": "../trend.py"}, "body.file"),
        ({"parameters": {"size": -1}}, "size: Input should be greater than 0"),
        ({"bars": {"source": "file", "file": "absent.csv"}}, "it contains: bad.csv, ibm.parquet, long.csv"),
        (
            {"bars": {"source": "file", "file": "link.parquet"}},
            "the server's data folder does not contain 'link.parquet'",
        ),
        ({"bars": {"source": "file", "file": "../secret.parquet"}}, "body.bars.file.file"),
        ({"bars": {"source": "file", "file": "long.csv"}}, "2,000,000 bytes;"),
        ({"bars": {"source": "history", "symbols": ["AAPL"] * 50, "count": 1_000}}, "at most 5,000 bars"),
        ({"bars": {"source": "hearsay"}}, "body.bars"),
        ({"cash": 0}, "body.cash"),
        ({"commission": "cheap"}, "body.commission"),
    ],
)
async def test_what_cannot_be_done_is_refused_at_once(
    api: httpx.AsyncClient, change: dict[str, Any], words: str
) -> None:
    answer = await api.post("/api/v1/backtests", json={"file": "trend.py", "bars": SAMPLE} | change)

    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert (await api.get("/api/v1/backtests")).json()["total"] == 0


async def test_the_same_key_starts_one_backtest(api: httpx.AsyncClient) -> None:
    request = {"file": "trend.py", "bars": SAMPLE}
    headers = {"Idempotency-Key": "monday-1"}

    answers = await asyncio.gather(*(api.post("/api/v1/backtests", json=request, headers=headers) for _ in range(5)))
    other = await api.post("/api/v1/backtests", json=request | {"cash": 5}, headers=headers)

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotent-replayed", "false") for answer in answers) == ["false"] + 4 * ["true"]
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert (other.status_code, "was used for another request" in other.json()["detail"]) == (409, True)
    assert (await api.get("/api/v1/backtests")).json()["total"] == 1


async def test_another_web_worker_tells_of_it_and_ends_it(
    desk: Desk, web: WebServer, start_web: StartWeb, api: httpx.AsyncClient, key: str
) -> None:
    other = await start_web(desk)
    job = await start(api, "endless")
    async with httpx.AsyncClient(base_url=other.url, headers={"X-API-Key": key}, timeout=60, **PLAIN) as second:
        await until(second, job, "running")

        await second.post(f"/api/v1/backtests/{job['id']}/cancel")

        assert (await until(api, job, "cancelled"))[-1]["state"] == "cancelled"


@pytest.fixture
async def backtests(tmp_path: Path, strategies_folder: Path, limits: BacktestSettings) -> AsyncIterator[Backtests]:
    found = Backtests(tmp_path / "backtests", limits, StrategyFolder(strategies_folder), RiskLimits())
    yield found
    await found.close()


async def test_the_processes_end_with_the_server(backtests: Backtests, desk: Desk, tmp_path: Path) -> None:
    request = BacktestRequest(file="endless.py", bars=SampleBars(source="sample", symbols=["IBM"]))
    job = await backtests.start(request, by="ann", desk=desk)
    folder = JobFolder(tmp_path / "backtests" / job.id)
    await wait_for(lambda: folder.read().progress > 0)
    pid = int((folder.path / "pid").read_text())

    await backtests.close()

    assert folder.read().error == "the server that ran it has ended: start it again"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


LONELY_SERVER = """
import asyncio, sys
from pathlib import Path
from ibdesk.engine import RiskLimits
from ibdesk_server.backtests.service import Backtests
from ibdesk_server.backtests.settings import BacktestSettings
from ibdesk_server.backtests.request import BacktestRequest, SampleBars
from ibdesk_server.strategy_folder import StrategyFolder


async def main() -> None:
    jobs, strategies = Path(sys.argv[1]), StrategyFolder(Path(sys.argv[2]))
    backtests = Backtests(jobs, BacktestSettings(niceness=0), strategies, RiskLimits())
    request = BacktestRequest(file="endless.py", bars=SampleBars(source="sample"))
    print((await backtests.start(request, by="ann", desk=None)).id, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
"""


async def test_a_process_whose_server_was_killed_ends_and_the_backtest_is_lost(
    tmp_path: Path, strategies_folder: Path
) -> None:
    script = tmp_path / "server.py"
    script.write_text(LONELY_SERVER)
    server = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(tmp_path / "jobs"), str(strategies_folder), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    job_id = (await asyncio.wait_for(server.stdout.readline(), SECONDS)).decode().strip()
    folder = Jobs(tmp_path / "jobs").find(job_id)
    assert folder is not None
    await wait_for(lambda: folder.read().progress > 0)

    os.kill(server.pid, signal.SIGKILL)
    await server.wait()

    await wait_for(lambda: folder.read().state.is_final)
    assert folder.read().error == "the server that ran it has ended: start it again"


async def test_the_oldest_finished_ones_leave(tmp_path: Path, strategies_folder: Path, desk: Desk) -> None:
    jobs = Jobs(tmp_path / "backtests")
    limits = BacktestSettings(niceness=0, keep=2)
    backtests = Backtests(tmp_path / "backtests", limits, StrategyFolder(strategies_folder), RiskLimits())
    request = BacktestRequest(file="trend.py", bars=SampleBars(source="sample", symbols=["IBM"]))
    started = []
    for _ in range(4):
        job = await backtests.start(request, by="ann", desk=desk)
        folder = jobs.find(job.id)
        assert folder is not None
        folder.cancel()
        started.append(job.id)

    await wait_for(lambda: len(jobs.all()) == 2)
    await backtests.close()

    assert [job.id for job in jobs.all()] == started[-2:]
