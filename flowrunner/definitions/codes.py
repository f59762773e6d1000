"""The codes of findings: what `FR101` means and what to do about it.

A code is stable: it never changes its meaning and is never used again for another one. The first
digit names the check: 1 the file and its YAML, 2 keys and their values, 3 the graph and what it
refers to, 4 expressions, 5 advice, 6 what this host lacks. The checks stand in the modules that
raise them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flowrunner.definitions import codes_host
from flowrunner.definitions.code import Code

__all__ = ["CODES", "Code"]

SYNTAX = Code(
    "FR101",
    "not YAML",
    "The file breaks the rules of YAML. The position is where reading stopped; the cause is often "
    "a missing quotation mark or an indentation just before it.",
)
DUPLICATE_KEY = Code(
    "FR102",
    "duplicate key",
    "The same key stands twice in one map. Only one of the two values could count, so neither "
    "does: remove or rename one.",
)
TAG = Code(
    "FR103",
    "tag not allowed",
    "A tag such as `!include` is not part of the flow format. Of YAML's own tags `!!str !!int "
    "!!float !!bool !!null !!seq !!map` are read. A text that begins with `!` must be quoted.",
)
SEVERAL_DOCUMENTS = Code(
    "FR104",
    "several documents",
    "A file holds one YAML document. Put each flow into its own file and remove the `---` between "
    "them.",
)
TOO_DEEP = Code(
    "FR105",
    "nested too deeply",
    "Lists and maps may be nested 50 deep, aliases expanded.",
)
TOO_LARGE = Code(
    "FR106",
    "file too large",
    "A definition may have 1 MiB. Move scripts and data into files beside it and refer to them "
    "through `$FLOW_DIR`.",
)
FORBIDDEN_CHARACTER = Code(
    "FR107",
    "forbidden character",
    "The file is not UTF-8, or it holds a character that cannot be seen and that readers treat "
    "differently: a control character, U+0085, U+2028, U+2029, or a byte order mark that is not "
    "at the start. Inside double quotes write an escape instead, such as `\\u2028`.",
)
TOO_MANY_NODES = Code(
    "FR108",
    "too many values",
    "A definition may hold 100,000 values, keys included. An alias counts as much as what it "
    "stands for, and long texts behind an alias count by their length.",
)
NOT_A_FLOW = Code(
    "FR109",
    "not a flow",
    "A YAML file among the flows must have `version` and `nodes`. Let the name of other files "
    "begin with `_` or `.`, or list them in `.flowrunnerignore`.",
)
NOT_READABLE = Code(
    "FR110",
    "file cannot be read",
    "The file is not a regular file, or the daemon's user may not read it.",
)
SYMLINK_OUTSIDE = Code(
    "FR111",
    "link leaves the root",
    "A symbolic link points outside the root of the flows. Only files below the root are read.",
)
MERGE_KEY = Code(
    "FR112",
    "merge key",
    "The merge key `<<` belongs to YAML 1.1; YAML 1.2 has no such key. Write the keys out, or use "
    "an alias for a whole value. A real key of that name must be quoted.",
)
KEY_NOT_STRING = Code(
    "FR113",
    "key is not a text",
    "A key must be a word or text of at most 1,024 characters. This is often an expression without "
    "quotes: `{{ x }}` is a map inside a map for YAML.",
)
NUMBER_TOO_LARGE = Code(
    "FR114",
    "number too large",
    "Integers have 64 bits with a sign, other numbers the range of a double and at most 400 "
    "characters. Quote the value if it is a text.",
)
ALIAS = Code(
    "FR115",
    "alias without anchor",
    "An alias `*name` must follow its anchor `&name` and may not stand inside it. A text that "
    "begins with `*` or `&` must be quoted.",
)
UNIDENTIFIED_FILE = Code(
    "FR116",
    "file gone, flow kept",
    "The file of this flow is gone while the name in another file cannot be read. That file might "
    "be this flow, moved and broken, so the flow stays armed until every name can be read. The "
    "daemon alone says this: it needs to know what was there before.",
)
NO_ACCOUNT = Code(
    "FR117",
    "folder without an account",
    "The settings have `accounts`, and none of them has the folder directly below the root of the "
    "flows in which this file lies, or it lies in none. Its flow belongs to nobody and is not "
    "applied: move the file, or map the folder. Said by the daemon, and by `validate --settings`.",
)
PROTECTED_FLOW = Code(
    "FR118",
    "protected flow, held",
    "The file of a flow with `protect: true` is gone, or says that no more. The flow stays as it "
    "was until somebody approves: `flowrunner reconcile --allow-prune`. Said by the daemon alone.",
)

UNKNOWN_KEY = Code(
    "FR201",
    "unknown key",
    "The flow format does not know this key here. Nothing is ignored, because an ignored key is a "
    "promise not kept.",
)
WRONG_TYPE = Code(
    "FR203",
    "wrong type",
    "The value has another type than the key takes, such as a text where a list belongs.",
)
MISSING_KEY = Code(
    "FR204",
    "missing key",
    "A required key is missing. The position is the map that lacks it.",
)
VALUE_NOT_ALLOWED = Code(
    "FR205",
    "value not allowed",
    "The value has the right type but is out of range or none of the words the key takes.",
)
MALFORMED_QUANTITY = Code(
    "FR206",
    "malformed duration or size",
    "Durations are written `500ms 90s 15m 2h30m 1d 1w`, sizes `64KiB 20MiB`. A bare number is "
    "refused because it does not say its unit.",
)
MALFORMED_NAME = Code(
    "FR207",
    "malformed name",
    "Flows and accounts are named by lower-case letters, digits and hyphens; nodes, inputs, "
    "triggers, variables and outputs by lower-case letters, digits and underscores, a letter "
    "first. Names have at most 63 characters.",
)
EXCLUSIVE_KEYS = Code(
    "FR208",
    "keys exclude each other",
    "Of these keys exactly one, or at most one, may be given.",
)

DUPLICATE_NODE = Code(
    "FR301",
    "duplicate node id",
    "Two nodes have the same id. Ids are unique within a flow.",
)
UNKNOWN_NEED = Code(
    "FR302",
    "unknown node",
    "`needs`, or a `goto` or `default` of a switch, names a node that the flow does not have.",
)
CYCLE = Code(
    "FR303",
    "cycle",
    "Nodes wait for each other in a circle, so none of them could ever start.",
)
TRIGGER_ID = Code(
    "FR304",
    "duplicate or reserved trigger id",
    "Trigger ids are unique within a flow, and `manual`, `backfill` and `retry` are reserved. "
    "Without `id` a trigger is called by its type.",
)
UNKNOWN_NODE_TYPE = Code(
    "FR305",
    "unknown node type",
    "No node type of this name is built in.",
)
MALFORMED_CRON = Code(
    "FR306",
    "malformed cron expression",
    "A cron expression has five fields (minute, hour, day of month, month, day of week) or is one "
    "of `@hourly @daily @weekly @monthly @yearly`, and must match some date.",
)
UNKNOWN_TIME_ZONE = Code(
    "FR307",
    "unknown time zone",
    "Time zones are named as in the IANA database, such as `Europe/Berlin` or `UTC`.",
)
MISSING_INPUT = Code(
    "FR308",
    "required input without a value",
    "A trigger starts the flow without a value for an input that has no default.",
)
DEFAULT_MISFIT = Code(
    "FR309",
    "value does not fit its input",
    "A default, an allowed value or a literal that a trigger gives does not meet what the input "
    "asks for: type, bounds, pattern, format or items.",
)
WEBHOOK_PATH_TAKEN = Code(
    "FR310",
    "webhook path claimed twice",
    "Another webhook of the account already has this path. The one that came first keeps it.",
)
DUPLICATE_FLOW = Code(
    "FR311",
    "duplicate flow name",
    "Two files of one account name the same flow. The name is the identity of a flow.",
)
UNKNOWN_INPUT = Code(
    "FR312",
    "unknown input",
    "A value is given for an input that the flow does not have.",
)
SWITCH_TARGET = Code(
    "FR313",
    "node is not below its switch",
    "A switch chooses among nodes that stand below it in the file and wait for it. A node that "
    "starts before the choice could not be left out by it.",
)
NEEDS_UNWRITTEN = Code(
    "FR314",
    "needs must be written",
    "The node above is named by a switch, so it may be left out. Whether this node waits for it, "
    "for the switch or for all of its branches is not for us to guess: write `needs`.",
)
FLOW_CYCLE = Code(
    "FR315",
    "flows start each other",
    "By nodes or triggers of type `flow` some flows start each other in a circle, which would "
    "never come to an end. The version that closes the circle does not come into force; where "
    "none was there first, none of them does.",
)
GROUP_DEADLOCK = Code(
    "FR316",
    "flows wait for their own group",
    "A flow starts another one, directly or through others, and waits for it, while both are in "
    "the same concurrency group: the other could never start. Give one of them another group, or "
    "start it with `wait: false`.",
)
CALL_INPUTS = Code(
    "FR317",
    "inputs that another flow does not take",
    "A node of type `flow` brings an input that the flow it names does not have or does not take, "
    "or leaves out one that it needs. It is a finding of the flow with that node, whichever of the "
    "two has changed. A text is converted to the type of its input first. What expressions give is "
    "judged when the node runs: `input.invalid`.",
)

EXPRESSION_SYNTAX = Code(
    "FR401",
    "malformed expression",
    "The text between `${{` and `}}` is not an expression.",
)
UNKNOWN_NAME = Code(
    "FR402",
    "unknown name",
    "The expression uses a name or a function that does not exist here.",
)
NOT_UPSTREAM = Code(
    "FR403",
    "node is not upstream",
    "The expression reads a node that need not have ended by then. Add it to `needs`.",
)
EXPRESSION_NOT_ALLOWED = Code(
    "FR404",
    "expression not allowed here",
    "This value is taken literally. Write `$${{` for a literal `${{` where expressions are taken.",
)
EXPRESSION_IN_SCRIPT = Code(
    "FR405",
    "expression in a script",
    "Data is never pasted into text that an interpreter parses. Pass it through `env` and let the "
    "script read the variable.",
)
SECRET_MISUSE = Code(
    "FR406",
    "misuse of a secret",
    "What is made of a secret is a secret. It may stand in `env` and in params that keep it, and "
    "nothing may be decided by it: no comparison, no test for truth, no search in it.",
)
UNDECLARED_OUTPUT = Code(
    "FR407",
    "undeclared output",
    "The expression reads an output that its node, or the flow it waits for, does not declare.",
)
LITERAL_ENV_ONLY = Code(
    "FR408",
    "variable takes literals only",
    "Names such as `PATH`, `LD_PRELOAD` or `BASH_ENV` decide what code runs, so their value may "
    "not come from data.",
)
TYPES_MISFIT = Code(
    "FR409",
    "types do not fit",
    "The types are known before anything runs, and with them this never works: texts and numbers "
    "have no order between them, a function is given what it does not take, a call over literals "
    "fails, or a trigger gives an input a value of another type. A comparison that is always false "
    "or always true because the two sides are of different types is an error, too: nothing is "
    "converted, so `inputs.count == '3'` for a number can never be meant. A comparison with null "
    "of what is never null is a warning: it does no harm and may be meant as a guard.",
)

NO_TIME_ZONE = Code(
    "FR501",
    "fixed hour without a time zone",
    "The schedule names an hour but no `timezone`, so it means UTC. Name the zone to be clear.",
)
NEVER_RUNS = Code(
    "FR502",
    "node never runs",
    "No execution can start this node: its `if` is never true, or it waits for the success of a "
    "node that never succeeds, such as one of type `fail`. A condition without a status function "
    "implies `success()`; `if: failure()` or `if: always()` runs after a failure.",
)
CLOCK_CHANGE = Code(
    "FR503",
    "slot at a change of the clock",
    "Within two years the clock of the zone skips or repeats a time of this schedule. All times "
    "lost in one gap become one slot right after it, a repeated time is one slot, the first. "
    "Choose another hour, or `timezone: UTC`, or say in `dst` what you mean. A schedule whose hour "
    "begins with `*` follows elapsed time and is not meant.",
)
OUT_OF_REACH = Code(
    "FR504",
    "limit out of reach",
    "Two durations contradict each other, so that one of them never counts, or the other always "
    "does: a wait longer than its timeout, a timeout or retries longer than the flow may take, a "
    "jitter longer than the time between two slots.",
)
UNKNOWN_FLOW = Code(
    "FR505",
    "unknown flow",
    "No file of the account defines the flow that is named. The rest of the flow works: a node "
    "that starts it fails with `flow_missing`, and fails alone. Until there is such a flow this "
    "one is not Ready (`FlowMissing`), which keeps it from nothing else.",
)

VARIABLE_NOT_EXPANDED = Code(
    "FR510",
    "variable not expanded",
    "`$NAME` and `${NAME}` mean something in scripts alone. In `argv` and in `env` no shell reads "
    "them: the program gets the dollar sign and the name.",
)
BRACES_WITHOUT_DOLLAR = Code(
    "FR511",
    "braces without a dollar",
    "The text looks like an expression of other tools. Here an expression is written `${{ … }}`; "
    "without the dollar it is plain text.",
)

CODES: Mapping[str, Code] = MappingProxyType(
    {
        value.code: value
        for value in (*globals().values(), *vars(codes_host).values())
        if isinstance(value, Code)
    }
)
"""Every code by its identifier, in order."""
