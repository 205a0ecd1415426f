"""Drawing a plan from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from ibdesk.gateway.faults.kinds import KINDS
from ibdesk.gateway.faults.market import GoStale
from ibdesk.gateway.faults.orders import CorrectExecution, RejectNextOrder, SetNextOrderId
from ibdesk.gateway.faults.reports import LoseAcknowledgement, TellNothing
from ibdesk.simulation.plan import (
    STORM_SECONDS,
    SYMBOLS,
    AcceptOutside,
    AnyStep,
    Cancel,
    CutLink,
    FillDisk,
    Halt,
    HoldNetwork,
    Kill,
    KillGateway,
    KillGuardian,
    Lift,
    Misbehave,
    Modify,
    Place,
    Plan,
    Reparameterize,
    Restart,
    Rival,
    Stall,
    StopAll,
    StopRun,
    TradeAtTws,
)
from ibdesk.simulation.strategies import ALL


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
    symbols = SYMBOLS[: chance.randint(1, 2)]
    volatility = chance.choice((0.5, 2.0, 6.0))
    partial = chance.random() < 0.3
    latency_ns = chance.choice(((20_000, 200_000), (50_000, 2_000_000), (1_000_000, 150_000_000)))
    guardian_loss = round(chance.uniform(5, 60), 2) if has_guardian and chance.random() < 0.5 else None
    risk = {name: draw(chance) for name, draw in _RISK if chance.random() < 0.4}
    # Drawn separately, with a number that leaves the seeds of the mutations unchanged.
    added = random.Random(f"limits 4399/{seed}")  # noqa: S311 - repeatable on purpose
    risk |= {name: draw(added) for name, draw in _RARE_RISK if added.random() < 0.12}
    if added.random() < _LIMITED:
        more, limits = added.choice((_stale, _grown))(added, symbols[0])
        steps += more
        risk |= limits
    steps.sort(key=lambda step: step.at)
    return Plan(
        seed=seed,
        strategies=strategies,
        steps=tuple(steps),
        symbols=symbols,
        yearly_volatility=volatility,
        partial=partial,
        latency_ns=latency_ns,
        has_guardian=has_guardian,
        guardian_loss=guardian_loss,
        risk=risk,
    )


_RISK: tuple[tuple[str, Callable[[random.Random], float]], ...] = (
    ("max_position_shares", lambda chance: float(chance.randint(2, 8))),
    ("max_order_shares", lambda chance: float(chance.randint(2, 6))),
    ("max_orders_per_second", lambda chance: float(chance.randint(1, 3))),
)
# Faults that may keep a desk from trading much.
_RARE_RISK: tuple[tuple[str, Callable[[random.Random], float]], ...] = (
    ("max_notional", lambda chance: float(chance.randint(3, 12) * 100)),
    ("max_daily_loss", lambda chance: round(chance.uniform(4, 60), 2)),
    ("max_price_age_shares", lambda chance: round(chance.uniform(2.5, 12), 2)),
)


_GUARDED: tuple[Callable[[random.Random, float], AnyStep], ...] = (
    lambda c, at: StopAll(at=at, do=c.choice(("halt", "cancel", "flatten", "flatten"))),
    lambda _c, at: StopAll(at=at, do="flatten"),
    lambda c, at: KillGuardian(at=at, down_seconds=round(c.uniform(0.2, 5), 3)),
    lambda c, at: Stall(at=at, process="guardian", seconds=round(c.uniform(0.2, 10), 3)),
)
_COMBINED = 0.3
"""The probability that a seed also draws faults that rarely matter alone."""


_LIMITED = 0.15
"""The probability that a seed also has steps that reach a limit."""


def _stale(chance: random.Random, symbol: str) -> tuple[list[AnyStep], dict[str, float]]:
    """Silence the market, and place an order by hand in the silence."""
    at = chance.uniform(8, 30)
    silence = Misbehave(at=round(at, 3), fault=msgspec.to_builtins(GoStale(for_seconds=10.0)))
    order = _small(chance, at + 7.5, symbol, None)
    return [silence, order], {"max_price_age_shares": round(chance.uniform(2.5, 5), 2)}


def _grown(chance: random.Random, symbol: str) -> tuple[list[AnyStep], dict[str, float]]:
    """Place a small order far from the market, and enlarge it beyond the largest size, which strategies respect."""
    at, most = chance.uniform(4, 40), chance.randint(5, 6)
    order = _small(chance, at, symbol, 0.02)
    grown = Modify(at=round(at + chance.uniform(0.5, 2), 3), by=-0.001, quantity=float(most + chance.randint(1, 4)))
    return [order, grown], {"max_order_shares": float(most)}


def _small(chance: random.Random, at: float, symbol: str, offset: float | None) -> Place:
    return Place(
        at=round(at, 3),
        symbol=symbol,
        side=chance.choice(("buy", "sell")),
        quantity=1.0,
        offset=offset,
        key=f"key-{chance.randrange(10**9)}",
        is_repeated=False,
    )


def _rolled_back(chance: random.Random) -> list[AnyStep]:
    """Roll the order ids back, and then restart the desk."""
    at = chance.uniform(15, 40)
    fault = msgspec.to_builtins(SetNextOrderId(to=chance.randint(1, 30)))
    return [Misbehave(at=round(at, 3), fault=fault), _kill(chance, round(at + chance.uniform(0.1, 2), 3), ())]


def _halted_and_killed(chance: random.Random) -> list[AnyStep]:
    """Halt, and then restart the desk."""
    at = chance.uniform(8, 38)
    return [Halt(at=round(at, 3)), _kill(chance, round(at + chance.uniform(0.1, 5), 3), ())]


def _corrected(chance: random.Random) -> list[AnyStep]:
    """Correct an execution while the link is down."""
    at = chance.uniform(8, 38)
    fault = msgspec.to_builtins(CorrectExecution.drawn(chance))
    return [CutLink(at=round(at, 3)), Misbehave(at=round(at + 0.05, 3), fault=fault)]


def _killed_twice(chance: random.Random) -> list[AnyStep]:
    """Kill the desk while it restarts."""
    at = chance.uniform(8, 38)
    return [_kill(chance, round(at + later, 3), ()) for later in (0.0, chance.uniform(0.5, 5))]


def _lost_and_killed(chance: random.Random) -> list[AnyStep]:
    """Lose the reports about the next order, and restart the desk before its outcome is known."""
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
