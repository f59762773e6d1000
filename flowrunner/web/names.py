"""The names that come in by HTTP: their shapes, and what the path of a hook begins with."""

from __future__ import annotations

import re

HOOKS = "/hooks/"
"""What the path of every hook begins with."""

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""Flows and accounts. Source: FLOW_FORMAT, section 1."""

NODE = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Nodes. Source: FLOW_FORMAT, section 1."""

EXECUTION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A UUID in canonical text form."""
