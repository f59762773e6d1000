"""The known interpreters and how each is told its code; and the programs that run another one.

Data only: `flowrunner.definitions.checks.interpreters` reads command lines by it. Options are those
of the manual pages of the programs named; where implementations differ, of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from flowrunner.dataclass import dataclass

_NEVER = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """How an interpreter is told its code.

    Attributes:
        option: The option before the code; what is left of its word is code already.
        valued: Options followed by something else.
        paired: Options followed by two words.
        files: Options followed by a file of code, so that no plain word is code.
        quits: Options after which nothing is code.
        skipped: Plain words before the one that is code when no option brought any; None where
            none is.
        is_run: Whether that one is a program to be run instead, which has its own reading.
        takes_rest: Whether every word behind the plain word that is code is code too; without
            `skipped`, every word behind the option.
        is_delayed: Whether other options may stand between the option and the code.
        reads_on: Whether options may follow plain words.
        is_plain_name: Whether its name is a common argument of other programs, so that it counts
            only where a program is named.
    """

    option: re.Pattern[str] = _NEVER
    valued: re.Pattern[str] = _NEVER
    paired: re.Pattern[str] = _NEVER
    files: re.Pattern[str] = _NEVER
    quits: re.Pattern[str] = _NEVER
    skipped: int | None = None
    is_run: bool = False
    takes_rest: bool = False
    is_delayed: bool = False
    reads_on: bool = False
    is_plain_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapper:
    """A program that runs the one named in its arguments.

    Attributes:
        valued: Options followed by a value.
        skipped: Plain words before the program.
        groups: Words that, as the first plain word, only name a group of commands: one more is
            skipped.
        takes_variables: Whether `NAME=value` may stand before the program.
    """

    valued: re.Pattern[str] = _NEVER
    skipped: int = 0
    groups: frozenset[str] = frozenset()
    takes_variables: bool = False


_SHELL = Interpreter(
    option=re.compile(r"-[A-Za-z]*c[A-Za-z]*\Z"),
    valued=re.compile(r"[-+][A-Za-z]*[oO]|--rcfile|--init-file"),
    is_delayed=True,
)
_PYTHON = Interpreter(
    option=re.compile(r"-[bBdEhiIOPqRsSuvx]*c"), valued=re.compile(r"-[WX]|--check-hash-based-pycs")
)
# -M and -m too: what follows them is pasted into `use …;`.
_PERL = Interpreter(option=re.compile(r"-[acfgilnpsStTuUwWX0-9]*[eEmM]"), valued=re.compile(r"-I"))
_RUBY = Interpreter(option=re.compile(r"-[alnpsSvwW]*e"), valued=re.compile(r"-[rIC]"))
_NODE = Interpreter(
    option=re.compile(r"(?:-e|-p|-pe|--eval|--print)(?:=|\Z)"),
    valued=re.compile(r"-r|--require|--import"),
)
_DENO = Interpreter(option=re.compile(r"eval\Z"), is_delayed=True)
_PHP = Interpreter(option=re.compile(r"-[rBRE]"), valued=re.compile(r"-[dc]"))
_LUA = Interpreter(option=re.compile(r"-e"), valued=re.compile(r"-l"))
_EVALUATES = Interpreter(
    option=re.compile(r"(?:-[np]*[eE]|--eval|--evaluate|--print)(?:=|\Z)"), valued=re.compile(r"-l")
)
_R = Interpreter(option=re.compile(r"-e\Z"), is_plain_name=True)
_EXPECT = Interpreter(option=re.compile(r"-c"), is_plain_name=True)
_POWERSHELL = Interpreter(
    option=re.compile(
        r"(?i:[-/]c(?:o(?:m(?:m(?:a(?:nd?)?)?)?)?)?\Z|-c(?:ommand)?w(?:ithargs|a)\Z)"
    ),
    valued=re.compile(r"(?i:-(?:executionpolicy|ep|ex|workingdirectory|wd|version|windowstyle|w))"),
    quits=re.compile(r"(?i:-f(?:ile)?)"),
    takes_rest=True,
)
_AWK = Interpreter(
    option=re.compile(r"-e|--source(?:=|\Z)"),
    valued=re.compile(r"-[Fvil]|--field-separator|--assign|--include|--load"),
    files=re.compile(r"-f|--file"),
    skipped=0,
    is_plain_name=True,
)
_SED = Interpreter(
    option=re.compile(r"-[nEruzs]*e|--expression(?:=|\Z)"),
    valued=re.compile(r"-l|--line-length"),
    files=re.compile(r"-f|--file"),
    skipped=0,
    is_plain_name=True,
)
_JQ = Interpreter(
    valued=re.compile(r"-L|--indent"),
    paired=re.compile(r"--arg|--argjson|--slurpfile|--rawfile"),
    files=re.compile(r"-[A-Za-z]*f|--from-file"),
    skipped=0,
    is_plain_name=True,
)
_YQ = Interpreter(
    option=re.compile(r"(?:e|ea|eval|eval-all)\Z"),
    valued=re.compile(r"-[opI]|--(?:output-format|input-format|indent)"),
    paired=re.compile(r"--arg|--argjson|--slurpfile|--rawfile"),
    files=re.compile(r"--from-file"),
    skipped=0,
    is_delayed=True,
    is_plain_name=True,
)
_SQLITE = Interpreter(
    option=re.compile(r"--?cmd\Z"),
    valued=re.compile(r"--?(?:init|separator|nullvalue|newline|mmap|maxsize|vfs|escape)"),
    paired=re.compile(r"--?(?:lookaside|pagecache)"),
    skipped=1,
    takes_rest=True,
    is_plain_name=True,
)
_DUCKDB = Interpreter(
    option=re.compile(r"-[cs]\Z|--?cmd\Z"),
    valued=re.compile(r"--?(?:init|separator|nullvalue|newline|f)"),
    skipped=1,
    takes_rest=True,
    is_plain_name=True,
)
_CLICKHOUSE = Interpreter(option=re.compile(r"-q|--query(?:=|\Z)"), reads_on=True)
_MONGO = Interpreter(option=re.compile(r"--eval(?:=|\Z)"), reads_on=True)
_SU = Interpreter(option=re.compile(r"-[lmpfP]*c|--command(?:=|\Z)"), reads_on=True)
_FISH = Interpreter(option=re.compile(r"-[ilNPn]*[cC]|--(?:init-)?command(?:=|\Z)"), reads_on=True)
_PSQL = Interpreter(option=re.compile(r"-[1aAbeEHlnqsStwWxXz0]*c|--command(?:=|\Z)"), reads_on=True)
_MYSQL = Interpreter(
    option=re.compile(r"-[ABCEGHNXbfinqrstvw]*e|--(?:execute|init-command)(?:=|\Z)"), reads_on=True
)
_CQLSH = Interpreter(option=re.compile(r"-e|--execute(?:=|\Z)"), reads_on=True)
_SQLCMD = Interpreter(option=re.compile(r"-[qQ]"), reads_on=True)
_SCRIPT = Interpreter(
    option=re.compile(r"-[aefq]*c|--command(?:=|\Z)"), reads_on=True, is_plain_name=True
)
_FLOCK = Interpreter(
    option=re.compile(r"-c|--command(?:=|\Z)"),
    valued=re.compile(r"-[wE]|--timeout|--wait|--conflict-exit-code"),
    skipped=1,
    is_run=True,
    is_plain_name=True,
)
_ENV = Interpreter(
    option=re.compile(r"-[i0v]*S|--split-string(?:=|\Z)"),
    valued=re.compile(r"-[uC]|--unset|--chdir"),
    is_plain_name=True,
)
# The remote shell parses all words after the host, joined by spaces.
_SSH = Interpreter(
    valued=re.compile(r"-[46AaCfGgKkMNnqsTtVvXxYy]*[BbcDEeFIiJLlmOoPpQRSWw]"),
    skipped=1,
    takes_rest=True,
    is_plain_name=True,
)
# `sh -c` gets all words joined by spaces, unless told otherwise.
_WATCH = Interpreter(
    valued=re.compile(r"-[bcdegtpw]*[nq]|--interval|--equexit"),
    quits=re.compile(r"-[bcdegtpw]*x|--exec"),
    skipped=0,
    takes_rest=True,
    is_plain_name=True,
)
_EVAL = Interpreter(skipped=0, takes_rest=True, is_plain_name=True)


def _named(names: str, interpreter: Interpreter) -> Iterable[tuple[str, Interpreter]]:
    return ((name, interpreter) for name in names.split())


INTERPRETERS: Mapping[str, Interpreter] = dict(
    (
        *_named("sh ash bash dash ksh mksh zsh", _SHELL),
        *_named("python pypy", _PYTHON),
        *_named("perl", _PERL),
        *_named("ruby jruby", _RUBY),
        *_named("node nodejs bun", _NODE),
        *_named("deno", _DENO),
        *_named("php", _PHP),
        *_named("lua luajit", _LUA),
        *_named("Rscript osascript julia elixir groovy raku racket octave", _EVALUATES),
        *_named("R", _R),
        *_named("expect", _EXPECT),
        *_named("powershell pwsh", _POWERSHELL),
        *_named("awk gawk mawk nawk", _AWK),
        *_named("sed gsed", _SED),
        *_named("jq", _JQ),
        *_named("yq", _YQ),
        *_named("sqlite", _SQLITE),
        *_named("duckdb", _DUCKDB),
        *_named("clickhouse-client", _CLICKHOUSE),
        *_named("mongo mongosh", _MONGO),
        *_named("psql", _PSQL),
        *_named("mysql mariadb", _MYSQL),
        *_named("cqlsh", _CQLSH),
        *_named("sqlcmd", _SQLCMD),
        *_named("su runuser", _SU),
        *_named("fish", _FISH),
        *_named("script", _SCRIPT),
        *_named("flock", _FLOCK),
        *_named("env", _ENV),
        *_named("ssh", _SSH),
        *_named("watch", _WATCH),
        *_named("eval", _EVAL),
    )
)
"""By the name of the program, without the version at its end."""

_CONTAINER = re.compile(
    r"-[A-Za-z]*[euwvplmhf]|--(?:env|env-file|user|workdir|volume|mount|name|network|publish"
    r"|entrypoint|hostname|label|memory|cpus|platform|detach-keys|file|index|profile|project-name"
    r"|project-directory)"
)
_CONTAINER_GROUPS = frozenset({"compose", "container"})

WRAPPERS: Mapping[str, Wrapper] = {
    "busybox": Wrapper(),
    "chroot": Wrapper(skipped=1),
    "chrt": Wrapper(valued=re.compile(r"-[TPD]"), skipped=1),
    "docker": Wrapper(valued=_CONTAINER, skipped=2, groups=_CONTAINER_GROUPS),
    "docker-compose": Wrapper(valued=_CONTAINER, skipped=2),
    "doas": Wrapper(valued=re.compile(r"-[Cu]")),
    "env": Wrapper(valued=re.compile(r"-[uC]|--unset|--chdir"), takes_variables=True),
    "exec": Wrapper(valued=re.compile(r"-a")),
    "flock": Wrapper(valued=re.compile(r"-[wE]|--timeout|--wait"), skipped=1),
    "gosu": Wrapper(skipped=1),
    "ionice": Wrapper(valued=re.compile(r"-[cn]|--class|--classdata")),
    "nice": Wrapper(valued=re.compile(r"-n|--adjustment")),
    "nohup": Wrapper(),
    "nsenter": Wrapper(valued=re.compile(r"-[tSG]|--target|--setuid|--setgid")),
    "podman": Wrapper(valued=_CONTAINER, skipped=2, groups=_CONTAINER_GROUPS),
    "runuser": Wrapper(valued=re.compile(r"-[ugG]|--user|--group|--supp-group")),
    "setsid": Wrapper(),
    "sshpass": Wrapper(valued=re.compile(r"-[pfdP]")),
    "stdbuf": Wrapper(valued=re.compile(r"-[ioe]|--input|--output|--error")),
    "su-exec": Wrapper(skipped=1),
    "sudo": Wrapper(
        valued=re.compile(
            r"-[A-Zabeiklnsv]*[ugChpDRrTtU]|--(?:user|group|host|prompt|chdir|chroot)"
        ),
        takes_variables=True,
    ),
    "systemd-run": Wrapper(valued=re.compile(r"-[pEuMH]|--(?:unit|property|setenv|slice|uid|gid)")),
    "taskset": Wrapper(skipped=1),
    "time": Wrapper(valued=re.compile(r"-[fo]|--format|--output")),
    "timeout": Wrapper(valued=re.compile(r"-[ks]|--kill-after|--signal"), skipped=1),
    "toybox": Wrapper(),
    "unshare": Wrapper(valued=re.compile(r"-[RwSG]|--root|--wd|--setuid|--setgid")),
    "xargs": Wrapper(valued=re.compile(r"-[aEIdLnPs]|--(?:arg-file|delimiter|max-\w+)")),
}
"""By the name of the program."""

RUNS_BEHIND: Mapping[str, frozenset[str]] = {
    "find": frozenset({"-exec", "-execdir", "-ok", "-okdir"}),
    "kubectl": frozenset({"--"}),
    "oc": frozenset({"--"}),
}
"""By the name of the program, the words behind which it names one to run."""
