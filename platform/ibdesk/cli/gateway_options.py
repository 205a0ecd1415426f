"""The options of `ibdesk gateway`, each with its type and its line of help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ibdesk.errors import ConfigError

MARKET, ACCOUNT, WATCH, RECORD = "Market", "Account", "Watch", "Record and replay"

Host = Annotated[str | None, typer.Option(help="Address to listen on", show_default="gateway.host: 127.0.0.1")]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one", show_default="gateway.port: 7497"),
]
Symbols = Annotated[
    str | None,
    typer.Option(
        metavar="AAPL,EUR.USD",
        help="Instruments of its market",
        show_default="gateway.symbols: six random ones, or all of a replay",
        rich_help_panel=MARKET,
    ),
]
Replay = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Play these bars: a CSV or Parquet file, or a folder",
        show_default=False,
        rich_help_panel=MARKET,
    ),
]
PlayEachOver = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Play each bar in so many seconds of the market",
        show_default="its own, sample: 5",
        rich_help_panel=MARKET,
    ),
]
Script = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Play the quotes and trades that this CSV or TOML file states, each at its time",
        show_default=False,
        rich_help_panel=MARKET,
    ),
]
Start = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Bars of the replay that are past when it begins",
        show_default="gateway.start: 0, sample: 300 of each symbol",
        rich_help_panel=MARKET,
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        max=100,
        help="Market seconds per real second (20 = 20 times as fast).",
        show_default="gateway.speed: 1",
        rich_help_panel=MARKET,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Another seed is another random market", show_default="gateway.seed: 0", rich_help_panel=MARKET),
]
Hours = Annotated[
    Literal["always", "exchange"] | None,
    typer.Option(
        "--hours",
        help="Trade day and night, or in the sessions of the exchanges",
        show_default="gateway.hours: always",
        rich_help_panel=MARKET,
    ),
]
Data = Annotated[
    Literal["live", "delayed"] | None,
    typer.Option(
        "--data",
        help="Market data that clients are entitled to",
        show_default="gateway.data: live",
        rich_help_panel=MARKET,
    ),
]
Strict = Annotated[
    bool | None,
    typer.Option(
        "--strict",
        help="Know only the shipped contracts, not any symbol",
        show_default="gateway.strict",
        rich_help_panel=MARKET,
    ),
]
Partial = Annotated[
    bool | None,
    typer.Option(
        "--partial",
        help="Fill no more at once than is displayed",
        show_default="gateway.partial",
        rich_help_panel=MARKET,
    ),
]
Faults = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Play this fault script (TOML)", show_default=False, rich_help_panel=MARKET),
]

Account = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Paper account; begins with D",
        show_default="gateway.account: DU9000001",
        rich_help_panel=ACCOUNT,
    ),
]
Accounts = Annotated[
    str | None,
    typer.Option(
        metavar="DU1,DU2", help="Several paper accounts in its place", show_default=False, rich_help_panel=ACCOUNT
    ),
]
Cash = Annotated[
    float | None,
    typer.Option(
        help="What each account begins with, US dollars",
        show_default="gateway.cash: 1,000,000",
        rich_help_panel=ACCOUNT,
    ),
]
State = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Keep orders and accounts here over a restart", show_default=False, rich_help_panel=ACCOUNT
    ),
]
Statement = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the Flex statement (XML) of its accounts to this file at the end",
        show_default=False,
        rich_help_panel=ACCOUNT,
    ),
]
Pacing = Annotated[
    bool | None,
    typer.Option(
        help="Let clients ask no more than TWS allows", show_default="gateway.pacing: yes", rich_help_panel=ACCOUNT
    ),
]

Status = Annotated[
    bool,
    typer.Option("--status", help="Show a page of sessions, orders, market and faults", rich_help_panel=WATCH),
]
LogMessages = Annotated[
    bool, typer.Option("--log-messages", help="Print every message in words", rich_help_panel=WATCH)
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write every message in words to this file", show_default=False, rich_help_panel=WATCH
    ),
]
Record = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Record the conversation, accounts masked, in this new file",
        show_default=False,
        rich_help_panel=RECORD,
    ),
]
Proxy = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Pass clients on to the TWS there; their orders are real",
        show_default=False,
        rich_help_panel=RECORD,
    ),
]
ReplayConversation = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Answer clients as this recording has it", show_default=False, rich_help_panel=RECORD
    ),
]
RecordedTimes = Annotated[
    bool,
    typer.Option("--recorded-times", help="Answer as late as was recorded, not at once", rich_help_panel=RECORD),
]


def check_alone(*, proxy: bool, playback: bool, with_market: bool, with_page: bool, with_listeners: bool) -> None:
    """Refuse options that mean nothing to `--proxy` or `--replay-conversation`.

    Raises:
        ConfigError: If there are such.
    """
    if proxy and playback:
        raise ConfigError("--proxy and --replay-conversation are two ways to run: choose one")
    name, has = ("--proxy", "the TWS behind it") if proxy else ("--replay-conversation", "the recording")
    if with_market:
        raise ConfigError(f"{name} takes market and account from {has}: leave the options for them out")
    if with_page:
        raise ConfigError(f"--status shows a gateway of our own, which {name} has none of: leave it out")
    if playback and with_listeners:
        raise ConfigError("--replay-conversation has everything recorded already: leave --record and the log out")
