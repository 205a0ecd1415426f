"""Desks on embedded gateways, and a way to wait for what they publish."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import Desk, DeskSettings
from ibdesk.store import Feed, Row, Topic

REPLAY = {"replay": "sample", "play_each_over_seconds": 5, "start": 1500, "speed": 50, "loop": True}
STRATEGIES = Path(__file__).parents[2] / "strategies"


class Watcher:
    """Waits, with a time limit, for a row of the feed."""

    def __init__(self, feed: Feed) -> None:
        self._news = threading.Event()
        self._reader, snapshot = feed.subscribe(self._news.set)
        self._seen: list[tuple[Topic, Row]] = [(topic, row) for topic, rows in snapshot.items() for row in rows]

    def rows(self, topic: Topic, **columns: Any) -> list[Row]:
        """Return the rows of a topic with these columns that were waited for or came before."""
        rows = [row for seen, row in self._seen if seen is topic]
        return [row for row in rows if all(row[name] == value for name, value in columns.items())]

    def wait_for(self, topic: Topic, *, count: int = 1, seconds: float = 20, **columns: Any) -> list[Row]:
        """Return the rows of a topic with these columns once there are `count` of them."""
        while len(self.rows(topic, **columns)) < count:
            assert self._news.wait(seconds), f"no {count} rows of {topic.value} with {columns} in {seconds} s"
            self._news.clear()
            drained, _ = self._reader.drain()
            self._seen += [(seen, row) for seen, rows in drained.items() for row in rows]
        return self.rows(topic, **columns)


OpenDesk = Callable[..., Desk]


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[OpenDesk]:
    """Opens embedded desks on real daily prices at a raised speed; `gateway` changes settings of the gateway."""
    opened: list[Desk] = []

    def make(gateway: dict[str, Any] | None = None, **settings: Any) -> Desk:
        settings = {"gateway": REPLAY if gateway is None else gateway, "state_folder": tmp_path} | settings
        desk = Desk.open(DeskSettings.make("embedded", **settings))
        opened.append(desk)
        return desk

    yield make
    for desk in opened:
        desk.close()


@pytest.fixture
def desk(open_desk: OpenDesk) -> Desk:
    """An embedded desk on real daily prices."""
    return open_desk()


@pytest.fixture
def watch() -> Callable[[Desk], Watcher]:
    """Makes a watcher of a desk's feed."""
    return lambda desk: Watcher(desk.feed)


@pytest.fixture
def ema_cross() -> Path:
    """The shipped strategy's file."""
    return STRATEGIES / "ema_cross.py"


@pytest.fixture
def write_strategy(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a strategy file with this class body; the class is called as the file, in camel case."""

    def write(name: str, body: str) -> Path:
        path = tmp_path / f"{name}.py"
        title = "".join(word.capitalize() for word in name.split("_"))
        lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
        path.write_text(
            f"import polars as pl\nfrom ibdesk import Bar, Strategy\n\n\nclass {title}(Strategy):\n{lines}\n",
            encoding="utf-8",
        )
        return path

    return write
