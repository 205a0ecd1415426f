"""What a seed stands for: a market, strategies, and a schedule of commands and faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from ibdesk.gateway.faults.kinds import KINDS
from ibdesk.gateway.faults.orders import CorrectExecution, RejectNextOrder, SetNextOrderId
from ibdesk.gateway.faults.telling import LoseAcknowledgement, TellNothing
from ibdesk.simulation.strategies import ALL

SYMBOLS = ("AAPL", "MSFT")
# How long faults and commands go on, and how long the desk then has until all must be well, virtual seconds.
STORM_SECONDS, SETTLE_SECONDS = 45.0, 45.0


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something that happens `at` so many seconds after the start."""

    at: float

    @property
    def words(self) -> str:
        """Return kind and fields as one line."""
        fields = msgspec.to_builtins(self)
        kind, at = fields.pop("kind"), fields.pop("at")
        return f"{at:g} {kind} {msgspec.json.encode(fields).decode()}"


# ---- faults ---------------------------------------------------------------------------------------------------------


class Kill(Step, frozen=True, tag="kill"):
    """Kill the desk within its next turn that sends something, or its next turn at all after two seconds.

    `writes` is how much of what the turn sends still leaves, as a share of its writes, and `piece` how much of the next
    one. Where that is nothing, `torn` is which part of the journal's last commit is on disk. `is_power_loss`: the
    machine lost its power, so that what the journal wrote in the last `lost_seconds` is not on disk either.
    """

    writes: float
    piece: float
    torn: float
    is_power_loss: bool = False
    lost_seconds: float = 0.0
    silent_seconds: float = 0.0


class Stall(Step, frozen=True, tag="stall"):
    """Stop a process for a while, as SIGSTOP does."""

    process: str
    seconds: float


class FillDisk(Step, frozen=True, tag="fill_disk"):
    """Let the desk's journal grow no more for a while."""

    seconds: float


class Restart(Step, frozen=True, tag="restart"):
    """Close the desk in good order; it is started again."""


class HoldNetwork(Step, frozen=True, tag="hold_network"):
    """Let no byte arrive for a while."""

    seconds: float


class CutLink(Step, frozen=True, tag="cut_link"):
    """Cut the desk's connections."""


class KillGateway(Step, frozen=True, tag="kill_gateway"):
    """Kill the gateway, which is started again with the state that it has kept."""

    down_seconds: float


class Misbehave(Step, frozen=True, tag="misbehave"):
    """Have the gateway play one of its faults."""

    fault: dict[str, Any]


class Rival(Step, frozen=True, tag="rival"):
    """Start a second engine for the account for a while: on the same folder, or on one of its own."""

    same_folder: bool
    same_client: bool
    seconds: float


# ---- a person -------------------------------------------------------------------------------------------------------


class Halt(Step, frozen=True, tag="halt"):
    """Halt trading."""


class Lift(Step, frozen=True, tag="lift"):
    """Lift a halt that holds."""


class Place(Step, frozen=True, tag="place"):
    """Place an order by hand; asked twice with the same key where `is_repeated`."""

    symbol: str
    side: str
    quantity: float
    # offset: how far a limit is from the last price, as a fraction; None places at the market.
    offset: float | None
    key: str
    is_repeated: bool


class Modify(Step, frozen=True, tag="modify"):
    """Change the limit of the oldest open limit order by a fraction."""

    by: float


class Cancel(Step, frozen=True, tag="cancel"):
    """Withdraw the oldest open order, or all."""

    every: bool


class StopRun(Step, frozen=True, tag="stop_run"):
    """Stop a run for good."""

    strategy: str
    flatten: bool


class Reparameterize(Step, frozen=True, tag="reparameterize"):
    """Change the size that a run trades."""

    strategy: str
    size: int


class TradeAtTws(Step, frozen=True, tag="trade_at_tws"):
    """Trade in TWS itself."""

    symbol: str
    side: str
    quantity: float


class StopAll(Step, frozen=True, tag="stop_all"):
    """Have the guardian stop the account: `do` is halt, cancel or flatten."""

    do: str


class KillGuardian(Step, frozen=True, tag="kill_guardian"):
    """Kill the guardian, which is started again with what it has kept."""

    down_seconds: float


class AcceptOutside(Step, frozen=True, tag="accept_outside"):
    """Have what was traded outside booked to those whose positions it took."""

    symbol: str


