"""The shell: words, quotes, joined commands, help in two languages, and nothing a line could break."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from console_kit import Console, Site, console_at, tell
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.console import Log
from devices.console.process import Failure
from devices.console.registry import PROGRAMS
from devices.console.shell import NOT_FOUND, split
from lab.network.host import Host
from lab.text import Language


def said(line: str, language: Language = "en") -> tuple[int | None, str]:
    async def story(site: Site) -> tuple[int | None, str]:
        at = console_at(site, language=language)
        text = await at.run(line)
        return at.status, text

    return tell(story)


def words(line: str) -> list[list[str]]:
    return [command.words for command in split(line)]


def test_quotes_keep_words_together_and_a_node_id_needs_none() -> None:
    assert words("""mqtt pub -m 'a b' -t "c \\"d" e\\ f """) == [["mqtt", "pub", "-m", "a b", "-t", 'c "d', "e f"]]
    assert words("opcua read cnc ns=2;s=CNC01.State") == [["opcua", "read", "cnc", "ns=2;s=CNC01.State"]]
    assert words("a ''") == [["a", ""]]


def test_commands_are_joined_by_and_and_semicolons() -> None:
    assert words("a 1; b && c ;d") == [["a", "1"], ["b"], ["c", ";d"]]
    assert words("a ; b ;") == [["a"], ["b"]]
    assert words("a '&&' \\; 'x;'") == [["a", "&&", ";", "x;"]]
    assert words("  ") == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ping 'a", "quotation mark"),
        ("ping a | grep b", "no {word} here"),
        ("ping a > file", "no {word} here"),
        ("&& ping", "missing beside"),
        ("ping a &&", "missing beside"),
        ("; ping", "missing beside"),
        ("x" * 20_000, "too long"),
    ],
)
def test_what_no_shell_here_can_do_is_said(line: str, why: str) -> None:
    with pytest.raises(Failure, match=why):
        split(line)


@given(st.text(alphabet="ab'\"\\ ;&|>\t", max_size=30))
def test_any_line_is_split_or_refused(line: str) -> None:
    try:
        commands = split(line)
    except Failure:
        return
    assert all(command.words for command in commands)


def test_what_comes_after_and_depends_on_success() -> None:
    assert said("hostname && hostname") == (0, "ws\nws\n")
    status, text = said("ping -c 1 nobody && hostname")
    assert (status, "ws\n" in text) == (2, False)
    assert said("ping -c 1 nobody; hostname")[1].endswith("ws\n")


def test_an_unknown_program_is_not_found_and_the_known_ones_are_named() -> None:
    status, text = said("pong plc-1")
    assert status == NOT_FOUND
    assert "did you mean 'ping'" in text
    assert "tcpdump" in text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_help_lists_every_program_and_every_program_explains_itself(language: Language) -> None:
    async def story(site: Site) -> None:
        at = console_at(site, language=language)
        overview = await at.run("help")
        for name, program in PROGRAMS.items():
            assert at.status == 0
            assert f"  {name}" in overview
            text = await at.run(f"{name} --help")
            assert at.status == 0
            assert at.context.language == language
            about = program.about.zh if language == "zh" else program.about.en
            assert about in overview
            assert about in text
            assert ("用法" in text) == (language == "zh")
            assert await at.run(f"help {name}") == text

    tell(story)


@pytest.mark.parametrize(
    ("line", "en", "zh"),
    [
        ("ping", "the following arguments are required: HOST", "缺少参数 HOST"),
        ("ping -c", "-c: expected one argument", "-c 后面要有一个值"),
        ("ping -c x plc", "'x' is no number", "'x' 不是数字"),
        ("ping -c 0 plc", "'0' is not between 1 and", "'0' 不在 1 到"),
        ("ping plc plc", "unrecognized arguments: plc", "多余的参数 plc"),
        ("modbus raed plc", "did you mean 'read'?; known: read, write", "是否想写 'read'？; 可用：read, write"),
        ("modbus read plc 0 -t coils", "did you mean 'coil'?", "是否想写 'coil'？"),
    ],
)
def test_a_wrong_argument_is_named_in_both_languages(line: str, en: str, zh: str) -> None:
    for language, sentence in (("en", en), ("zh", zh)):
        status, text = said(line, "zh" if language == "zh" else "en")
        assert status == 2
        assert sentence in text


