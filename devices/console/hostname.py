"""`hostname`"""

from __future__ import annotations

from ipaddress import IPv4Address

from devices.console.arguments import Arguments, Options
from devices.console.process import OK, Process
from lab.text import Text

ADDRESSES = Text(zh="列出本机全部地址", en="all addresses of this host")


def arguments(parser: Arguments) -> None:
    parser.flag("-I", "--all-ip-addresses", dest="addresses", action="store_true", help=ADDRESSES)


async def run(process: Process, options: Options) -> int:
    host = process.host
    process.print(" ".join(str(IPv4Address(each)) for each in host.own_addresses) if options.addresses else host.name)
    return OK
