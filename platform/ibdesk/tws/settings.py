"""The settings of the connection to TWS: address, client id, account and time-outs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ibdesk.config import Section
from ibdesk.errors import ConfigError
from ibdesk.tws.calendar_settings import CalendarSettings


class TwsSettings(Section):
    """How to reach one TWS or IB Gateway, and which account may be traded there."""

    host: str = Field("127.0.0.1", min_length=1, description="host that TWS or IB Gateway runs on")
    port: int = Field(7497, ge=1, le=65535, description="its API port: 7497 TWS paper, 4002 Gateway paper")
    client_id: int = Field(1, ge=0, description="number of this program among the clients of one TWS")
    account: str = Field("", description="account to trade; empty means the only one")
    mode: Literal["paper", "live"] = Field(
        "paper", exclude=True, description="mode live needs an explicit account; follows the desk's mode"
    )
    connect_timeout_seconds: float = Field(10.0, gt=0, description="wait for socket and handshake")
    request_timeout_seconds: float = Field(15.0, gt=0, description="wait for the answer to a request")
    answer_timeout_seconds: float = Field(
        5.0, gt=0, description="time after which an order without an answer is unknown, seconds"
    )
    settle_seconds: float = Field(
        60.0,
        gt=0,
        description="time in which TWS lists an order; two comparisons this far apart prove it missing, seconds",
    )
    position_grace_seconds: float = Field(
        2.0,
        gt=0,
        description="time after which a position that no execution explains counts as traded elsewhere, seconds",
    )
    heartbeat_seconds: float = Field(20.0, gt=0, description="silence after which TWS is asked for the time")
    reconnect_first_seconds: float = Field(0.25, gt=0, description="pause before the first reconnection")
    reconnect_last_seconds: float = Field(30.0, gt=0, description="longest pause between reconnections")
    messages_per_second: int = Field(45, ge=2, le=50, description="TWS closes the socket above 50")
    reserved_for_orders: int = Field(15, ge=1, description="messages a second that only orders may use")
    regular_hours_only: bool = Field(True, description="bars and history of the regular session only")
    time_zone: str = Field("America/New_York", description="zone of times that TWS sends without one")
    max_clock_drift_seconds: float = Field(
        5.0, gt=0, description="how far our clock may be from that of TWS while positions are opened; inf: not measured"
    )
    clock_check_seconds: float = Field(60.0, gt=0, description="how often both clocks are compared")
    calendar: CalendarSettings = Field(
        default_factory=CalendarSettings, description="planned absences of IB and TWS: restarts, log-offs, resets"
    )

    @property
    def address(self) -> str:
        """Return ``host:port``, for messages."""
        return f"{self.host}:{self.port}"

    def check(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            ConfigError: If live mode lacks an explicit account, paper mode names an account that is not a paper
                account, or no message is left for data requests.
        """
        if self.mode == "live" and not self.account:
            raise ConfigError("mode is live, which trades real money: spell out the account in tws.account (--account)")
        if self.mode == "paper" and self.account and not _is_paper(self.account):
            raise ConfigError(_not_paper(self.account))
        if self.reserved_for_orders >= self.messages_per_second:
            raise ConfigError(
                f"tws.reserved_for_orders is {self.reserved_for_orders}: it must be less than "
                f"tws.messages_per_second ({self.messages_per_second})"
            )

    def account_among(self, accounts: tuple[str, ...]) -> str:
        """Return the account to trade among those that TWS manages.

        Raises:
            ConfigError: If the account is missing, ambiguous, or not a paper account in paper mode.
        """
        if self.account:
            if self.account not in accounts:
                raise ConfigError(
                    f"tws.account {self.account} is not managed by TWS at {self.address}, which has "
                    f"{', '.join(accounts)}"
                )
            chosen = self.account
        elif len(accounts) == 1:
            chosen = accounts[0]
        else:
            raise ConfigError(
                f"TWS at {self.address} manages {len(accounts)} accounts ({', '.join(accounts)}): "
                f"choose one with tws.account"
            )
        if self.mode == "paper" and not _is_paper(chosen):
            raise ConfigError(_not_paper(chosen))
        return chosen


def _is_paper(account: str) -> bool:
    # IB's ids of paper accounts start with D (DU..., DF...).
    return account.startswith("D")


def _not_paper(account: str) -> str:
    return (
        f"account {account} is not a paper account: trade it with mode = live and "
        f"tws.account = {account}, or log TWS in to paper trading"
    )
