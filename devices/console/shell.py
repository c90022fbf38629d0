"""Reads a command line and runs it: words, quotes, `&&` and `;`, nothing else of a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from devices.console.context import Context
from devices.console.process import FAILED, OK, USAGE, Failure, Process
from devices.console.registry import PROGRAMS
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.host import Host

NOT_FOUND: Final = 127
"""As shells have it."""
LONGEST: Final = 10_000
"""Characters of a line."""
_JOINED, _NEXT, _AND = "", ";", "&&"
_QUOTES: Final = ("'", '"')
_UNSUPPORTED: Final = frozenset({"|", "||", "&", ">", ">>", "<", "<<", "2>", "2>&1"})

UNCLOSED = Text(zh="引号没有配对", en="a quotation mark is not closed")
NO_SHELL = Text(
    zh="这里没有 {word}；可用 && 和 ; 连接命令", en="there is no {word} here; && and ; join commands, and that is all"
)
NO_COMMAND = Text(zh="{word} 旁边缺少命令", en="a command is missing beside {word}")
TOO_LONG = Text(zh="命令太长，最多 {most} 个字符", en="this line is too long, {most} characters are the most")
UNKNOWN = Text(zh="没有程序 {name!r}", en="there is no program {name!r}")
SEE_HELP = Text(zh="help 列出全部程序", en="help lists them all")
PROGRAMS_ARE = Text(
    zh="本主机的程序（各有 --help；Ctrl-C 停止）：", en="Programs of this host (each has --help; Ctrl-C stops one):"
)
CONNECTORS = Text(
    zh="a && b：a 成功后做 b；a ; b：先 a 后 b", en="a && b does b where a succeeded; a ; b does b after a"
)


class Command(NamedTuple):
    connector: str
    """What stands before it."""
    words: list[str]


def split(line: str) -> list[Command]:
    """The commands of a line; raises Failure where it makes no sense."""
    if len(line) > LONGEST:
        raise Failure(TOO_LONG, USAGE, most=LONGEST)
    commands = [Command(_JOINED, [])]
    for word, is_quoted in _words(line):
        if is_quoted:
            commands[-1].words.append(word)
            continue
        if word in _UNSUPPORTED:
            raise Failure(NO_SHELL, USAGE, word=word)
        # A node identifier such as ns=2;s=x needs no quotes here: only a semicolon at the end of a word separates.
        bare = word.rstrip(";")
        if word == _AND or bare != word:
            if word != _AND and bare:
                commands[-1].words.append(bare)
            connector = _AND if word == _AND else _NEXT
            if not commands[-1].words:
                raise Failure(NO_COMMAND, USAGE, word=connector)
            commands.append(Command(connector, []))
        else:
            commands[-1].words.append(word)
    if not commands[-1].words:
        connector = commands.pop().connector
        if connector == _AND:
            raise Failure(NO_COMMAND, USAGE, word=connector)
    return commands


def _words(line: str) -> Iterator[tuple[str, bool]]:
    """Each word, and whether any of it was quoted; raises Failure for a quotation that does not end."""
    word, begun, quoted = "", False, False
    rest = iter(line)
    for each in rest:
        if each.isspace():
            if begun:
                yield word, quoted
            word, begun, quoted = "", False, False
            continue
        begun = True
        if each == "\\" or each in _QUOTES:
            quoted = True
            word += _until(each, rest) if each in _QUOTES else next(rest, "\\")
        else:
            word += each
    if begun:
        yield word, quoted


def _until(mark: str, rest: Iterator[str]) -> str:
    """What is quoted, up to the closing mark; in double quotes a backslash takes the meaning from " and itself."""
    text = ""
    for each in rest:
        if each == mark:
            return text
        if each == "\\" and mark == '"':
            following = next(rest, "")
            text += following if following in ('"', "\\") else each + following
        else:
            text += each
    raise Failure(UNCLOSED, USAGE)


async def run(host: Host, line: str | Sequence[str], out: Callable[[str], None], *, context: Context) -> int:
    """Run a line, or one command as a list of words, on a host; returns the exit status.

    Output is handed to `out` as it comes. Cancelled, a program says what it has to say at its end and is gone.
    """
    shell = Process("console", host, out, context)
    try:
        commands = split(line) if isinstance(line, str) else [Command(_JOINED, list(line))] if line else []
    except Failure as failure:
        shell.complain(failure.text, **failure.facts)
        return failure.status
    status = OK
    for connector, words in commands:
        if connector != _AND or status == OK:
            status = await _run(Process(words[0], host, out, context), words[1:])
    return status


async def _run(process: Process, words: Sequence[str]) -> int:
    # argparse is not needed before somebody types something.
    from devices.console.arguments import Arguments, Ended, known

    if process.name == "help" and not words:
        return _help(process)
    name, rest = (words[0], ["--help"]) if process.name == "help" else (process.name, words)
    program = PROGRAMS.get(name)
    if program is None:
        shell = Process("console", process.host, process.write, process.context)
        shell.print(f"{shell.say(UNKNOWN, name=name)}{known(shell, name, PROGRAMS)}; {shell.say(SEE_HELP)}")
        return NOT_FOUND
    process.name = name
    parser = Arguments(process, program.about)
    program.arguments(parser)
    try:
        options = parser.parse(rest)
        status: int = await process.host.spawn(program.run(process, options), name=name)
        return status
    except Ended as ended:
        return ended.status
    except Failure as failure:
        process.complain(failure.text, **failure.facts)
        return failure.status or FAILED


def _help(process: Process) -> int:
    process.tell(PROGRAMS_ARE)
    for program in PROGRAMS.values():
        process.print(f"  {program.name:<12}{process.say(program.about)}")
    process.tell(CONNECTORS)
    return OK
