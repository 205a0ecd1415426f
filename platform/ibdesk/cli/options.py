"""The options that commands share, each with its type and its line of help."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from ibdesk.errors import ConfigError


class Mode(enum.StrEnum):
    """What a desk connects to; the values are those of `ibdesk.config.Mode`."""

    EMBEDDED = "embedded"
    PAPER = "paper"
    LIVE = "live"


class Commission(enum.StrEnum):
    """What trading costs in a backtest."""

    FIXED = "fixed"
    TIERED = "tiered"
    NONE = "none"


_TWS = "TWS or IB Gateway"
_WEB = "Web"

# SAMPLE: what `--sample` stands for, in the words of the help.
SAMPLE = "the sample: daily prices of AAPL, GOOG, IBM and MSFT, 2000 to 2013"

StrategyFile = Annotated[
    Path, typer.Argument(metavar="STRATEGY", help="Strategy file, such as strategies/ema_cross.py")
]
Parameters = Annotated[
    list[str],
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter of the strategy; may be given repeatedly"),
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
BarLength = Annotated[str, typer.Option("--bar", help="Length of the bars: 5 secs, 1 min, 4 hours, 1 day")]
Report = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Write an HTML report with plots to this file or folder", show_default=False),
]
Seconds = Annotated[
    float | None,
    typer.Option("--for", metavar="SECONDS", min=0, help="End by itself after so long", show_default="until Ctrl-C"),
]
Speed = Annotated[float, typer.Option(min=0.1, max=100, help="Market seconds per real second (20 = 20 times as fast).")]

ModeOption = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        help="Our own gateway, a TWS on paper, or live money",
        show_default="mode: embedded",
        rich_help_panel=_TWS,
    ),
]
TwsHost = Annotated[
    str | None,
    typer.Option(
        "--tws-host", "--host", help="Where it runs", show_default="tws.host: 127.0.0.1", rich_help_panel=_TWS
    ),
]
_PORT_HELP = "Its API port: TWS 7497 (paper) or 7496 (live), IB Gateway 4002 or 4001"
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
        help="Lift the halt of this id, once; one that was lifted before lifts nothing",
        show_default=False,
    ),
]
TakeOverRun = Annotated[
    str,
    typer.Option(
        metavar="RUN",
        help="Go on with the book of a run that an earlier desk left, with the parameters, instruments and bars of now",
        show_default=False,
    ),
]
Budget = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="A limit of the run's own beside those of the account, such as max_daily_loss=500; may come again",
        show_default=False,
    ),
]
ClientId = Annotated[
    int | None,
    typer.Option(
        min=0, help="Number of this program at that TWS", show_default="tws.client_id: 1", rich_help_panel=_TWS
    ),
]
Account = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Account to trade; live money needs it",
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
        help="Embedded only: how many seconds of market time pass in one second",
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
        help="Port of API and feed; the next free one if taken",
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
        min=1, max=64, help="Processes that serve API and feed", show_default="server.workers: 1", rich_help_panel=_WEB
    ),
]
DeskAddress = Annotated[
    str | None,
    typer.Option(
        "--desk",
        metavar="ADDRESS",
        help="Where engine and web meet, such as unix:/run/ibdesk/desk.sock",
        show_default="port_address: a socket in state_folder",
    ),
]
EndWithStdin = Annotated[
    bool,
    typer.Option("--end-with-stdin", help="Be a child: one line when ready, end with standard input", hidden=True),
]
Worker = Annotated[
    int | None,
    typer.Option(
        "--worker",
        min=1,
        help="Be the child of this number: one line when ready, a shared port, end with standard input",
        hidden=True,
    ),
]
DashboardPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Port of the dashboard; the next free one if taken",
        show_default="dashboard.port: 5006",
        rich_help_panel=_WEB,
    ),
]
Dashboard = Annotated[bool, typer.Option(help="Serve the dashboard too", rich_help_panel=_WEB)]


def names(text: str) -> list[str]:
    """Return the names of a list separated by commas, each once."""
    return list(dict.fromkeys(name for name in (part.strip() for part in text.split(",")) if name))


def parameters(pairs: list[str]) -> dict[str, object]:
    """Return what ``name=value`` pairs say; values stay text, which the strategy's fields read.

    Raises:
        ConfigError: If one has no name, no ``=``, or a name comes twice.
    """
    found: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--param {pair!r} is no parameter: write it as name=value, such as fast=10")
        if name.strip() in found:
            raise ConfigError(f"--param {name.strip()} is given twice: which value is meant?")
        found[name.strip()] = value.strip()
    return found


def budget(pairs: list[str] | None) -> dict[str, float]:
    """Return the limits that ``name=value`` pairs give a run.

    Raises:
        ConfigError: If one has no name, or its value is not a number.
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


_DATA = "What a file of bars does not say itself"
Symbol = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The instrument of a file that names none", show_default=False, rich_help_panel=_DATA
    ),
]
Zone = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE",
        help="Zone of times that carry none, such as America/New_York",
        show_default=False,
        rich_help_panel=_DATA,
    ),
]
DateOrder = Annotated[
    str | None,
    typer.Option(
        metavar="ORDER", help="mdy or dmy, for dates like 01/02/2024", show_default=False, rich_help_panel=_DATA
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(metavar="MARK", help=". or , for numbers like 1,234", show_default=False, rich_help_panel=_DATA),
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
        help="How long bars last; 'SYMBOL=1 day' for each where lengths differ",
        show_default=False,
        rich_help_panel=_DATA,
    ),
]
Splits = Annotated[
    list[str],
    typer.Option(
        "--split",
        metavar="SPLIT",
        help="A split to take out of the prices: 'AAPL 2020-08-31 4:1'",
        show_default=False,
        rich_help_panel=_DATA,
    ),
]
