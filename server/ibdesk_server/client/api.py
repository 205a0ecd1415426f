"""The REST interface from Python; an error of the server becomes an `ApiError` with its sentence."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import httpx

from ibdesk.errors import IbdeskError
from ibdesk_server.security.presented import KEY_HEADER

Item = dict[str, Any]


class ApiError(IbdeskError):
    """The server refused a request or failed; `correlation_id` finds it in the server's log."""

    def __init__(self, status: int, detail: str, correlation_id: str = "") -> None:
        super().__init__(status, detail, correlation_id)
        self.status, self.detail, self.correlation_id = status, detail, correlation_id

    def __str__(self) -> str:
        return self.detail


class ApiClient:
    """A connection to the server at `url`, such as ``http://127.0.0.1:8000``; a context manager.

    Every method raises `ApiError`, also when the server cannot be reached (status 0).
    """

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 30.0) -> None:
        self._http = httpx.Client(base_url=url, headers={KEY_HEADER: key}, timeout=timeout_seconds, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def health(self) -> Item:
        """Return how the desk, its latency and the feed are."""
        return self._item("GET", "/health/detailed")

    def strategies(self) -> list[Item]:
        """Return the strategy files, each with the JSON schema of its parameters or its error."""
        return self._items("GET", "/api/v1/strategies")

    def runs(self) -> list[Item]:
        """Return the strategies that run or have run."""
        return self._items("GET", "/api/v1/runs")

    def start(self, file: str, *, on: Iterable[str], bar: str = "5 secs", parameters: Item | None = None) -> Item:
        """Start a strategy and return the run."""
        request = {"file": file, "symbols": list(on), "bar": bar, "parameters": parameters or {}}
        return self._item("POST", "/api/v1/runs", json=request)

    def stop(self, run_id: str, *, flatten: bool = False) -> Item:
        """Stop a run, with `flatten` also close its positions, and return it."""
        return self._item("POST", f"/api/v1/runs/{run_id}/stop", params={"flatten": flatten})

    def positions(self, **filters: Any) -> list[Item]:
        """Return what is held; filters: owner, symbol, limit."""
        return self._listed("/api/v1/positions", filters)

    def orders(self, **filters: Any) -> list[Item]:
        """Return the orders; filters: owner, symbol, status, limit."""
        return self._listed("/api/v1/orders", filters)

    def fills(self, **filters: Any) -> list[Item]:
        """Return the fills; filters: owner, symbol, limit."""
        return self._listed("/api/v1/fills", filters)

    def round_trips(self) -> list[Item]:
        """Return positions opened and closed again."""
        return self._items("GET", "/api/v1/round-trips")

    def account(self) -> Item:
        """Return the account's figures."""
        return self._item("GET", "/api/v1/account")

    def quotes(self, **filters: Any) -> list[Item]:
        """Return the best bids and asks; filter: symbol."""
        return self._listed("/api/v1/quotes", filters)

    def bars(self, symbol: str, *, bar: str = "5 secs", count: int = 500) -> list[Item]:
        """Return the last bars of this session."""
        return self._listed(f"/api/v1/bars/{symbol}", {"bar": bar, "count": count})

    def history(self, symbol: str, *, bar: str = "1 day", count: int = 300) -> list[Item]:
        """Return past bars."""
        return self._listed(f"/api/v1/history/{symbol}", {"bar": bar, "count": count})

    def halt(self, reason: str) -> None:
        """Let no order out that does not reduce a position."""
        self._request("POST", "/api/v1/risk/halt", json={"reason": reason})

    def resume(self, reason: str) -> None:
        """Lift a halt."""
        self._request("POST", "/api/v1/risk/resume", json={"reason": reason})

    def cancel(self, order_id: str) -> None:
        """Ask the venue to cancel an order."""
        self._request("DELETE", f"/api/v1/orders/{order_id}")

    def _listed(self, path: str, params: Item) -> list[Item]:
        found: list[Item] = self._item("GET", path, params=params)["items"]
        return found

    def _items(self, method: str, path: str) -> list[Item]:
        found: list[Item] = self._request(method, path).json()
        return found

    def _item(self, method: str, path: str, **content: Any) -> Item:
        found: Item = self._request(method, path, **content).json()
        return found

    def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            raise ApiError(0, f"the server at {self._http.base_url} cannot be reached: {error}") from None
        if response.is_success:
            return response
        if response.headers.get("content-type") != "application/problem+json":
            raise ApiError(response.status_code, f"{method} {path}: HTTP status {response.status_code}")
        problem = response.json()
        raise ApiError(response.status_code, problem["detail"], problem["correlation_id"])
