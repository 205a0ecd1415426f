"""`ibdesk engine`: runs a desk and its port, without the web server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ibdesk.cli.heartbeat import Heartbeat
from ibdesk.cli.interrupt import CleanupStack
from ibdesk.cli.logs import open_log
from ibdesk.cli.screen import console, line, step, until, waiting
from ibdesk.cli.serving import Work, serve
from ibdesk.cli.trading import Connection, Run, open_desk
from ibdesk.cli.watch import watch
from ibdesk.config import Given
from ibdesk.desk import Desk, DeskSettings
from ibdesk.desk.child import end_with_parent
from ibdesk.desk.port.host import PortHost, PortTransport
from ibdesk.desk.port.socket_transport import SocketTransport
from ibdesk.desk.priority import go_first
from ibdesk.store import MarketCache, RedisCache
from ibdesk.telemetry import NEVER_RESTART, Supervisor, TaskInfo

if TYPE_CHECKING:
    from ibdesk.desk.election import Election
    from ibdesk.desk.journal_sender import JournalSender

_PRIORITIES = {
    True: "real time, ahead of other programs on this machine",
    False: "normal (ulimit -r 1 would allow real time)",
}


def run_engine(
    connection: Connection, run: Run | None, *, address: str | None, seconds: float | None, is_child: bool
) -> None:
    """Keep a desk open for other processes until Ctrl-C or for some seconds, with a run if one is given.

    A child prints one line, its address, when it is ready, and ends when its standard input closes.

    Raises:
        IbdeskError: If the desk or the run cannot be started, or the desk fails.
    """
    if run is not None:
        run.check()
    settings = connection.settings(DeskSettings, Given("port_address", address, "--desk"))
    if is_child:
        console.quiet = True
        end_with_parent()
    with CleanupStack() as cleanup:
        cleanup.enter_context(open_log("engine", settings, is_child=is_child))
        heartbeat = cleanup.enter_context(Heartbeat(to_parent=is_child))
        supervisor, token = Supervisor(), 0
        works: list[Work] = [supervisor.run]
        more_tasks: Callable[[], list[TaskInfo]] = list
        if settings.redis.url is None or settings.mode == "embedded":
            desk = cleanup.enter_context(open_desk(settings, resume=connection.resume))
        else:
            if not is_child:
                heartbeat.begin("standing by")
            desk, election, sender = _open_when_elected(cleanup, settings, resume=connection.resume)
            works.append(election.until_lost)
            token = election.health.token
            desk.process_context.lease = lambda: election.health
            desk.process_context.pools.append(lambda: election.pool)
            more_tasks = sender.tasks
        desk.process_context.tasks = lambda: [*supervisor.tasks(), *more_tasks()]
        host, where = _host_of(desk, settings, supervisor, token=token)
        heartbeat.follow(lambda: desk.seconds_behind)
        supervisor.add("desk port", host.run, essential=True, policy=NEVER_RESTART)
        step(f"Engine, {settings.mode}")
        if settings.real_time_priority and settings.mode != "embedded" and sys.platform == "linux":
            line("priority", _PRIORITIES[go_first()])
        line("TWS", f"{desk.address}, account {desk.health().account}")
        line("journal", Text(desk.journal_path))
        if run is not None:
            line("run", f"{run.start(desk)} on {run.bar} bars of {', '.join(run.on)}")

        async def show() -> None:
            await host.answering.wait()
            heartbeat.begin(f"trading {settings.mode} account {desk.account_id}")
            line("desk port", Text(", ".join(where)))
            line("end", until(seconds))
            await watch(desk)

        async def tell_parent() -> None:
            await host.answering.wait()
            sys.stdout.write(f"{where[0]}\n")
            sys.stdout.flush()
            heartbeat.begin(f"trading {settings.mode} account {desk.account_id}")
            await asyncio.Event().wait()

        serve(desk.until_ended, tell_parent if is_child else show, *works, seconds=seconds)


def _open_when_elected(
    cleanup: CleanupStack, settings: DeskSettings, *, resume: str | None
) -> tuple[Desk, Election, JournalSender]:
    """Stand by until no other engine trades the account, then open the desk with the books of the previous engine.

    If those books are known to be incomplete, trading is halted, even if `resume` lifted a halt.
    """
    from ibdesk.desk.election import Election
    from ibdesk.desk.journal_follower import JournalFollower
    from ibdesk.desk.journal_sender import JournalSender

    election = cleanup.enter_context(Election(settings))
    # Closed after the desk and before the lease is released, so that the next engine finds the whole journal.
    sender = cleanup.enter_context(JournalSender(settings, election.office))
    with JournalFollower(settings, election.office) as follower:
        with waiting(f"standing by for {election.office}"):
            election.wait()

        def open_up_to_date() -> Desk:
            follower.catch_up()
            return open_desk(settings, resume=resume, fence=election)

        desk = cleanup.enter_context(election.open(open_up_to_date))
        if follower.fault:
            desk.halt(follower.fault, by="standby")
    sender.send(Path(desk.journal_path), token=election.health.token)
    return desk, election, sender


def _host_of(desk: Desk, settings: DeskSettings, supervisor: Supervisor, *, token: int) -> tuple[PortHost, list[str]]:
    """Return the desk port and its addresses."""
    transports: list[PortTransport] = [SocketTransport(settings.socket.path)]
    where = [str(settings.socket)]
    if settings.redis.url is not None:
        transports.append(_open_to_other_machines(desk, settings, supervisor, token=token))
        where.append(str(settings.stream))
    return PortHost(desk, desk.feed, *transports), where


def _open_to_other_machines(desk: Desk, settings: DeskSettings, supervisor: Supervisor, *, token: int) -> PortTransport:
    """Return the transport over Redis; background tasks maintain its connections and the market cache."""
    from ibdesk.desk.port.stream_transport import StreamTransport
    from ibdesk.store.redis.pool import RedisPool

    pool = RedisPool(settings.redis)
    market = MarketCache(RedisCache(pool, name=settings.stream.name))

    async def keep_redis() -> None:
        try:
            await pool.run()
        finally:
            await pool.close()

    supervisor.add("redis", keep_redis)
    supervisor.add("market cache", lambda: market.keep_up_with(desk.batches()))
    desk.process_context.pools.append(lambda: pool.health)
    return StreamTransport(pool, settings.stream.name, token=token)
