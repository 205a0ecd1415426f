"""The settings of a desk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ibdesk.config import DEFAULT, Given, Mode, SettingsTree, state_folder
from ibdesk.desk.books_settings import BooksSettings
from ibdesk.desk.engine_settings import EngineSettings
from ibdesk.desk.port.addresses import Address, SocketAddress, StreamAddress, address_of
from ibdesk.desk.strategy_limits import TrialLimits
from ibdesk.engine import RiskLimits
from ibdesk.errors import ConfigError
from ibdesk.gateway import GatewaySettings
from ibdesk.guardian.settings import GuardianSettings
from ibdesk.store import JournalSettings, RedisSettings
from ibdesk.telemetry.settings import LogSettings, PerformanceSettings
from ibdesk.tws import TwsSettings
from ibdesk.tws.calendar import TwsCalendar

NEEDED_LIMITS = (
    "risk.max_daily_loss",
    "risk.max_gross_exposure",
    "risk.max_open_orders",
    *(f"risk.max_{what}_{kind}" for what in ("order", "position") for kind in ("shares", "contracts", "currency")),
)
"""The limits of the account without a default that is safe for real money."""

_OF_TWS = ("host", "port", "client_id", "account")


class EmbeddedGatewaySettings(GatewaySettings):
    """The gateway inside a desk; only the desk connects to it, so any free port is suitable."""

    port: int = Field(0, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    invent: bool = Field(
        False,
        description="invent a share for any symbol; otherwise only known ones, and those of the market, are found",
    )


class DeskSettings(SettingsTree):
    """The settings of one desk: its connection, its limits and its folders."""

    others: ClassVar[frozenset[str]] = frozenset({"server", "dashboard"})

    mode: Mode = Field("embedded", description="embedded gateway, paper account or live money")
    state_folder: Path = Field(default_factory=state_folder, description="folder of journals, marks and keys")
    port_address: str = Field(
        "", description="where web servers find the desk: unix:/path or redis:name; a socket in state_folder if empty"
    )
    tws: TwsSettings = Field(
        default_factory=TwsSettings,
        validate_default=True,
        description="address of TWS, and the desk's client id and account there",
    )
    gateway: EmbeddedGatewaySettings = Field(
        default_factory=EmbeddedGatewaySettings, description="the embedded gateway's market and account"
    )
    risk: RiskLimits = Field(default_factory=RiskLimits, description="limits of the risk gate")
    guardian: GuardianSettings = Field(
        default_factory=GuardianSettings, description="the process beside the engine that can stop everything"
    )
    desk: BooksSettings = Field(
        default_factory=BooksSettings, description="how the books are compared with the account"
    )
    journal: JournalSettings = Field(
        default_factory=JournalSettings, description="how long the records of desks are kept"
    )
    redis: RedisSettings = Field(default_factory=RedisSettings, description="address and use of Redis, if there is one")
    log: LogSettings = Field(default_factory=LogSettings, description="what is logged, and where")
    performance: PerformanceSettings = Field(
        default_factory=PerformanceSettings,
        description="time budgets of measured spans, beyond which a warning is logged",
    )
    engine: EngineSettings = Field(
        default_factory=EngineSettings, description="limits for delays of the engine, and their consequences"
    )
    first_price_seconds: float = Field(
        3.0,
        ge=0,
        le=60,
        description="how long an order by hand waits for the price that its valuation needs, seconds",
    )
    command_seconds: float = Field(
        15.0,
        ge=1,
        le=600,
        description="time within which a command from another process may take effect; later it is refused, seconds",
    )
    answer_alert_seconds: float = Field(
        60.0,
        gt=0,
        description="time after which an alert reports a change or cancel that the venue has not answered, seconds",
    )
    stall_seconds: float = Field(
        2.0,
        gt=0,
        description="standstill of the process after which it compares its books with TWS before it decides, seconds",
    )
    strategy_load_seconds: float = Field(
        10.0,
        gt=0,
        le=600,
        description="how long a strategy file may take to load in the separate process that tries it first, seconds",
    )
    strategy_load_bytes: int = Field(
        2**30, ge=2**28, description="how much memory a strategy file may take in that process"
    )
    real_time_priority: bool = Field(
        True, description="whether `ibdesk engine` runs before all other programs of its machine, if permitted"
    )
    ema_spans: tuple[Annotated[int, Field(ge=1, le=5_000)], ...] = Field(
        (12, 26, 200), max_length=16, description="spans of the displayed moving averages, bars"
    )

    @property
    def strategy_trial(self) -> TrialLimits:
        """Return the limits of loading a strategy file."""
        return TrialLimits(self.strategy_load_seconds, self.strategy_load_bytes)

    def check_limits(self) -> None:
        """Refuse to trade real money with default limits.

        Raises:
            ConfigError: In mode ``live``, with the names of the limits that have no value.
        """
        if self.mode != "live":
            return
        # Settings made directly, such as a child process's, only record whether they have the section.
        is_told = self.has_origins or "risk" not in self.model_fields_set
        unset = [name for name in NEEDED_LIMITS if is_told and self.origin(name) == DEFAULT]
        if unset:
            raise ConfigError(
                f"mode live needs limits that you have set yourself: {', '.join(unset)} "
                f"{'has' if len(unset) == 1 else 'have'} no value in ibdesk.toml, the environment or the arguments; "
                f"inf switches a rule off"
            )

    def calendar(self) -> TwsCalendar:
        """Return the planned absences of TWS; the embedded gateway has none.

        Raises:
            ConfigError: If IBC's file was named and cannot be used.
        """
        return TwsCalendar(()) if self.mode == "embedded" else self.tws.calendar.calendar()

    def port(self) -> Address:
        """Return the address at which other processes find the desk.

        Raises:
            ConfigError: If `port_address` is not valid, or needs a Redis that is not set.
        """
        address = address_of(self.port_address) if self.port_address else self.socket
        if isinstance(address, StreamAddress) and self.redis.url is None:
            raise ConfigError(f"port_address is {address}, but redis.url is not set")
        return address

    @property
    def socket(self) -> SocketAddress:
        """Return the address at which the desk is always found on its own machine.

        Raises:
            ConfigError: If its path is too long for a socket.
        """
        text = self.port_address if self.port_address.startswith("unix:") else ""
        address = address_of(text or f"unix:{self.state_folder / f'desk-{self.mode}.sock'}")
        assert isinstance(address, SocketAddress)  # noqa: S101 - for the type checker
        return address

    @property
    def stream(self) -> StreamAddress:
        """Return the name of the desk and of its cache in Redis."""
        address = address_of(self.port_address) if self.port_address else None
        return address if isinstance(address, StreamAddress) else StreamAddress(self.mode)

    @field_validator("gateway", mode="before")
    @classmethod
    def _embedded(cls, value: Any) -> Any:
        return value.model_dump() if isinstance(value, GatewaySettings) else value

    @field_validator("tws")
    @classmethod
    def _follows_mode(cls, tws: TwsSettings, info: ValidationInfo) -> TwsSettings:
        return tws.model_copy(update={"mode": "live" if info.data.get("mode") == "live" else "paper"})

    @model_validator(mode="after")
    def _can_be_traded(self) -> Self:
        if self.mode != "embedded":
            self.tws.check()
        if self.guardian.enabled and self.guardian.client_id == self.tws.client_id:
            raise ConfigError(
                f"guardian.client_id and tws.client_id are both {self.tws.client_id}: each connection to TWS needs "
                f"its own number"
            )
        return self

    @classmethod
    def make(cls, mode: str | None = None, **settings: Any) -> Self:
        """Return the settings of file and environment, with the given ones on top.

        `host`, `port`, `client_id` and `account` are short for those of ``tws``.

        Raises:
            ConfigError: If one is unknown or cannot be used; the message names each and its origin.
        """
        named = {f"tws.{name}" if name in _OF_TWS else name: value for name, value in settings.items()}
        if mode is not None:
            named["mode"] = mode
        given = (Given(name, value, f"the argument {name.removeprefix('tws.')}") for name, value in named.items())
        return cls.load(*given)
