"""The screen of a desk: a Panel server in a process of its own, a client of the feed like any other."""

from ibdesk_server.dashboard.process import DashboardProcess, start_dashboard

__all__ = ["DashboardProcess", "start_dashboard"]
