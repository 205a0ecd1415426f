"""The dashboard of a desk: a Panel server in its own process, which is a client of the feed."""

from ibdesk_server.dashboard.process import DashboardProcess, start_dashboard

__all__ = ["DashboardProcess", "start_dashboard"]
