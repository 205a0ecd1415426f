"""Conversations between a client and a TWS: forwarded, recorded with masked accounts, and played back."""

from ibdesk.gateway.proxy.conversation import Conversation, Entry, read_conversation
from ibdesk.gateway.proxy.playback import Playback
from ibdesk.gateway.proxy.proxy import Proxy
from ibdesk.gateway.proxy.recorder import Recorder

__all__ = ["Conversation", "Entry", "Playback", "Proxy", "Recorder", "read_conversation"]
