"""TWS's refusals of a request: an error code and its text."""

from __future__ import annotations

from ibdesk.errors import IbdeskError


class RefusedError(IbdeskError):
    """A request that is answered with an error; the session continues.

    `request_id` is the id in the error; without one it is the request's own id.
    """

    def __init__(self, code: int, text: str, request_id: int | None = None) -> None:
        super().__init__(code, text, request_id)
        self.code, self.text, self.request_id = code, text, request_id

    def __str__(self) -> str:
        return f"error {self.code}: {self.text}"


def unknown_contract() -> RefusedError:
    """Return error 200 (captured)."""
    return RefusedError(200, "No security definition has been found for the request")


def ambiguous_contract(symbol: str) -> RefusedError:
    """Return error 200 for a description that fits several contracts (captured)."""
    return RefusedError(200, f"The contract description specified for {symbol} is ambiguous.")


def invalid(cause: str, request_id: int | None = None) -> RefusedError:
    """Return error 321, a request with invalid content (captured)."""
    return RefusedError(321, f"Error validating request.-'gw' : cause - {cause}", request_id)


def failed(cause: str) -> RefusedError:
    """Return error 322, a request that TWS cannot process now (captured)."""
    return RefusedError(322, f"Error processing request.-'gw' : cause - {cause}")


def unknown_ticker(request_id: int) -> RefusedError:
    """Return error 300, the cancellation of an unknown subscription (documented)."""
    return RefusedError(300, f"Can't find EId with tickerId:{request_id}")


def no_history(cause: str) -> RefusedError:
    """Return error 162, an error of the history service (reported)."""
    return RefusedError(162, f"Historical Market Data Service error message:{cause}")
