"""A flow as compiled: what the reconciler keeps and the engine carries out.

Everything here is checked already; building one from a file is the work of
`flowrunner.definitions.compiler`. Durations are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum

from flowrunner.dataclass import dataclass
from flowrunner.model.body import Content
from flowrunner.model.body_schema import BodySchema
from flowrunner.model.channels import ChannelUse
from flowrunner.model.event_triggers import EventTrigger, FileTrigger, FlowTrigger, StartTrigger
from flowrunner.model.expressions import Template
from flowrunner.model.formats import TextFormat
from flowrunner.model.hook_auth import WebhookAuth
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.notify import NotifyRules
from flowrunner.model.of_type import enabled, of_type
from flowrunner.model.patterns import Pattern
from flowrunner.model.process import PLAIN_PROCESS, ProcessSpec
from flowrunner.model.rates import Rate
from flowrunner.model.references import NO_REFERENCES, FlowReferences
from flowrunner.model.schedule import Schedule
from flowrunner.model.sla import SlaSpec


class ValueType(StrEnum):
    """The types of inputs and declared outputs; the words of JSON Schema."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSpec:
    """What a value must be.

    Attributes:
        enum: The allowed values; all when empty.
        pattern: Must be found in a string.
        items: What each item of an array must be; one level, so an item has none itself.
    """

    type: ValueType = ValueType.STRING
    enum: tuple[Json, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: Pattern | None = None
    format: TextFormat | None = None
    items: ValueSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec(ValueSpec):
    """One input of a flow; required when it has no default."""

    required: bool = True
    default: Json = None
    description: str = ""


MAX_DELAY_S = 300.0
"""Bound of a growing delay where a flow names none. Source: FLOW_FORMAT 4, `retry`."""


class Backoff(StrEnum):
    """How the delays between attempts grow."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySpec:
    """How often an attempt is tried, and when.

    Attributes:
        max_attempts: Counts the first one.
        delay_s: From the end of the first attempt to the start of the second.
        jitter: The part of a delay, 0 to 1, of which chance takes something off.
        condition: The `if`, over `attempt`; None means always.
    """

    max_attempts: int = 1
    delay_s: float = 1.0
    backoff: Backoff = Backoff.CONSTANT
    max_delay_s: float = MAX_DELAY_S
    jitter: float = 0.0
    condition: Template | None = None

    def delay_after(self, number: int, chance: float) -> float:
        """Returns the seconds between an attempt and the next.

        Args:
            number: Of the attempt that has ended, from 1.
            chance: From 0, which gives the whole delay, to 1.
        """
        factors = {Backoff.LINEAR: float(number), Backoff.EXPONENTIAL: math.ldexp(1, number - 1)}
        whole = min(self.delay_s * factors.get(self.backoff, 1), self.max_delay_s)
        return whole * (1 - self.jitter * chance)


MOST_ITEMS = 10_000
"""Items of one node. Source: FLOW_FORMAT 4, `foreach`."""


class OnInterrupt(StrEnum):
    """What becomes of an attempt that the end of the daemon cut short."""

    FAIL = "fail"
    RERUN = "rerun"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One node of the graph.

    Attributes:
        needs: The nodes that must be final before this one starts, already resolved.
        chosen_by: The switches that name it: it runs only if one of them chooses it.
        condition: The `if`; None means `success()`.
        params: The params of the type; a string with an expression is a `Template`, at any depth,
            and one that its type asks for as a condition is a `Condition`.
        env: Environment of shell-like nodes; None removes a variable of the flow.
        timeout_s: Bound of each attempt; None means no bound.
        outputs: Declared outputs by name, for shell-like nodes.
        continue_on_error: Whether a failure of it stops nobody and fails nothing.
        on_interrupt: What its type does when it says nothing, resolved.
        success_exit_codes: The exit codes that are no failure, for shell-like nodes.
        process: How its process is started, for shell-like nodes.
        foreach: Its items: a list that may hold templates, or the template that gives one; None
            for a node that has none.
        max_parallel: How many items are tried at once.
        fail_fast: Whether an item that failed keeps the others from going on.
    """

    id: str
    type: str
    needs: tuple[str, ...] = ()
    chosen_by: tuple[str, ...] = ()
    condition: Template | None = None
    params: Mapping[str, Json] = field(default_factory=dict)
    env: Mapping[str, Template | str | None] = field(default_factory=dict)
    timeout_s: float | None = None
    kill_after_s: float = 10.0
    retry: RetrySpec = RetrySpec()
    outputs: Mapping[str, ValueType] = field(default_factory=dict)
    continue_on_error: bool = False
    on_interrupt: OnInterrupt = OnInterrupt.FAIL
    success_exit_codes: frozenset[int] = frozenset({0})
    process: ProcessSpec = PLAIN_PROCESS
    foreach: Template | tuple[Json, ...] | None = None
    max_parallel: int = 1
    fail_fast: bool = True


class OnConflict(StrEnum):
    """What happens to a start when as many of its group run as its flow allows."""

    QUEUE = "queue"
    SKIP = "skip"
    REPLACE = "replace"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencySpec:
    """How many executions of a group may run at once, and what becomes of the others.

    Attributes:
        group: Names the group of an execution when it is accepted; None: the flow's own.
        queue_limit: How many deliveries, completions and files of the flow may wait together.
    """

    group: Template | None = None
    limit: int = 1
    on_conflict: OnConflict = OnConflict.QUEUE
    queue_limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSpec:
    """What a flow says about how much is kept of it; for what is None, the host's settings hold.

    Attributes:
        executions: The newest so many; at least 1.
        log_bytes: Of one attempt's log.
    """

    executions: int | None = None
    age_s: float | None = None
    log_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRules:
    """What the version in force of a flow says about its starts.

    Attributes:
        is_held: Whether its queued executions stay queued.
    """

    concurrency: ConcurrencySpec = ConcurrencySpec()
    is_held: bool = False


class Catchup(StrEnum):
    """What becomes of slots that were due while nobody could look."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


CATCHUP_WINDOW_S = 6 * 3600.0
"""How late a slot may start, unless its trigger says otherwise; seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTrigger:
    """`type: schedule`: starts the flow at the slots of a schedule.

    Attributes:
        is_enabled: Whether its slots start anything.
        jitter_s: How much later than its slot a start may be, the same on each day.
        catchup: Which of the slots that were lost start after all.
        catchup_window_s: How late at most, in seconds.
    """

    id: str
    schedule: Schedule
    is_enabled: bool = True
    jitter_s: float = 0.0
    catchup: Catchup = Catchup.LATEST
    catchup_window_s: float = CATCHUP_WINDOW_S
    condition: Template | None = None
    inputs: Mapping[str, Template | Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTrigger:
    """`type: webhook`: starts the flow for each authenticated delivery.

    Attributes:
        is_enabled: Whether it takes deliveries; while it does not, its path is an unknown one.
        path: Relative to `/hooks/<account>/`.
        dedupe_key: Template of the delivery's own id; None where the type knows no id.
        dedupe_window_s: How long the same id is a duplicate.
        content: What the body is.
        max_body: Largest body in bytes.
        schema: What the body must be; None: any JSON, or none.
        wait_timeout_s: How long a delivery waits for the end of its execution, in seconds; None:
            it is answered once the execution is accepted.
        rate_limit: How many deliveries it takes; None: any number.
    """

    id: str
    is_enabled: bool = True
    path: str
    methods: tuple[str, ...] = ("POST",)
    auth: WebhookAuth
    dedupe_key: Template | None = None
    dedupe_window_s: float = 86_400.0
    content: Content = Content.JSON
    max_body: int = 1_048_576
    schema: BodySchema | None = None
    wait_timeout_s: float | None = None
    rate_limit: Rate | None = None
    condition: Template | None = None
    inputs: Mapping[str, Template | Json] = field(default_factory=dict)


Trigger = ScheduleTrigger | WebhookTrigger | EventTrigger

_TYPES: Mapping[type, str] = {
    ScheduleTrigger: "schedule",
    WebhookTrigger: "webhook",
    StartTrigger: "start",
    FlowTrigger: "flow",
    FileTrigger: "file",
}


def trigger_type(trigger: Trigger) -> str:
    """Returns the word of the flow format for a trigger, such as `schedule`."""
    return _TYPES[type(trigger)]


_NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSpec:
    """A whole flow, in the order in which it was written.

    Attributes:
        digest: Of the effective definition this was compiled from.
        secrets: Names of secrets its expressions may use.
        users: The users that its nodes run as, where they name one.
        node_types: The types of its nodes, each once; `shell`, too, where one runs a script.
        channels: Those that its nodes name.
        nodes: A tuple, or a `Late` one: most flows wait, and wait without their nodes.
        finals: The nodes of `finally`, likewise, which start when all others are final.
        outputs: The result of a successful execution, by name.
        runs_on: Labels that a host must have.
        is_suspended: Whether its file keeps it from starting.
        is_protected: Whether it leaves, or ceases to be protected, with somebody's approval alone.
        pause_after_failures: How many failures in a row pause it; None: any number may be.
        references: The other flows of its account that it names.
        timeout_s: Bound of an execution from its start, on the wall clock; None: the host's.
        sla: What it promises; None for most flows.
        notify: Who is told what; None: as the host has it.
        finally_timeout_s: Bound of `finally`, from the moment at which its first nodes may start.
    """

    key: FlowKey
    digest: Digest
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, InputSpec] = field(default_factory=dict)
    vars: Mapping[str, Json] = field(default_factory=dict)
    env: Mapping[str, Template | str | None] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    node_types: tuple[str, ...] = ()
    channels: tuple[ChannelUse, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    concurrency: ConcurrencySpec = ConcurrencySpec()
    runs_on: tuple[str, ...] = ()
    is_suspended: bool = False
    is_protected: bool = False
    pause_after_failures: int | None = None
    nodes: Sequence[NodeSpec] = ()
    finals: Sequence[NodeSpec] = ()
    outputs: Mapping[str, Template | Json] = field(default_factory=dict)
    references: FlowReferences = NO_REFERENCES
    timeout_s: float | None = None
    finally_timeout_s: float = 300.0
    retention: RetentionSpec = RetentionSpec()
    sla: SlaSpec | None = None
    notify: NotifyRules | None = None

    @property
    def all_nodes(self) -> tuple[NodeSpec, ...]:
        """The nodes of both lists, those of `finally` last."""
        return (*self.nodes, *self.finals)

    @property
    def schedules(self) -> tuple[ScheduleTrigger, ...]:
        """The triggers of type schedule."""
        return of_type(self.triggers, ScheduleTrigger)

    @property
    def webhooks(self) -> tuple[WebhookTrigger, ...]:
        """The triggers of type webhook."""
        return of_type(self.triggers, WebhookTrigger)

    @property
    def starts(self) -> tuple[StartTrigger, ...]:
        """The triggers of type start that are enabled."""
        return enabled(self.triggers, StartTrigger)

    @property
    def followed(self) -> tuple[FlowTrigger, ...]:
        """The triggers of type flow that are enabled."""
        return enabled(self.triggers, FlowTrigger)

    @property
    def inboxes(self) -> tuple[FileTrigger, ...]:
        """The triggers of type file that are enabled."""
        return enabled(self.triggers, FileTrigger)

    @property
    def secrets_in_use(self) -> frozenset[str]:
        """Every secret the flow needs: those it lists and those its live webhooks verify with."""
        hooks = self.webhooks
        if not hooks and not self.secrets:
            return _NO_NAMES
        names = {name for hook in hooks if hook.is_enabled for name in hook.auth.secrets}
        return frozenset(names.union(self.secrets))
