"""The shapes of names that come in by HTTP; what does not fit them cannot exist."""

from __future__ import annotations

import re

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""Flows and accounts. Source: FLOW_FORMAT, section 1."""

EXECUTION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A UUID in canonical text form."""
