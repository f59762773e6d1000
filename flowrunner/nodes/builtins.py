"""The table of built-in node types: which factory serves which word."""

from __future__ import annotations

from collections.abc import Callable

from flowrunner.nodes.builtin.email import EmailNode
from flowrunner.nodes.builtin.exec import ExecNode
from flowrunner.nodes.builtin.fail import FailNode
from flowrunner.nodes.builtin.flow import CallsFlows, FlowNode, NoFlows
from flowrunner.nodes.builtin.log import LogNode
from flowrunner.nodes.builtin.noop import NoopNode
from flowrunner.nodes.builtin.notify import NotifyNode
from flowrunner.nodes.builtin.probe import ProbeNode
from flowrunner.nodes.builtin.set_values import SetNode
from flowrunner.nodes.builtin.shell import ShellNode
from flowrunner.nodes.builtin.switch import SwitchNode
from flowrunner.nodes.builtin.wait import WaitNode
from flowrunner.nodes.program import RunsPrograms
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.nodes.telling import NoChannels, TellsPeople


def register_builtins(
    registry: NodeRegistry,
    runner: RunsPrograms,
    calls: Callable[[], CallsFlows] = NoFlows,
    tells: Callable[[], TellsPeople] = NoChannels,
) -> None:
    """Registers every built-in type; those that start programs share `runner`.

    `calls` gives who starts other flows, `tells` who tells people; neither is asked before there is
    something to do.
    """
    registry.register("email", lambda: EmailNode(tells))
    registry.register("exec", lambda: ExecNode(runner))
    registry.register("fail", FailNode)
    registry.register("flow", lambda: FlowNode(calls))
    registry.register("log", LogNode)
    registry.register("noop", NoopNode)
    registry.register("notify", lambda: NotifyNode(tells))
    registry.register("set", SetNode)
    registry.register("shell", lambda: ShellNode(runner))
    registry.register("switch", SwitchNode)
    registry.register("wait", WaitNode)
    registry.register_form("wait", "probe", lambda: ProbeNode(runner))