def test_a_log_is_shown_from_its_end_and_followed() -> None:
    async def story(site: Site) -> None:
        log = Log()
        at = console_at(site, logs={"firewall": log})
        for number in range(20):
            log.add(f"line {number}")
        assert await at.run("tail") == "firewall\n"
        assert await at.run("tail -n 2 firewall") == "line 18\nline 19\n"
        assert "did you mean 'firewall'" in await at.run("tail firewal")
        assert at.status == 1
        running = at.begin("tail -n 1 -f firewall")
        await asyncio.sleep(1)
        log.add("\x1b[2Jnew")
        assert await running.stop() == "line 19\n\\x1b[2Jnew\n", "and it moves nobody's cursor"
        assert log.followers == []

    tell(story)


def test_the_date_is_what_the_hosts_own_clock_shows() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        assert await at.run("date") == "Thu Jan  1 08:00:00 CST 2026\n"
        at.host.clock_offset = -90.0
        assert await at.run("date -u -I") == "2025-12-31T23:58:30+00:00\n"
        assert await at.run("date -u '+%F %T %% %s %Q'") == "2025-12-31 23:58:30 % 1767225510 %Q\n"
        assert await at.run("hostname -I") == "10.0.0.9\n"

    tell(story)


def test_the_shell_is_there_at_once() -> None:
    code = (
        "import sys, lab.network.host; before = set(sys.modules); import devices.console; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["devices", "lab"], "libraries come with the programs that use them"


# -- any command line --------------------------------------------------------------------------------------------------

FLAGS = (
    "-a -b -c -d -e -f -h -i -k -l -m -n -o -p -q -r -s -t -u -v -w -x -z -A -C -I -L -M -P -R -V -W -X -1 -sS -sT -sU "
    "-sV --help --type --order --rate --units --timeout --hex --open --most --tls --cafile -- - -Cr"
)
VALUES = (
    "0 1 5 -1 99999 0.01 1e9 nan x 10.0.0.2 10.0.0.77 plc ws 10.0.0.0/30 0.0.0.0 255.255.255.255 127.0.0.1 224.0.0.1 read "
    "write scan identify pub sub get walk bulk endpoints browse subscribe call addr route neigh link dev eth0 40001 502 "
    "1-3 f32 coil holding http://10.0.0.2:502/ ns=2;s=x i=85 a/b # host port tcp and not ( ) sysName.0 1.3.6 file.pcapng "
    "../up %s %(prog)s {x} 你好 1M"
)
WORDS = st.sampled_from(VALUES.split(" ")) | st.sampled_from(FLAGS.split(" ")) | st.text(max_size=6)
LINES = st.tuples(st.sampled_from(list(PROGRAMS)), st.lists(WORDS, max_size=7)).map(lambda line: [line[0], *line[1]])


@settings(max_examples=250)
@given(st.lists(LINES, min_size=1, max_size=3), st.sampled_from(["zh", "en"]))
def test_no_command_line_breaks_anything(lines: list[list[str]], language: Language) -> None:
    async def story(site: Site) -> None:
        at = console_at(site, language=language)
        plc: Host = site.host("plc", "10.0.0.2/24")

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(await reader.read(100))
            except ConnectionResetError:
                pass
            writer.close()

        await plc.spawn(asyncio.start_server(echo, "0.0.0.0", 502))
        for line in lines:
            await bounded(at, line)

    tell(story)


async def bounded(at: Console, line: list[str]) -> None:
    try:
        async with asyncio.timeout(20):
            await at.run(line)
    except TimeoutError:
        return  # it would go on until Ctrl-C
    assert at.status in range(256)
