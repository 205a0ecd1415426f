"""The guardian's connection to TWS: handshake, requests, orders and cancels in the protocol of `ibdesk.gateway`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from ibdesk.errors import LinkError
from ibdesk.gateway.protocol.codec import Fields, Value, decode
from ibdesk.gateway.protocol.framing import FrameReader, ProtocolError, frame, integer, split
from ibdesk.gateway.protocol.greeting import GREETING, HIGHEST_VERSION, LOWEST_VERSION
from ibdesk.gateway.protocol.outgoing import OUTGOING
from ibdesk.guardian.account import Contract
from ibdesk.guardian.messages import market_order, request

_log = logging.getLogger(__name__)

# A client id may be held by a dead connection, which TWS notices within seconds.
CLIENT_ID_IN_USE = 326
_LONGEST_MESSAGE = 16 * 1024 * 1024

Heard = Callable[[str, Fields], None]


class TwsLink:
    """One connection, from `open` to `close`; `heard` receives each message of TWS by name."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Heard) -> None:
        self._reader, self._writer, self._heard = reader, writer, heard
        self._frames = FrameReader(_LONGEST_MESSAGE)
        self._unread: set[str] = set()
        self._version = 0
        self.next_order_id = 0
        self.accounts: tuple[str, ...] = ()
        self.refusal = ""

    @classmethod
    async def open(
        cls, host: str, port: int, client_id: int, heard: Heard, *, timeout_seconds: float = 10.0
    ) -> TwsLink:
        """Connect and wait until TWS has named its accounts and the first order id.

        Raises:
            LinkError: If TWS cannot be reached, refuses, or is not ready in time.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                reader, writer = await asyncio.open_connection(host, port)
                link = cls(reader, writer, heard)
                try:
                    await link._greet(client_id)
                except BaseException:
                    link.close()
                    raise
        except TimeoutError:
            raise LinkError(f"TWS at {host}:{port} was not ready within {timeout_seconds:g} s") from None
        except (OSError, ProtocolError) as error:
            raise LinkError(f"TWS at {host}:{port} cannot be reached: {error}") from None
        return link

    async def run(self) -> None:
        """Receive messages until the connection ends.

        Raises:
            LinkError: When it ends.
        """
        try:
            while data := await self._reader.read(256 * 1024):
                for payload in self._frames.feed(data):
                    self._take(payload)
        except (OSError, ProtocolError) as error:
            raise LinkError(f"the connection to TWS broke: {error}") from None
        raise LinkError(self.refusal or "TWS has closed the connection")

    def close(self) -> None:
        """Close the socket at once."""
        with contextlib.suppress(RuntimeError):
            self._writer.transport.abort()

    def ask(self, name: str, **values: Value) -> None:
        """Send a request."""
        self._writer.write(request(name, self._version, **values))

    def place_market(
        self,
        order_id: int,
        contract: Contract,
        *,
        exchange: str,
        account: str,
        quantity: float,
        reference: str,
        outside_regular_hours: bool,
    ) -> None:
        """Send a market order; `quantity` is signed: positive buys."""
        message = market_order(
            self._version,
            order_id,
            contract,
            exchange=exchange,
            account=account,
            quantity=quantity,
            reference=reference,
            outside_regular_hours=outside_regular_hours,
        )
        self._writer.write(message)

    # --- inside

    async def _greet(self, client_id: int) -> None:
        self._writer.write(GREETING + frame(f"v{LOWEST_VERSION}..{HIGHEST_VERSION}".encode()))
        while not self._version:
            for payload in self._frames.feed(await self._next()):
                number = integer(split(payload)[0])
                if number is None or not LOWEST_VERSION <= number <= HIGHEST_VERSION:
                    raise ProtocolError(f"it answers with {payload[:40]!r} in place of a server version")
                self._version = number
        self.ask("startApi", clientId=client_id)
        while not (self.accounts and self.next_order_id):
            for payload in self._frames.feed(await self._next()):
                self._take(payload)

    async def _next(self) -> bytes:
        data = await self._reader.read(64 * 1024)
        if not data:
            raise ConnectionResetError(self.refusal or "it closed the connection")
        return data

    def _take(self, payload: bytes) -> None:
        texts = split(payload)
        message = OUTGOING.get(integer(texts[0]) or 0)
        if message is None:
            return
        try:
            found = Fields(message.name, decode(message, texts, self._version))
            match message.name:
                case "nextValidId":
                    self.next_order_id = max(self.next_order_id, found.required("orderId"))
                case "managedAccounts":
                    self.accounts = tuple(name for name in found.text("accounts").split(",") if name)
                case "errMsg" if found.whole("errorCode") == CLIENT_ID_IN_USE:
                    self.refusal = f"{found.text('errorMsg')} (guardian.client_id sets another)"
            self._heard(message.name, found)
        except ProtocolError as error:
            if message.name not in self._unread:
                self._unread.add(message.name)
                _log.warning("a message of TWS cannot be read and is ignored: %s", error)
