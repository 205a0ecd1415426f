"""The plan of a seed: a market, strategies, and a schedule of commands and faults."""

from __future__ import annotations

from typing import Any

import msgspec

SYMBOLS = ("AAPL", "MSFT")
# The duration of faults and commands, and then of the recovery until all must be well, virtual seconds.
STORM_SECONDS, SETTLE_SECONDS = 45.0, 45.0


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something that happens `at` seconds after the start."""

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
    """Fill the disk of the desk's journal for a while."""

    seconds: float


class Restart(Step, frozen=True, tag="restart"):
    """Close the desk in good order; it is restarted."""


class HoldNetwork(Step, frozen=True, tag="hold_network"):
    """Let no data arrive for a while."""

    seconds: float


class CutLink(Step, frozen=True, tag="cut_link"):
    """Cut the desk's connections."""


class KillGateway(Step, frozen=True, tag="kill_gateway"):
    """Kill the gateway, which is restarted with its stored state."""

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
    """Lift a halt in force."""


class Place(Step, frozen=True, tag="place"):
    """Place an order by hand, twice with the same key if `is_repeated`."""

    symbol: str
    side: str
    quantity: float
    # offset: the distance of a limit from the last price, as a fraction; None places at the market.
    offset: float | None
    key: str
    is_repeated: bool


class Modify(Step, frozen=True, tag="modify"):
    """Change the limit of the oldest open limit order by a fraction, and its quantity if one is given."""

    by: float
    quantity: float | None = None


class Cancel(Step, frozen=True, tag="cancel"):
    """Cancel the oldest open order, or all."""

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
    """Kill the guardian, which is restarted with its stored state."""

    down_seconds: float


class AcceptOutside(Step, frozen=True, tag="accept_outside"):
    """Book outside trades to the runs whose positions they took."""

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
    """One complete simulation: the same plan gives the same history, to the byte."""

    seed: int
    strategies: tuple[str, ...]
    steps: tuple[AnyStep, ...]
    symbols: tuple[str, ...] = SYMBOLS
    yearly_volatility: float = 2.0
    partial: bool = False
    # latency_ns: the bounds of the travel time of data.
    latency_ns: tuple[int, int] = (50_000, 2_000_000)
    storm_seconds: float = STORM_SECONDS
    # has_guardian: whether there is a guardian, and the loss of the day at which it flattens.
    has_guardian: bool = False
    guardian_loss: float | None = None
    # risk: limits that differ from the usual ones, by name.
    risk: dict[str, float] = {}
