"""Doors into a running plant, as somebody at a prompt opens them: real shells and tools, scapy, and what is said where
something is missing."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.cli import main
from lab.network import namespace
from lab.network.namespace import why_not
from lab.text import speak, spoken
from scenarios.scenario import Scenario, find

PATH = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
PLC, WORKSTATION = "10.216.10.41", "10.216.10.100"
INSTANCE = Scenario.load(find("first-poll")).instantiate(1)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    before = spoken()
    yield
    speak(before)


@pytest.fixture(scope="session")
def real_hosts() -> None:
    """Skips where this computer cannot have them."""
    if reason := why_not():
        pytest.skip(reason.en)


class Lab:
    """`iiotlab run --headless`, and commands beside it."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "lab"
        self.environment = {
            **os.environ,
            "IIOTLAB_HOME": str(home),
            "IIOTLAB_LANG": "en",
            "PYTHONPATH": PATH,
            "SHELL": "/bin/sh",
        }
        self.process = self.start("run", "first-poll", "--headless", "--dir", str(self.folder))
        self.lines: list[str] = []
        self.hear("iiotlab check")

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [sys.executable, "-m", "lab.cli", *arguments],
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "encoding": "utf-8",
                "env": self.environment,
                **options,
            },
        )

    def iiotlab(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as started:
            out, err = started.communicate(timeout=60)
            return started.returncode, out, err

    def hear(self, wanted: str) -> str:
        """The next line of the lab's output with these words."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            self.lines.append(line)
            if wanted in line:
                return line
        _, complaints = self.process.communicate(timeout=10)
        raise AssertionError(f"{wanted!r} never said, but {self.lines} {complaints}")

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)

    def capture(self) -> Path:
        return self.folder / "work" / "capture.pcapng"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("home"))
    yield running
    running.close()


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Lab]:
    """One that may be killed."""
    running = Lab(tmp_path)
    yield running
    running.close()


def has_ended(process: int) -> bool:
    """Whether that process ends within five seconds or has ended already."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 5)[0])
    finally:
        os.close(descriptor)


# -- a real shell ------------------------------------------------------------------------------------------------------


@pytest.mark.namespace
@pytest.mark.usefixtures("real_hosts")
class TestARealHost:
    def test_runs_a_command_and_passes_its_exit_status_on(self, lab: Lab) -> None:
        script = "hostname; echo $IIOTLAB_HOST; echo oh >&2; exit 7"
        assert lab.iiotlab("attach", "ws-1", "--", "sh", "-c", script) == (7, "ws-1\nws-1\n", "oh\n")
        assert lab.iiotlab("attach", "ws-1", "--", "sh", "-c", "kill -9 $$")[0] == 137
        status, _, err = lab.iiotlab("attach", "ws-1", "--", "no-such-program")
        assert (status, err.split(":")[0]) == (127, "no-such-program")

    def test_reaches_the_plant_with_ping(self, lab: Lab) -> None:
        status, out, _ = lab.iiotlab("attach", "ws-1", "--", "ping", "-c", "2", PLC)
        assert (status, "2 received" in out) == (0, True)

    @pytest.mark.foreign
    def test_scans_it_with_nmap(self, lab: Lab, nmap: str) -> None:
        status, out, _ = lab.iiotlab("attach", "ws-1", "--", nmap, "-sT", "-Pn", "-n", "-p", "501-503", PLC)
        assert status == 0
        assert [line.split()[1] for line in out.splitlines() if "/tcp" in line] == ["closed", "open", "closed"]

    @pytest.mark.foreign
    def test_reads_it_with_mbpoll_and_the_capture_has_it(self, lab: Lab, mbpoll: str, tshark: str) -> None:
        unit = str(INSTANCE.parameters["unit"])
        status, out, err = lab.iiotlab(
            "attach", "ws-1", "--", mbpoll, "-1", "-t", "3", "-r", "1", "-c", "2", "-a", unit, PLC
        )
        assert status == 0, out + err
        assert "[1]:" in out
        seen = subprocess.run(
            [tshark, "-r", str(lab.capture()), "-Y", f"modbus && ip.src=={WORKSTATION}", "-T", "fields", "-e", "mbtcp.unit_id"],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert unit in seen.stdout.split()

    def test_takes_the_published_ports_of_the_workstation_along(self, lab: Lab) -> None:
        unit = INSTANCE.parameters["unit"]
        assert isinstance(unit, int)
        published = int(next(line for line in lab.lines if "(boiler)" in line).split("127.0.0.1:")[1].split()[0])
        with lab.start("attach", "ws-1", "--", "sh", "-c", "echo ready; read wait", stdin=subprocess.PIPE) as there:
            assert there.stdout is not None
            assert there.stdin is not None
            assert there.stdout.readline() == "ready\n"
            with socket.create_connection(("127.0.0.1", published), 5) as visitor:
                visitor.sendall(bytes((0, 1, 0, 0, 0, 6, unit, 4, 0, 0, 0, 2)))
                assert visitor.recv(100)[:9] == bytes((0, 1, 0, 0, 0, 7, unit, 4, 4))
            there.communicate("\n", timeout=20)

    def test_is_a_shell_on_a_terminal(self, lab: Lab) -> None:
        with Terminal(lab, "attach", "ws-1") as terminal:
            terminal.hear("real host in the plant")
            terminal.hear("[ws-1] $ ")
            terminal.type("stty size; hostname\n")
            terminal.hear("33 101")
            terminal.hear("\r\nws-1\r\n")
            terminal.hear("[ws-1] $ ")
            terminal.type("cat\n")
            terminal.type("again\n")
            terminal.hear("again\r\nagain\r\n")  # typed, and said by a program that now waits for more
            terminal.type("\x03")
            terminal.hear("[ws-1] $ ")
            terminal.type("exit 5\n")
            terminal.hear("simulated host again")
            assert terminal.ends() == 5

    def test_may_stay_when_the_command_has_ended(self, lab: Lab) -> None:
        assert lab.iiotlab("attach", "ws-1", "--keep", "--", "true")[0] == 0
        status, _, err = lab.iiotlab("attach", "ws-1", "--", "true")
        assert (status, "already" in err) == (2, True)
        assert lab.iiotlab("attach", "ws-1", "--detach")[0] == 0
        status, _, err = lab.iiotlab("attach", "ws-1", "--detach")
        assert (status, "is a simulated host as it is" in err) == (2, True)
        assert lab.iiotlab("attach", "ws-1", "--", "true")[0] == 0

    def test_does_not_stand_in_for_a_controller_unless_forced(self, lab: Lab) -> None:
        status, _, err = lab.iiotlab("attach", "boiler", "--", "true")
        assert status == 2
        assert "boiler is no workstation (Boiler controller)" in err
        assert "Possible: ws-1" in err
        assert lab.iiotlab("attach", "boiler", "--force", "--", "hostname")[:2] == (0, "boiler\n")

    def test_is_given_back_when_the_command_line_is_killed(self, lab: Lab) -> None:
        script = "trap '' HUP; echo $$; sleep 1000"
        with lab.start("attach", "ws-1", "--", "sh", "-c", script) as there:
            assert there.stdout is not None
            shell = int(there.stdout.readline())
            there.kill()
        assert has_ended(shell)
        lab.hear("ws-1: is a simulated host again")
        assert lab.iiotlab("attach", "ws-1", "--", "true")[0] == 0, "the lab goes on"

    def test_ends_with_a_lab_that_is_killed_and_leaves_nothing(self, own_lab: Lab) -> None:
        script = "trap '' HUP; echo $$; sleep 1000"
        with own_lab.start("attach", "ws-1", "--", "sh", "-c", script) as there:
            assert there.stdout is not None
            shell = int(there.stdout.readline())
            family = [own_lab.process.pid]
            for member in family:
                family += map(int, Path(f"/proc/{member}/task/{member}/children").read_text().split())
            own_lab.process.kill()
            _, err = there.communicate(timeout=20)
            assert "the lab has ended" in err
            assert there.returncode == 2
        assert has_ended(shell)
        assert all(has_ended(each) for each in family[1:])
        assert own_lab.iiotlab("attach", "ws-1", "--", "true")[2] == (
            "iiotlab: no lab of this user is running. Start one in another terminal (iiotlab run ID), or add --scenario ID here\n"
        )
        assert not list((own_lab.folder.parent / "running").iterdir()), "what the lab left is cleared away"

    def test_may_be_had_in_a_lab_of_its_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IIOTLAB_HOME", str(tmp_path))
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "lab.cli",
                "attach",
                "ws-1",
                "--scenario",
                "first-poll",
                "--",
                "ping",
                "-c",
                "1",
                PLC,
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": PATH, "IIOTLAB_LANG": "en"},
            timeout=60,
            check=False,
        )
        assert (done.returncode, "1 received" in done.stdout) == (0, True), done.stderr


class Terminal:
    """A person at a terminal of 33 lines and 101 columns."""

    def __init__(self, lab: Lab, *arguments: str) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._process, self._screen = pty.fork()
        if not self._process:
            os.execve(sys.executable, [sys.executable, "-m", "lab.cli", *arguments], lab.environment)
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        self._shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._screen)  # who still sits there is hung up

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def hear(self, wanted: str) -> None:
        while wanted not in self._shown:
            assert select.select([self._screen], [], [], 20)[0], f"{wanted!r} not in {self._shown!r}"
            self._shown += os.read(self._screen, 4096).decode(errors="replace")
        self._shown = self._shown.partition(wanted)[2]

    def ends(self) -> int:
        _, status = os.waitpid(self._process, 0)
        return os.waitstatus_to_exitcode(status)


