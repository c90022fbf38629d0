"""Ctrl-C ends every program at once, whatever it waits for, and leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest
from console_kit import Site, console_at, tell

from lab.model.plant import HostConfig
from lab.network.host import Host

PORTS = (80, 443, 502, 1883, 4840, 5001, 8883)

WAITING = [
    "ping {host} -i 0.3",
    "traceroute {host} -p 161",
    "nslookup -timeout=20 plc.lab {host}",
    "nc {host} 502 hello",
    "nc -u {host} 161 hello",
    "nc -l 5000",
    "nc -l -u 5000",
    "portscan {host} -p 1-65000",
    "portscan -sS {host} -p 1-65000",
    "iperf -s -i 1",
    "iperf -s -u",
    "iperf -c {host} -t 100",
    "iperf -c {host} -u -t 100",
    "modbus read {host} 40001 --timeout 60",
    "modbus scan {host} --units 1-200",
    "opcua read {host} i=2258 --timeout 60",
    "opcua endpoints {host} --timeout 60",
    "mqtt sub -h {host} -t a",
    "mqtt pub -h {host} -t a -m x --insecure",
    "snmp get -t 60 {host} sysName.0",
    "snmp walk -u reader -A maplesyrup -X sugarcane -t 60 {host} system",
    "curl http://{host}/",
    "curl -k https://{host}/",
    "tcpdump",
]


async def silent(site: Site) -> Host:
    """A host that accepts everything and never says a word."""
    host = site.host("mute", "10.0.0.2/24")

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65536):
                pass
        except ConnectionResetError:
            pass
        writer.close()

    for port in PORTS:
        await host.spawn(asyncio.start_server(hear, "0.0.0.0", port))
    for port in (53, 161, 5001):
        host.open_datagrams(asyncio.DatagramProtocol, ("0.0.0.0", port), None)
    return host


@pytest.mark.parametrize("address", ["10.0.0.2", "10.0.0.77"])
@pytest.mark.parametrize("line", WAITING)
def test_nothing_is_left(line: str, address: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        mute = await silent(site)
        await at.run("ping -c 1 10.0.0.2")
        before = asyncio.all_tasks()
        began = site.loop.time()
        await at.interrupted(line.format(host=address), 0.7)
        assert site.loop.time() - began < 3
        await asyncio.sleep(300)  # TIME-WAIT is over
        assert {repr(task.get_coro()) for task in asyncio.all_tasks() - before} == set()
        assert at.host.connections == ()
        assert mute.connections == ()
        assert not at.host._datagrams
        assert not at.host._listeners

    tell(story)


@pytest.mark.parametrize(
    "line", ["ping {host} -i 0.3 -c 9", "portscan -sS {host} -p 1-9 --rate 5", "traceroute {host} -w 1"]
)
def test_a_host_that_loses_its_address_goes_on_to_the_end(line: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await silent(site)
        running = at.begin(line.format(host="10.0.0.2"))
        at.host.guard = lambda nic, datagram: False
        await asyncio.sleep(0.7)
        at.host.configure(HostConfig())
        assert await running.end() in (0, 1)

    tell(story)