AnyStep = (
    Kill
    | Stall
    | FillDisk
    | Restart
    | HoldNetwork
    | CutLink
    | KillGateway
    | Misbehave
    | Rival
    | Halt
    | Lift
    | Place
    | Modify
    | Cancel
    | StopRun
    | Reparameterize
    | TradeAtTws
    | AcceptOutside
    | StopAll
    | KillGuardian
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation in full: the same plan gives the same history, to the byte."""

    seed: int
    strategies: tuple[str, ...]
    steps: tuple[AnyStep, ...]
    symbols: tuple[str, ...] = SYMBOLS
    yearly_volatility: float = 2.0
    partial: bool = False
    # latency_ns: between which nanoseconds bytes travel.
    latency_ns: tuple[int, int] = (50_000, 2_000_000)
    storm_seconds: float = STORM_SECONDS
    # has_guardian: whether one stands beside the desk, and from which loss of the day on it flattens.
    has_guardian: bool = False
    guardian_loss: float | None = None
    # risk: limits that are not the usual ones, by name.
    risk: dict[str, float] = {}


def plan_of(seed: int) -> Plan:
    """Return the plan that a seed draws."""
    chance = random.Random(f"plan {seed}")  # noqa: S311 - repeatable on purpose
    strategies = tuple(sorted(chance.sample(sorted(ALL), chance.randint(1, 3))))
    steps: list[AnyStep] = []
    for _ in range(chance.randint(2, 12)):
        at = round(chance.uniform(2, STORM_SECONDS), 3)
        steps.append(chance.choice(_DRAWS)(chance, at, strategies))
    has_guardian = chance.random() < 0.4
    if has_guardian:
        steps += [chance.choice(_GUARDED)(chance, round(chance.uniform(3, STORM_SECONDS), 3)) for _ in range(2)]
    if chance.random() < _COMBINED:
        steps += chance.choice(_COMBINATIONS)(chance)
    steps.sort(key=lambda step: step.at)
    return Plan(
        seed=seed,
        strategies=strategies,
        steps=tuple(steps),
        symbols=SYMBOLS[: chance.randint(1, 2)],
        yearly_volatility=chance.choice((0.5, 2.0, 6.0)),
        partial=chance.random() < 0.3,
        latency_ns=chance.choice(((20_000, 200_000), (50_000, 2_000_000), (1_000_000, 150_000_000))),
        has_guardian=has_guardian,
        guardian_loss=round(chance.uniform(5, 60), 2) if has_guardian and chance.random() < 0.5 else None,
        risk={name: draw(chance) for name, draw in _RISK if chance.random() < 0.4},
    )


_RISK: tuple[tuple[str, Callable[[random.Random], float]], ...] = (
    ("max_position_shares", lambda chance: float(chance.randint(2, 8))),
    ("max_order_shares", lambda chance: float(chance.randint(2, 6))),
    ("max_orders_per_second", lambda chance: float(chance.randint(1, 3))),
)


_GUARDED: tuple[Callable[[random.Random, float], AnyStep], ...] = (
    lambda c, at: StopAll(at=at, do=c.choice(("halt", "cancel", "flatten", "flatten"))),
    lambda _c, at: StopAll(at=at, do="flatten"),
    lambda c, at: KillGuardian(at=at, down_seconds=round(c.uniform(0.2, 5), 3)),
    lambda c, at: Stall(at=at, process="guardian", seconds=round(c.uniform(0.2, 10), 3)),
)
_COMBINED = 0.3
"""How often a seed also draws faults that are rarely worth anything alone."""


def _rolled_back(chance: random.Random) -> list[AnyStep]:
    """Roll the order ids back, and start the desk anew on that."""
    at = chance.uniform(15, 40)
    fault = msgspec.to_builtins(SetNextOrderId(to=chance.randint(1, 30)))
    return [Misbehave(at=round(at, 3), fault=fault), _kill(chance, round(at + chance.uniform(0.1, 2), 3), ())]


def _halted_and_killed(chance: random.Random) -> list[AnyStep]:
    """Halt, and start the desk anew on that."""
    at = chance.uniform(8, 38)
    return [Halt(at=round(at, 3)), _kill(chance, round(at + chance.uniform(0.1, 5), 3), ())]


def _corrected(chance: random.Random) -> list[AnyStep]:
    """Correct an execution while the link is down."""
    at = chance.uniform(8, 38)
    fault = msgspec.to_builtins(CorrectExecution.drawn(chance))
    return [CutLink(at=round(at, 3)), Misbehave(at=round(at + 0.05, 3), fault=fault)]


def _killed_twice(chance: random.Random) -> list[AnyStep]:
    """Kill the desk while it starts anew."""
    at = chance.uniform(8, 38)
    return [_kill(chance, round(at + later, 3), ()) for later in (0.0, chance.uniform(0.5, 5))]


def _lost_and_killed(chance: random.Random) -> list[AnyStep]:
    """Lose what is said of the next order, and start the desk anew before it is known what became of it."""
    at = chance.uniform(8, 38)
    kinds = (LoseAcknowledgement, TellNothing, RejectNextOrder)
    fault = msgspec.to_builtins(chance.choice(kinds).drawn(chance))
    return [Misbehave(at=round(at, 3), fault=fault), _kill(chance, round(at + chance.uniform(0.1, 8), 3), ())]


_COMBINATIONS: tuple[Callable[[random.Random], list[AnyStep]], ...] = (
    _rolled_back,
    _halted_and_killed,
    _corrected,
    _killed_twice,
    _lost_and_killed,
)

_Draw = Callable[[random.Random, float, tuple[str, ...]], AnyStep]


def _kill(chance: random.Random, at: float, _strategies: tuple[str, ...]) -> AnyStep:
    power = chance.random() < 0.25
    return Kill(
        at=at,
        writes=chance.random(),
        piece=chance.choice((0.0, 0.0, round(chance.random(), 3), 1.0)),
        torn=round(chance.random(), 3),
        is_power_loss=power,
        lost_seconds=round(chance.uniform(0, 5), 3) if power else 0.0,
        silent_seconds=round(chance.uniform(0, 15), 3) if power else 0.0,
    )


def _misbehave(chance: random.Random, at: float, _strategies: tuple[str, ...]) -> AnyStep:
    kind = chance.choice(sorted(KINDS))
    return Misbehave(at=at, fault=msgspec.to_builtins(KINDS[kind].drawn(chance)))


def _place(chance: random.Random, at: float, _strategies: tuple[str, ...]) -> AnyStep:
    return Place(
        at=at,
        symbol=chance.choice(SYMBOLS),
        side=chance.choice(("buy", "sell")),
        quantity=float(chance.randint(1, 9)),
        offset=chance.choice((None, 0.001, 0.02)),
        key=f"key-{chance.randrange(10**9)}",
        is_repeated=chance.random() < 0.5,
    )


def _trade(chance: random.Random, at: float, _strategies: tuple[str, ...]) -> AnyStep:
    side, quantity = chance.choice(("BUY", "SELL")), float(chance.randint(1, 6))
    return TradeAtTws(at=at, symbol=chance.choice(SYMBOLS), side=side, quantity=quantity)


_DRAWS: tuple[_Draw, ...] = (
    _kill,
    _kill,
    _kill,
    lambda c, at, _s: Stall(at=at, process=c.choice(("desk", "gateway")), seconds=round(c.uniform(0.2, 20), 3)),
    lambda c, at, _s: FillDisk(at=at, seconds=round(c.uniform(0.5, 15), 3)),
    lambda _c, at, _s: Restart(at=at),
    lambda c, at, _s: HoldNetwork(at=at, seconds=round(c.uniform(0.1, 12), 3)),
    lambda _c, at, _s: CutLink(at=at),
    lambda c, at, _s: KillGateway(at=at, down_seconds=round(c.uniform(0.2, 10), 3)),
    _misbehave,
    _misbehave,
    _misbehave,
    _misbehave,
    lambda c, at, _s: Rival(
        at=at, same_folder=c.random() < 0.5, same_client=c.random() < 0.3, seconds=round(c.uniform(2, 20), 3)
    ),
    lambda _c, at, _s: Halt(at=at),
    lambda _c, at, _s: Lift(at=at),
    _place,
    _place,
    lambda c, at, _s: Modify(at=at, by=c.choice((-0.001, 0.001))),
    lambda c, at, _s: Cancel(at=at, every=c.random() < 0.3),
    lambda c, at, names: StopRun(at=at, strategy=c.choice(names), flatten=c.random() < 0.6),
    lambda c, at, names: Reparameterize(at=at, strategy=c.choice(names), size=c.randint(1, 6)),
    _trade,
    lambda c, at, _s: AcceptOutside(at=at, symbol=c.choice(SYMBOLS)),
)
