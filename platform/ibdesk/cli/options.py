"""The options that commands share, each with its type and help."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from ibdesk.errors import ConfigError


class Mode(enum.StrEnum):
    """The kind of TWS that a desk connects to; the values are those of `ibdesk.config.Mode`."""

    EMBEDDED = "embedded"
    PAPER = "paper"
    LIVE = "live"


class Commission(enum.StrEnum):
    """The commission schedule of a backtest."""

    FIXED = "fixed"
    TIERED = "tiered"
    NONE = "none"


_TWS = "TWS or IB Gateway"
_WEB = "Web"

# The meaning of `--sample` in help texts.
SAMPLE = "the sample prices: daily AAPL, GOOG, IBM and MSFT, 2000 to 2013"

StrategyFile = Annotated[
    Path, typer.Argument(metavar="STRATEGY", help="Strategy file, such as strategies/ema_cross.py")
]
Parameters = Annotated[
    list[str],
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter of the strategy; can be repeated"),
]
Symbols = Annotated[
    str, typer.Option(metavar="AAPL,MSFT", help="Only these symbols, separated by commas", show_default="all")
]
On = Annotated[
    str,
    typer.Option(
        "--on", metavar="AAPL,MSFT", help="Instruments: stocks (AAPL), currencies (EUR.USD), futures (ES-202612)"
    ),
]
BarLength = Annotated[str, typer.Option("--bar", help="Bar length: 5 secs, 1 min, 4 hours, 1 day")]
Report = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Write an HTML report with plots to this file or folder", show_default=False),
]
Seconds = Annotated[
    float | None,
    typer.Option("--for", metavar="SECONDS", min=0, help="Stop after this time", show_default="until Ctrl-C"),
]
Speed = Annotated[float, typer.Option(min=0.1, max=100, help="Market seconds per real second (20 = 20 times as fast).")]

ModeOption = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        help="embedded (simulated TWS), paper or live",
        show_default="mode: embedded",
        rich_help_panel=_TWS,
    ),
]
TwsHost = Annotated[
    str | None,
    typer.Option("--tws-host", "--host", help="Host of TWS", show_default="tws.host: 127.0.0.1", rich_help_panel=_TWS),
]
_PORT_HELP = "API port: TWS 7497 (paper) or 7496 (live), IB Gateway 4002 or 4001"
RunPort = Annotated[
    int | None,
    typer.Option(
        "--tws-port",
        "--port",
        metavar="PORT",
        min=1,
        max=65535,
        help=_PORT_HELP,
        show_default="tws.port: 7497",
        rich_help_panel=_TWS,
    ),
]
TwsPort = Annotated[
    int | None,
    typer.Option(
        "--tws-port",
        metavar="PORT",
        min=1,
        max=65535,
        help=_PORT_HELP,
        show_default="tws.port: 7497",
        rich_help_panel=_TWS,
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Lift the halt with this id; no effect if it was lifted before",
        show_default=False,
    ),
]
TakeOverRun = Annotated[
    str,
    typer.Option(
        metavar="RUN",
        help="Continue with the book of an earlier desk's run, with the parameters, instruments and bars given here",
        show_default=False,
    ),
]
Budget = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="A limit of the run, such as max_daily_loss=500, in addition to the account's; can be repeated",
        show_default=False,
    ),
]
ClientId = Annotated[
    int | None,
    typer.Option(min=0, help="Client id at TWS", show_default="tws.client_id: 1", rich_help_panel=_TWS),
]
Account = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Account to trade; required for live",
        show_default="tws.account: the only one",
        rich_help_panel=_TWS,
    ),
]
EmbeddedSpeed = Annotated[
    float | None,
    typer.Option(
        "--speed",
        min=0.1,
        max=100,
        help="Market seconds per real second (embedded mode only)",
        show_default="gateway.speed: 1",
        rich_help_panel=_TWS,
    ),
]

ApiPort = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        help="Port of API and feed; if taken, the next free one",
        show_default="server.port: 8000",
        rich_help_panel=_WEB,
    ),
]
WebHost = Annotated[
    str | None,
    typer.Option("--host", help="Address of API and feed", show_default="server.host: 127.0.0.1", rich_help_panel=_WEB),
]
WebPort = Annotated[
    int | None,
    typer.Option(
        "--port", min=0, max=65535, help="Port of API and feed", show_default="server.port: 8000", rich_help_panel=_WEB
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64,
        help="Number of processes that serve API and feed",
        show_default="server.workers: 1",
        rich_help_panel=_WEB,
    ),
]
DeskAddress = Annotated[
    str | None,
    typer.Option(
        "--desk",
        metavar="ADDRESS",
        help="Address of the desk port, such as unix:/run/ibdesk/desk.sock",
        show_default="port_address: a socket in state_folder",
    ),
]
EndWithStdin = Annotated[
    bool,
    typer.Option(
        "--end-with-stdin",
        help="Run as a child process: print one line when ready, end when standard input closes",
        hidden=True,
    ),
]
Worker = Annotated[
    int | None,
    typer.Option(
        "--worker",
        min=1,
        help="Run as the child of this number: share the port, print one line when ready, end with standard input",
        hidden=True,
    ),
]
DashboardPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Port of the dashboard; if taken, the next free one",
        show_default="dashboard.port: 5006",
        rich_help_panel=_WEB,
    ),
]
Dashboard = Annotated[bool, typer.Option(help="Serve the dashboard too", rich_help_panel=_WEB)]


def names(text: str) -> list[str]:
    """Return the names of a comma-separated list, without duplicates."""
    return list(dict.fromkeys(name for name in (part.strip() for part in text.split(",")) if name))


def parameters(pairs: list[str]) -> dict[str, object]:
    """Return the ``name=value`` pairs as a dictionary; values stay text, which the strategy's fields parse.

    Raises:
        ConfigError: If a pair has no name or no ``=``, or a name is repeated.
    """
    found: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--param {pair!r} is not valid: write it as name=value, such as fast=10")
        if name.strip() in found:
            raise ConfigError(f"--param {name.strip()} is given twice: keep one")
        found[name.strip()] = value.strip()
    return found


def budget(pairs: list[str] | None) -> dict[str, float]:
    """Return the run's limits from ``name=value`` pairs.

    Raises:
        ConfigError: If a pair has no name, or its value is not a number.
    """
    found: dict[str, float] = {}
    for pair in pairs or ():
        name, _, value = pair.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise ConfigError(
                f"--budget {pair!r} is not a limit: write it as name=number, such as max_position=100"
            ) from None
    return found


_DATA = "Facts that a file of bars does not contain"
Symbol = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Instrument, if the file names none", show_default=False, rich_help_panel=_DATA),
]
Zone = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE",
        help="Time zone of times without one, such as America/New_York",
        show_default=False,
        rich_help_panel=_DATA,
    ),
]
DateOrder = Annotated[
    str | None,
    typer.Option(
        metavar="ORDER", help="mdy or dmy, for dates such as 01/02/2024", show_default=False, rich_help_panel=_DATA
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(
        metavar="MARK", help="Decimal mark, . or , for numbers such as 1,234", show_default=False, rich_help_panel=_DATA
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Layout by name, see [bold]ibdesk data formats[/bold]",
        show_default=False,
        rich_help_panel=_DATA,
    ),
]
Interval = Annotated[
    list[str],
    typer.Option(
        metavar="LENGTH",
        help="Bar length; SYMBOL=LENGTH for each symbol if lengths differ",
        show_default=False,
        rich_help_panel=_DATA,
    ),
]
Splits = Annotated[
    list[str],
    typer.Option(
        "--split",
        metavar="SPLIT",
        help="A split to adjust prices for: 'AAPL 2020-08-31 4:1'",
        show_default=False,
        rich_help_panel=_DATA,
    ),
]
