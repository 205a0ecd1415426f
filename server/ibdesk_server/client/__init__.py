"""Python clients of the server: `FeedClient` for the feed, `ApiClient` and `AioApiClient` for the REST API."""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk_server.client.api import AioApiClient, ApiClient, ApiError
    from ibdesk_server.client.blocking import BlockingFeedClient
    from ibdesk_server.client.feed import FeedClient, FeedError, FeedLag, FeedMessage, FeedState
    from ibdesk_server.client.table import Table

__all__ = [
    "AioApiClient",
    "ApiClient",
    "ApiError",
    "BlockingFeedClient",
    "FeedClient",
    "FeedError",
    "FeedLag",
    "FeedMessage",
    "FeedState",
    "Table",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
