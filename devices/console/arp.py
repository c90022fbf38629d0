"""`arp`: the table of neighbours, as net-tools shows it."""

from __future__ import annotations

import socket
from typing import Final

from devices.console.arguments import Arguments, Options
from devices.console.process import FAILED, OK, Process
from lab.model.address import format_mac
from lab.text import Text

EXAMPLES: Final = ("arp -a", "arp 10.20.10.11", "arp -d 10.20.10.11")
ALL = Text(zh="列出全部（默认）", en="all entries, the default")
DELETE = Text(zh="删除一个表项", en="delete one entry")
NUMERIC = Text(zh="只用地址（本来如此）", en="addresses only, which is so anyway")
HOST = Text(zh="主机名或地址", en="name or address of a host")
NO_ENTRY = Text(zh="{host}（{address}）没有表项", en="{host} ({address}) -- no entry")
WHICH = Text(zh="-d 后面要有一个主机", en="-d needs a host")


def arguments(parser: Arguments) -> None:
    parser.examples(*EXAMPLES)
    parser.flag("-a", dest="all", action="store_true", help=ALL)
    parser.flag("-d", dest="delete", action="store_true", help=DELETE)
    parser.flag("-n", action="store_true", help=NUMERIC)
    parser.flag("host", nargs="?", metavar="HOST", help=HOST)


async def run(process: Process, options: Options) -> int:
    if options.host is None:
        if options.delete:
            process.complain(WHICH)
            return FAILED
        _show(process, None)
        return OK
    address = await process.resolve(options.host)
    if options.delete:
        found = False
        for nic in process.host.nics:
            found = found or address in nic.neighbours.table
            nic.neighbours.forget(address)
            nic.neighbours.unpin(address)
    else:
        found = _show(process, address)
    if not found:
        process.tell(NO_ENTRY, host=options.host, address=socket.inet_ntoa(address))
    return OK if found else FAILED


def _show(process: Process, only: bytes | None) -> bool:
    found = False
    for nic in process.host.nics:
        for address, mac in sorted(nic.neighbours.table.items()):
            if only in (None, address):
                found = True
                process.print(f"? ({socket.inet_ntoa(address)}) at {format_mac(mac)} [ether] on {nic.name}")
    return found
