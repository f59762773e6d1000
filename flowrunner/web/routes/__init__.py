"""The endpoints by subject, unaware of each other; their addresses stand in `web/app.py`."""
