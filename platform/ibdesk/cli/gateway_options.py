"""The options of `ibdesk gateway`, each with its type and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ibdesk.errors import ConfigError

MARKET, ACCOUNT, WATCH, RECORD = "Market", "Account", "Watch", "Record and replay"

Host = Annotated[str | None, typer.Option(help="Address to listen on", show_default="gateway.host: 127.0.0.1")]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free port", show_default="gateway.port: 7497"),
]
Symbols = Annotated[
    str | None,
    typer.Option(
        metavar="AAPL,EUR.USD",
        help="Instruments of the market",
        show_default="gateway.symbols: six random ones, or all of a replay",
        rich_help_panel=MARKET,
    ),
]
Replay = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Replay these bars: a CSV or Parquet file, or a folder",
        show_default=False,
        rich_help_panel=MARKET,
    ),
]
PlayEachOver = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Market seconds in which each bar is played",
        show_default="the bar's length; sample: 5",
        rich_help_panel=MARKET,
    ),
]
Script = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Play the quotes and trades of this CSV or TOML file at their times",
        show_default=False,
        rich_help_panel=MARKET,
    ),
]
Start = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Number of bars already past when the replay begins",
        show_default="gateway.start: 0; sample: 300 of each symbol",
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
    typer.Option(help="Seed of the random market", show_default="gateway.seed: 0", rich_help_panel=MARKET),
]
Hours = Annotated[
    Literal["always", "exchange"] | None,
    typer.Option(
        "--hours",
        help="Trade around the clock, or in the sessions of the exchanges",
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
        help="Accept only the shipped contracts, not any symbol",
        show_default="gateway.strict",
        rich_help_panel=MARKET,
    ),
]
Partial = Annotated[
    bool | None,
    typer.Option(
        "--partial",
        help="Fill at most the displayed size at once",
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
        help="Paper account; its id begins with D",
        show_default="gateway.account: DU9000001",
        rich_help_panel=ACCOUNT,
    ),
]
Accounts = Annotated[
    str | None,
    typer.Option(
        metavar="DU1,DU2", help="Several paper accounts instead of one", show_default=False, rich_help_panel=ACCOUNT
    ),
]
Cash = Annotated[
    float | None,
    typer.Option(
        help="Starting cash of each account, US dollars",
        show_default="gateway.cash: 1,000,000",
        rich_help_panel=ACCOUNT,
    ),
]
State = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Keep orders and accounts in this file across restarts",
        show_default=False,
        rich_help_panel=ACCOUNT,
    ),
]
Statement = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the accounts' Flex statement (XML) to this file at the end",
        show_default=False,
        rich_help_panel=ACCOUNT,
    ),
]
Pacing = Annotated[
    bool | None,
    typer.Option(
        help="Enforce TWS's limit of messages per second", show_default="gateway.pacing: yes", rich_help_panel=ACCOUNT
    ),
]

Status = Annotated[
    bool,
    typer.Option("--status", help="Show a page of sessions, orders, market and faults", rich_help_panel=WATCH),
]
LogMessages = Annotated[bool, typer.Option("--log-messages", help="Print every message", rich_help_panel=WATCH)]
LogFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write every message to this file", show_default=False, rich_help_panel=WATCH),
]
Record = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Record all messages, with accounts masked, in this new file",
        show_default=False,
        rich_help_panel=RECORD,
    ),
]
Proxy = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Forward clients to this TWS; their orders are real",
        show_default=False,
        rich_help_panel=RECORD,
    ),
]
ReplayConversation = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Answer clients from this recording", show_default=False, rich_help_panel=RECORD),
]
RecordedTimes = Annotated[
    bool,
    typer.Option("--recorded-times", help="Answer with the recorded delays, not at once", rich_help_panel=RECORD),
]


def check_alone(*, proxy: bool, playback: bool, with_market: bool, with_page: bool, with_listeners: bool) -> None:
    """Refuse options that do not apply to `--proxy` or `--replay-conversation`.

    Raises:
        ConfigError: If such an option is given.
    """
    if proxy and playback:
        raise ConfigError("--proxy and --replay-conversation exclude each other: choose one")
    name, has = ("--proxy", "the TWS behind it") if proxy else ("--replay-conversation", "the recording")
    if with_market:
        raise ConfigError(f"{name} takes market and account from {has}: leave their options out")
    if with_page:
        raise ConfigError(f"--status shows a simulated gateway, and {name} runs none: leave it out")
    if playback and with_listeners:
        raise ConfigError("--replay-conversation plays a recording: leave --record and the log options out")
