"""The socket to TWS: ib_async's encoder and decoder, without its order book, throttle and swallowed exceptions.

ib_async's `Client` and `Decoder` are used for the layout of messages. The layers above them (`IB`, `Wrapper`, `Trade`,
`Ticker`) keep an order book that informational errors corrupt, format log lines on every order, and lose exceptions;
they are not used. Here the bytes are framed once, each message goes straight to a callback of `TwsCallbacks`, and
exceptions of callbacks are reported.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Protocol, cast

from ib_async.client import Client
from ib_async.contract import Contract
from ib_async.decoder import Decoder
from ib_async.objects import PriceIncrement
from ib_async.wrapper import Wrapper

from ibdesk.errors import ClientIdInUseError, DataError, LinkError
from ibdesk.tws.encoding import encoded
from ibdesk.tws.figures import figure, figure_or_nan, is_known
from ibdesk.tws.pacer import Pacer, Urgency
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.times import instant_ns

# No message of TWS is near this size: a longer one means that the other side is not TWS.
_LONGEST_MESSAGE = 64 * 1024 * 1024
_PLACE, _CANCEL, _CANCEL_ALL = "3", "4", "58"
_EXECUTION_TIME = 15
_EXECUTION_FIGURES = (19, 20)
# liquidation, avgPrice, evRule, evMultiplier, modelCode, lastLiquidity, pendingPriceRevision
_EXECUTION_UNREAD = frozenset({23, 25, 27, 28, 29, 30, 31})
_POSITION_QUANTITY = 14
# Ids of the messages that `TwsCallbacks` receives; all others are ignored.
_HEARD = (1, 2, 3, 4, 5, 6, 9, 10, 11, 15, 17, 45, 49, 50, 52, 53, 54, 55, 59, 61, 62, 79, 93, 101, 102)


class Listener(Protocol):
    """The callbacks of a wire, beside those of the messages (which ib_async's decoder looks up by name)."""

    def bytes_arrived(self) -> None:
        """Prepare for the messages of one read."""

    def bytes_done(self) -> None:
        """Finish the messages of one read."""

    def failed(self, fields: list[str], error: Exception) -> None:
        """Handle a message that could not be read."""

    def lost(self, reason: str) -> None:
        """Handle the loss of the socket; not called when we closed it ourselves."""

    def position(self, account: str, contract: Contract, quantity: float, average_cost: float) -> None:
        """Handle the position in one instrument; NaN is unknown."""

    def commission(self, execution_id: str, amount: float, currency: str) -> None:
        """Handle the commission of an execution; NaN is unknown."""

    def marketRule(self, marketRuleId: int, increments: list[PriceIncrement]) -> None:  # noqa: N802, N803 - ib_async's
        """Handle the price increments of a rule; NaN is unknown."""


class _LoudDecoder(Decoder):
    """ib_async's decoder for the messages that are used here; exceptions are raised instead of logged."""

    def __init__(self, listener: Listener, zone: str) -> None:
        self._zone, self._hears = zone, listener
        super().__init__(cast("Wrapper", listener), 0)
        self.handlers = {kind: self.handlers[kind] for kind in _HEARD}

    def wrap(self, methodName: str, types: list[type], skip: int = 2) -> Callable[[list[str]], None]:  # noqa: N803
        """Return the function that reads a message of plain fields and calls the listener."""
        method: Any = getattr(self.wrapper, methodName, None)

        def handler(fields: list[str]) -> None:
            method(*[_READ[kind](field) for kind, field in zip(types, fields[skip:], strict=False)])

        return handler

    def execDetails(self, fields: list[str]) -> None:  # noqa: N802 - ib_async's name
        """Read an execution; its time is first converted to a format that ib_async reads correctly in every zone.

        Raises:
            DataError: If its quantity or price is unset: a blank is not zero.
        """
        for at in _EXECUTION_FIGURES:
            if not is_known(figure(fields[at])):
                raise DataError(f"an execution without {'a quantity' if at == _EXECUTION_FIGURES[0] else 'a price'}")
        # Unused fields may be malformed.
        fields = ["" if at in _EXECUTION_UNREAD else field for at, field in enumerate(fields)]
        fields[_EXECUTION_TIME] = str(instant_ns(fields[_EXECUTION_TIME], self._zone) // 1_000_000_000)
        super().execDetails(fields)

    def position(self, fields: list[str]) -> None:
        """Read a position; blank and unset figures are NaN, where ib_async reads zero."""
        quantity, cost = (figure(field) for field in fields[_POSITION_QUANTITY : _POSITION_QUANTITY + 2])
        contract = Contract()
        (
            contract.conId,
            contract.symbol,
            contract.secType,
            contract.lastTradeDateOrContractMonth,
            contract.strike,
            contract.right,
            contract.multiplier,
            contract.exchange,
            contract.currency,
            contract.localSymbol,
            contract.tradingClass,
        ) = cast("list[Any]", fields[3:_POSITION_QUANTITY])
        self.parse(contract)
        self._hears.position(fields[2], contract, quantity, cost)

    def commissionReport(self, fields: list[str]) -> None:  # noqa: N802 - ib_async's name
        """Read the commission of an execution; a blank or unset amount is NaN."""
        self._hears.commission(fields[2], figure(fields[3]), fields[4])

    def marketRule(self, fields: list[str]) -> None:  # noqa: N802 - ib_async's name
        """Read the price increments of a rule; anything but a number is NaN."""
        figures = [figure_or_nan(field) for field in fields[3:]]
        increments = [PriceIncrement(*pair) for pair in zip(figures[::2], figures[1::2], strict=False)]
        self._hears.marketRule(int(fields[1]), increments)


_READ: dict[type, Callable[[str], Any]] = {
    str: str,
    int: lambda field: int(field or 0),
    float: lambda field: float(field or 0),
    bool: lambda field: bool(int(field or 0)),
}


class Wire(Client):
    """One TCP connection to TWS, from the handshake to its end; a new connection is a new wire."""

    def __init__(
        self,
        listener: Listener,
        settings: TwsSettings,
        *,
        may_send: Callable[[], bool],
        on_fenced: Callable[[], None],
        before_waiting: Callable[[], None],
    ) -> None:
        super().__init__(listener)
        self._listener = listener
        self._settings = settings
        self._transport: asyncio.Transport | None = None
        self._open = False
        self._heard_at = asyncio.get_running_loop().time()
        self.decoder = _LoudDecoder(listener, settings.time_zone)
        self.clientId = settings.client_id
        self.pacer = Pacer(
            self._write,
            limit=settings.messages_per_second,
            reserve=settings.reserved_for_orders,
            may_send=may_send,
            on_fenced=on_fenced,
            before_waiting=before_waiting,
        )
        # Done with the first order id and the accounts, or fails with the reason why the handshake failed.
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def silent_seconds(self) -> float:
        """Return the seconds since the last bytes from TWS."""
        return asyncio.get_running_loop().time() - self._heard_at

    async def open(self) -> None:
        """Connect, do the handshake, and return once TWS has sent the first order id and its accounts.

        Raises:
            LinkError: If the port is closed, or the other side does not answer like TWS.
            ClientIdInUseError: If TWS already serves this client id.
        """
        address, seconds = self._settings.address, self._settings.connect_timeout_seconds
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                transport, _ = await loop.create_connection(
                    lambda: _Socket(self), self._settings.host, self._settings.port
                )
                self._transport, self._open = transport, True
                self.connState = Client.CONNECTING
                versions = b"v%d..%d" % (self.MinClientVersion, self.MaxClientVersion)
                transport.write(b"API\0" + _framed(versions))
                await self.ready
        except TimeoutError as error:
            raise LinkError(
                f"TWS at {address} did not answer within {seconds:g} s: check whether a dialog waits for a click "
                f"in TWS, and whether its API settings allow this machine"
            ) from error
        except OSError as error:
            raise LinkError(
                f"cannot connect to TWS at {address} ({error.strerror or error}): start TWS or IB Gateway, enable "
                f"its API, and check tws.host and tws.port"
            ) from error

    def close(self) -> list[int]:
        """Send what was written, close the socket, and return the numbers of orders with waiting messages."""
        self._open = False
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._fail(LinkError(f"the connection to TWS at {self._settings.address} was closed"))
        self.connState = Client.DISCONNECTED
        return self.pacer.close()

    def refuse_client_id(self) -> None:
        """Fail the handshake: TWS said that the client id is in use."""
        self._fail(ClientIdInUseError(self._settings.client_id, self._settings.address))

    def become_ready(self) -> None:
        """End the handshake: the first order id and the accounts have arrived."""
        if not self.ready.done():
            self.ready.set_result(None)

    def send(self, *fields: Any, makeEmpty: bool = True) -> None:  # noqa: N803 - ib_async's name
        """Encode one message like `Client.send`, in a third of its time, and pass it to the pacer."""
        if not makeEmpty:
            super().send(*fields, makeEmpty=False)
            return
        if not self.isConnected():
            raise ConnectionError("Not connected")
        self.sendMsg(encoded(fields))

    def sendMsg(self, msg: str) -> None:  # noqa: N802 - `Client` sends through this alone
        """Pass an encoded message to the pacer with the urgency of its kind.

        Raises:
            ValueError: If it places an order: orders leave only through `place`, so that the fence is checked.
        """
        kind = msg[: msg.index("\0")]
        if kind == _PLACE:
            raise ValueError("an order must leave through `Wire.place`")
        self.pacer.send(_framed(msg.encode()), Urgency.CANCEL if kind in (_CANCEL, _CANCEL_ALL) else Urgency.DATA)

    def place(self, number: int, message: str) -> None:
        """Pass the message that places or changes the order of this number to the pacer."""
        if not self.isConnected():
            raise ConnectionError("Not connected")
        self.pacer.send(_framed(message.encode()), Urgency.ORDER, number)

    def receive(self, data: bytes) -> None:
        """Process bytes from the socket, and pass each complete message to the listener."""
        self._heard_at = asyncio.get_running_loop().time()
        self._listener.bytes_arrived()
        buffer = self._data + data if self._data else data
        position, end = 0, len(buffer)
        while self._open and end - position >= 4:
            size = int.from_bytes(buffer[position : position + 4], "big")
            if size > _LONGEST_MESSAGE:
                self._end(f"{self._settings.address} does not speak the TWS API: check tws.port")
                break
            stop = position + 4 + size
            if stop > end:
                break
            fields = buffer[position + 4 : stop].decode(errors="backslashreplace").split("\0")
            fields.pop()
            position = stop
            self._hear(fields)
        self._data = buffer[position:]
        self._listener.bytes_done()

    def connection_lost(self, error: Exception | None) -> None:
        """Report that the socket is lost."""
        self._end(str(error) if error else "TWS closed the connection")

    def _hear(self, fields: list[str]) -> None:
        if not self._serverVersion and len(fields) == 2:
            self._take_version(fields[0])
            return
        try:
            handler = self.decoder.handlers.get(int(fields[0]))
            if handler is not None:
                handler(fields)
        except Exception as error:  # noqa: BLE001 - not lost: the listener sets it aside, or ends the service with it
            self._listener.failed(fields, error)

    def _take_version(self, text: str) -> None:
        version = int(text)
        if version < self.MinClientVersion:
            self._end(
                f"TWS at {self._settings.address} is too old (API version {version}, "
                f"{self.MinClientVersion} is the least): update it"
            )
            return
        self._serverVersion = self.decoder.serverVersion = version
        self.connState = Client.CONNECTED
        self.startApi()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _end(self, reason: str) -> None:
        if not self._open:
            return
        self._open = False
        self._fail(LinkError(f"{reason} (during the handshake with TWS at {self._settings.address})"))
        if self._transport is not None:
            self._transport.abort()
        self._listener.lost(reason)

    def _fail(self, error: LinkError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
            # Retrieved here, so that Python does not report it again if nothing awaits it.
            self.ready.exception()


class _Socket(asyncio.Protocol):
    """Passes the socket's events on to the wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def data_received(self, data: bytes) -> None:
        self._wire.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire.connection_lost(exc)


def _framed(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message
