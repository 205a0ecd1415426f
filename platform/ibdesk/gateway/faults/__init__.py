"""What can be made to go wrong at the gateway."""

from ibdesk.gateway.faults.faults import Faults

__all__ = ["Faults"]