# -- where it cannot be ------------------------------------------------------------------------------------------------

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Carry out a command line in this process."""
    monkeypatch.setenv("IIOTLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IIOTLAB_LANG", "en")

    def say(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        out, err = capfd.readouterr()
        return status, out, err

    return say


def test_another_system_is_told_so_and_what_works_instead(
    said: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSYS, namespace.NOT_LINUX.say())

    monkeypatch.setattr("lab.seat.doors.attach", refuse)
    monkeypatch.setattr("lab.network.namespace.why_not", lambda: namespace.NOT_LINUX)
    status, _, err = said("attach", "ws-1", "--scenario", "first-poll", "--lab", str(tmp_path / "lab"))
    assert status == 2
    assert "this computer does not run Linux" in err
    assert "iiotlab attach ws-1 --socks" in err
    assert "a published port (boiler)" in err
    status, _, err = said("attach", "ws-1", "--scenario", "first-poll", "--lab", str(tmp_path / "lab"), "--lang", "zh")
    assert "本机系统不是 Linux" in err
    assert "SOCKS5 代理" in err


def test_without_a_lab_people_are_told_how_to_start_one(said: Say) -> None:
    for door in (["attach", "ws-1"], ["console", "ws-1"], ["scapy", "ws-1"], ["nic", "sw-1/p7", "eth1"]):
        status, _, err = said(*door)
        assert (status, "no lab of this user is running" in err) == (2, True)


def test_among_several_labs_one_must_be_chosen(lab: Lab, tmp_path: Path) -> None:
    with lab.start("run", "who-may-write", "--headless", "--dir", str(tmp_path / "other")) as other:
        assert other.stdout is not None
        while "iiotlab check" not in other.stdout.readline():
            pass
        status, _, err = lab.iiotlab("console", "ws-1", "--", "help")
        assert (status, "choose one with --lab" in err, str(lab.folder) in err) == (2, True, True)
        status, _, err = lab.iiotlab("attach", "nobody", "--lab", str(tmp_path / "other"), "--", "true")
        assert "the plant has no host nobody" in err
        status, _, err = lab.iiotlab("attach", "ws-1", "--lab", str(tmp_path / "nowhere"), "--", "true")
        assert (status, "no lab is running in" in err) == (2, True)
        other.terminate()
        other.communicate(timeout=30)


# -- a proxy -----------------------------------------------------------------------------------------------------------


def test_a_socks_proxy_needs_no_privileges(lab: Lab) -> None:
    with lab.start("attach", "ws-1", "--socks", "0") as proxy:
        assert proxy.stdout is not None
        port = int(proxy.stdout.readline().split("127.0.0.1:")[1].split(",")[0])
        with socket.create_connection(("127.0.0.1", port), 5) as visitor:
            visitor.sendall(b"\x05\x01\x00")
            assert visitor.recv(2) == b"\x05\x00"
            visitor.sendall(b"\x05\x01\x00\x01" + socket.inet_aton(PLC) + (502).to_bytes(2, "big"))
            assert visitor.recv(10)[1] == 0
        proxy.send_signal(signal.SIGINT)
        _, err = proxy.communicate(timeout=20)
        assert (proxy.returncode, err) == (0, "")
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.1", port), 1).close()


# -- scapy -------------------------------------------------------------------------------------------------------------

ATTACK = f"""
import json, sys
answers = {{"arguments": sys.argv[1:], "interface": str(conf.iface.name), "own": conf.iface.ip}}
echo = sr1(IP(dst="{PLC}")/ICMP()/b"from scapy", timeout=5, verbose=0)
answers["ping"] = bytes(echo[Raw].load)[:10].decode()
for port in (502, 503):
    reply = sr1(IP(dst="{PLC}")/TCP(sport=40000 + port, dport=port, flags="S"), timeout=5, verbose=0)
    answers[port] = str(reply[TCP].flags)
