"""FlowRunner, a declarative GitOps flow runner daemon: the version and nothing else.

Kept empty on purpose: importing the package must cost nothing, and a façade here would close
import cycles.
"""

__version__ = "0.1.0"
