"""Something else at a host's port for a while: a real host, a real network card, a program that makes its own frames."""

from __future__ import annotations

from collections.abc import Callable

from lab.model.frame import Port
from lab.network.fabric import Network
from lab.text import Text

TAKEN = Text(
    zh="{port} 已被占用：真实主机、真实网卡，或独占网口的程序（scapy --alone）",
    en="something else is at {port} already: a real host, a real card, or a program that has the port alone",
)


def is_taken(network: Network, port: Port) -> bool:
    """Whether something else is at this port of a host; raises KeyError for an unknown one."""
    return network.jack(port) is not network.hosts[port.host].nic(port.name).jack


class StandIn:
    """Takes a host's place at one of its ports, whose cable, if any, then ends here.

    The host itself finds its cable pulled. Raises KeyError for an unknown port, ValueError where something else is
    there already.
    """

    def __init__(
        self, network: Network, port: Port, receive: Callable[[bytes], None], link_changed: Callable[[bool], None]
    ) -> None:
        if is_taken(network, port):
            raise ValueError(TAKEN.say(port=port))
        self._network = network
        self._port = port
        self._nic = network.hosts[port.host].nic(port.name)
        self._before = network.jack(port)
        self.jack = network.replace_jack(port, receive, link_changed)

    def leave(self) -> None:
        """Give the port back to its host."""
        network, port, before = self._network, self._port, self._before
        is_enabled = self.jack.is_enabled
        network.enable(port, False)
        self._nic.jack = network.replace_jack(port, before.receive, before.link_changed)
        network.enable(port, is_enabled)  # only now, so that the host announces itself at its new jack