sendp(Ether(dst="ff:ff:ff:ff:ff:ff")/ARP(pdst="{PLC}"), verbose=0)
heard = sniff(count=1, timeout=5, lfilter=lambda p: ICMP in p and p[ICMP].type == 0,
              started_callback=lambda: send(IP(dst="{PLC}")/ICMP(id=77), verbose=0))
answers["sniffed"] = heard[0][ICMP].id
print(json.dumps(answers))
"""


@pytest.fixture
def attack(tmp_path: Path) -> str:
    pytest.importorskip("scapy")
    (tmp_path / "attack.py").write_text(ATTACK, "utf-8")
    return str(tmp_path / "attack.py")


@pytest.mark.foreign
@pytest.mark.parametrize("alone", [(), ("--alone",)])
def test_scapy_is_on_the_host_and_a_script_finds_what_it_expects(lab: Lab, attack: str, alone: tuple[str, ...]) -> None:
    status, out, err = lab.iiotlab("scapy", *alone, "ws-1", attack, "one", "two")
    assert status == 0, err
    answers = json.loads(out.splitlines()[-1])
    assert answers["arguments"] == ["one", "two"]
    assert (answers["interface"], answers["own"]) == ("eth0", WORKSTATION)
    assert answers["ping"] == "from scapy"
    assert (answers["502"], answers["503"]) == ("SA", "RA"), "our stack's answers to its SYN"
    assert answers["sniffed"] == 77


@pytest.mark.foreign
def test_what_scapy_sends_is_in_the_capture_and_a_handshake_is_the_hosts_business(
    own_lab: Lab, tmp_path: Path, tshark: str
) -> None:
    pytest.importorskip("scapy")
    script = tmp_path / "syn.py"
    script.write_text(f'sr1(IP(dst="{PLC}")/TCP(sport=40404, dport=502, flags="S"), timeout=5, verbose=0)\n', "utf-8")

    def resets() -> int:
        wanted = f"tcp.port==40404 && tcp.flags.reset==1 && ip.src=={WORKSTATION}"
        seen = subprocess.run(
            [tshark, "-r", own_lab.capture(), "-Y", wanted], capture_output=True, text=True, check=False
        )
        return len(seen.stdout.splitlines())

    assert own_lab.iiotlab("scapy", "--alone", "ws-1", str(script))[0] == 0
    alone = resets()
    assert own_lab.iiotlab("scapy", "ws-1", str(script))[0] == 0
    own_lab.close()
    assert alone == 0
    assert resets() >= 1


@pytest.mark.foreign
def test_filters_are_those_of_tcpdump(lab: Lab, tmp_path: Path) -> None:
    pytest.importorskip("scapy")
    script = tmp_path / "filter.py"
    script.write_text(
        f"""
