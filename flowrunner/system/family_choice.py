"""Which way families are held together on this host: decided once, at the start of the daemon."""

from __future__ import annotations

import logging

from flowrunner.system.cgroup_family import CgroupFamilies, find_delegated
from flowrunner.system.descent import DescentFamilies
from flowrunner.system.family import Families

_LOG = logging.getLogger(__name__)


def make_families() -> Families:
    """Returns cgroups where one is delegated to this process, else families by descent.

    With cgroups the process moves to one of its own, and kills what an earlier daemon has left in
    its attempts'. So the state directory must be locked by then. Says in the log what was chosen.
    """
    base = find_delegated()
    if base is not None:
        families = CgroupFamilies(base)
        try:
            families.occupy()
        except OSError as error:
            _LOG.warning("process.cgroup_unusable folder=%s: %s", base, error)
        else:
            _LOG.info("process.families kind=cgroup folder=%s", base)
            return families
    _LOG.info("process.families kind=descent (no cgroup is delegated)")
    return DescentFamilies()
