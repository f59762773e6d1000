"""The settings of the daemon: what there is, where values come from, which one wins."""