try:
    heard = sniff(count=1, timeout=5, filter="icmp[icmptype] == icmp-echoreply",
                  started_callback=lambda: send(IP(dst="{PLC}")/ICMP(id=78), verbose=0))
    print("heard", heard[0][ICMP].type)
except ImportError:
    print("no libpcap")
""",
        "utf-8",
    )
    status, out, err = lab.iiotlab("scapy", "ws-1", str(script))
    assert (status, out) in ((0, "heard 0\n"), (0, "no libpcap\n")), err


@pytest.mark.foreign
def test_scapy_that_is_killed_gives_the_host_its_stack_back(lab: Lab, tmp_path: Path) -> None:
    pytest.importorskip("scapy")
    script = tmp_path / "wait.py"
    script.write_text("import os; print(os.getpid(), flush=True); os.kill(os.getpid(), 9)\n", "utf-8")
    status, _, _ = lab.iiotlab("scapy", "--alone", "ws-1", str(script))
    assert status == 137
    published = int(next(line for line in lab.lines if "(boiler)" in line).split("127.0.0.1:")[1].split()[0])
    with socket.create_connection(("127.0.0.1", published), 5) as visitor:
        unit = INSTANCE.parameters["unit"]
        assert isinstance(unit, int)
        visitor.settimeout(10)
        visitor.sendall(bytes((0, 1, 0, 0, 0, 6, unit, 4, 0, 0, 0, 2)))
        assert visitor.recv(100)


def test_scapys_refusals_are_plain(lab: Lab, said: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    status, _, err = said("scapy", "ws-1", "no-such-script.py")
    assert (status, "there is no file no-such-script.py" in err) == (2, True)
    monkeypatch.setattr("lab.cli.scapy.find_spec", lambda name: None)
    status, _, err = said("scapy", "ws-1")
    assert (status, "pip install scapy" in err) == (2, True)


@pytest.mark.foreign
def test_scapy_says_which_hosts_there_are(lab: Lab) -> None:
    pytest.importorskip("scapy")
    for host, sentence in (("nobody", "no host nobody"), ("ws-1/eth9", "no port eth9")):
        status, _, err = lab.iiotlab("scapy", host)
        assert (status, sentence in err, "Traceback" in err) == (1, True, False), err


# -- console programs --------------------------------------------------------------------------------------------------


class Programs:
    """Stands for devices.console."""

    @staticmethod
    def Context(**_: object) -> None:  # noqa: N802 – as there
        """Whatever it is."""

    @staticmethod
    async def run(host: Any, line: str, out: Callable[[str], None], *, context: object) -> int:
        if line == "wait":
            out("waiting")
            await asyncio.get_running_loop().create_future()
        round_trip = await host.ping(PLC)
        out(f"{host.name}: {line}\n")
        out("answered" if round_trip is not None else "silence")
        return 3


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "devices.console", Programs)  # type: ignore[arg-type]
    monkeypatch.setattr("devices.console", Programs, raising=False)  # where another test has imported it


@pytest.mark.usefixtures("programs")
def test_a_console_program_runs_on_its_host_and_its_exit_status_is_passed_on(said: Say, tmp_path: Path) -> None:
    here = ("--scenario", "first-poll", "--lab", str(tmp_path / "lab"))
    status, out, _ = said("console", "ws-1", *here, "--", "ping", "two words")
    assert (status, out) == (3, "ws-1: ping 'two words'\nanswered\n")
    status, _, err = said("console", "nobody", *here, "--", "ping")
    assert (status, "no host nobody" in err) == (2, True)


@pytest.mark.usefixtures("programs")
def test_a_console_reads_lines_until_it_is_left(said: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\nping plc\nexit\nnever\n"))
    status, out, _ = said("console", "ws-1", "--scenario", "first-poll", "--lab", str(tmp_path / "lab"))
    assert (status, out) == (3, "ws-1: ping plc\nanswered\n")


@pytest.mark.usefixtures("programs")
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process of a Windows console")
def test_ctrl_c_stops_a_program_and_not_the_console(said: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("wait\nping plc\n"))
    shown: list[str] = []

    def show(text: str) -> None:
        shown.append(text)
        if text == "waiting":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("lab.cli.console._print", show)
    status, _, _ = said("console", "ws-1", "--scenario", "first-poll", "--lab", str(tmp_path / "lab"))
    assert (status, shown) == (3, ["waiting", "ws-1: ping plc\n", "answered", "\n"])


# -- a real card -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="real cards need Linux")
def test_a_card_with_an_address_is_not_given_away(lab: Lab) -> None:
    status, _, err = lab.iiotlab("nic", "ws-1", "lo")
    assert (status, "loopback" in err) == (2, True)
    status, _, err = lab.iiotlab("nic", "sw-1/p99", "lo")
    assert (status, "the plant has no port sw-1/p99" in err) == (2, True)
    status, _, err = lab.iiotlab("nic", "ws-1", "no-such-card")
    assert (status, "no interface no-such-card here" in err) == (2, True)
