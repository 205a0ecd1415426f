"""What a program tells systemd when that has started it."""

from __future__ import annotations

import os
import socket


def notify_systemd(text: str) -> bool:
    """Tell systemd something (sd_notify(3)); return whether it was told: not when it has not started this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    # An abstract address begins with a zero byte.
    address = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(text.encode(), address)
    except OSError:
        return False
    return True
