"""Why an execution went as it did: worked out when somebody asks, from what is journaled.

Nothing is recorded for it while an execution runs. Inputs, trigger, ends of nodes, outputs and the
moment of each `now()` are on disk with the pinned definition, and evaluation is pure.
"""
