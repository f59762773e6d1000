"""The links of the chain: pure ASGI, one concern each; their order stands in `web/app.py`."""
