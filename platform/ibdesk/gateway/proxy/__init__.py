"""Conversations between a client and a TWS: forwarded, recorded with masked accounts, and played back."""

from ibdesk.gateway.proxy.conversation import Conversation, ConversationEntry, read_conversation
from ibdesk.gateway.proxy.playback import Playback
from ibdesk.gateway.proxy.proxy import Proxy
from ibdesk.gateway.proxy.recorder import ConversationRecorder

__all__ = ["Conversation", "ConversationEntry", "ConversationRecorder", "Playback", "Proxy", "read_conversation"]
