"""Python clients of the server: `FeedClient` for the feed, `ApiClient` and `AioApiClient` for everything else."""

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
