"""The commands of the TWS simulator, with their options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from ibdesk.cli import gateway_options as g
from ibdesk.cli import options as o
from ibdesk.cli.app import command
from ibdesk.cli.loading import loading


@command(
    "Trade",
    "ibdesk gateway --status",
    "ibdesk gateway --port 0 --symbols AAPL,EUR.USD --seed 7 --speed 10",
    "ibdesk gateway --sample --speed 10 --faults faults.toml --log-messages",
    "ibdesk gateway --statement flex.xml --state gateway.db",
    "ibdesk gateway --proxy 127.0.0.1:7496 --port 7400 --record monday.jsonl",
    "ibdesk gateway --replay-conversation monday.jsonl",
)
def gateway(
    context: typer.Context,
    host: g.Host = None,
    port: g.Port = None,
    seconds: o.Seconds = None,
    symbols: g.Symbols = None,
    replay: g.Replay = None,
    play_each_over: g.PlayEachOver = None,
    start: g.Start = None,
    speed: g.Speed = None,
    seed: g.Seed = None,
    script: g.Script = None,
    hours: g.Hours = None,
    data: g.Data = None,
    account: g.Account = None,
    accounts: g.Accounts = None,
    cash: g.Cash = None,
    state: g.State = None,
    statement: g.Statement = None,
    faults: g.Faults = None,
    log_file: g.LogFile = None,
    record: g.Record = None,
    proxy: g.Proxy = "",
    replay_conversation: g.ReplayConversation = None,
    *,
    sample: Annotated[bool, typer.Option("--sample", help=f"Play {o.SAMPLE}", rich_help_panel=g.MARKET)] = False,
    strict: g.Strict = None,
    partial: g.Partial = None,
    pacing: g.Pacing = None,
    status: g.Status = False,
    log_messages: g.LogMessages = False,
    recorded_times: g.RecordedTimes = False,
) -> None:
    """Run a simulated TWS until Ctrl-C. Any TWS client can connect and trade on paper.

    It needs no account and no network. Its market is a random walk or a replay of past bars.

    With --proxy it forwards all messages to a real TWS instead. With --replay-conversation it answers from a
    recording.
    """
    with loading():
        from ibdesk.cli.gateway import TrafficOptions, run_gateway_until_stopped
        from ibdesk.cli.gateway_proxy import run_playback_until_stopped, run_proxy_until_stopped
        from ibdesk.cli.gateway_settings import read_settings

    market = {
        "symbols": symbols,
        "replay": replay,
        "play_each_over_seconds": play_each_over,
        "start": start,
        "speed": speed,
        "seed": seed,
        "account": account,
        "accounts": accounts,
        "cash": cash,
        "strict": strict,
        "partial": partial,
        "state": state,
        "faults": faults,
        "script": script,
        "hours": hours,
        "data": data,
    }
    settings = read_settings({"host": host, "port": port, "pacing": pacing, **market}, config=context.obj.config)
    watching = TrafficOptions(status=status, log_messages=log_messages, log_file=log_file, record=record)
    if proxy or replay_conversation is not None:
        g.check_alone(
            proxy=bool(proxy),
            playback=replay_conversation is not None,
            with_market=sample or pacing is False or any(value is not None for value in (*market.values(), statement)),
            with_page=status,
            with_listeners=log_messages or log_file is not None or record is not None,
        )
    if proxy:
        run_proxy_until_stopped(proxy, watching, host=settings.host, port=settings.port, seconds=seconds)
    elif replay_conversation is not None:
        run_playback_until_stopped(
            replay_conversation, timed=recorded_times, host=settings.host, port=settings.port, seconds=seconds
        )
    else:
        run_gateway_until_stopped(settings, watching, sample=sample, seconds=seconds, statement=statement)


@command(
    "Prove",
    "ibdesk faults",
    "ibdesk faults --seed 7 --lasting 600 > faults.toml",
    "ibdesk faults --seed 7 --kinds hang_up,lose_connectivity --intensity 1",
)
def faults(
    seed: Annotated[
        int | None, typer.Option(help="Print a random script drawn from this seed", show_default=False)
    ] = None,
    lasting: Annotated[float, typer.Option(min=1, max=86_400, help="Market seconds that the script covers")] = 600.0,
    intensity: Annotated[float, typer.Option(min=0, max=600, help="Faults of each kind per minute")] = 0.2,
    kinds: Annotated[
        str, typer.Option(metavar="KIND,KIND", help="Kinds to draw; default all", show_default=False)
    ] = "",
) -> None:
    """List the faults that the gateway can play, or print a random script for `ibdesk gateway --faults`."""
    with loading():
        from ibdesk.cli.gateway_reference import print_kinds, print_random_script

    if seed is None:
        print_kinds()
    else:
        print_random_script(seed, seconds=lasting, intensity=intensity, kinds=tuple(o.names(kinds)))


@command("Prove", "ibdesk messages", "ibdesk messages placeOrder", "ibdesk messages 3 --version 176")
def messages(
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="Name or number", show_default=False)] = "",
    version: Annotated[int, typer.Option(help="Server version")] = 178,
) -> None:
    """List the messages of the TWS protocol, or print one message's fields in wire order."""
    with loading():
        from ibdesk.cli.gateway_reference import print_messages

    print_messages(message, version=version)
