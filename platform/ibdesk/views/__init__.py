"""What a watcher sees: charts, tables and figures that the dashboard and the notebook share.

Every component takes rows of the feed and pushes only what changed: charts are streamed, tables patched, nothing is
built again. Panel and Bokeh are imported by the modules of this room, never by ``import ibdesk``.
"""
