"""What several console programs say."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Final

from lab.text import Text

USAGE = Text(zh="用法：", en="usage: ")
ARGUMENTS = Text(zh="参数", en="arguments")
OPTIONS = Text(zh="选项", en="options")
EXAMPLES = Text(zh="例如：", en="examples:")
COMMANDS = Text(zh="命令", en="commands")
HELP = Text(zh="显示本说明", en="show this and do nothing else")
ERROR = Text(zh="错误", en="error")
SEE_HELP = Text(zh="详见 {name} --help", en="see {name} --help")

UNKNOWN_CHOICE = Text(zh="没有 {wrong!r}", en="there is no {wrong!r}")
DID_YOU_MEAN = Text(zh="是否想写 {guess!r}？", en="did you mean {guess!r}?")
KNOWN = Text(zh="可用：{known}", en="known: {known}")
NOT_A_NUMBER = Text(zh="{value!r} 不是数字", en="{value!r} is no number")
OUT_OF_RANGE = Text(zh="{value!r} 不在 {low} 到 {high} 之间", en="{value!r} is not between {low} and {high}")
NOT_HEX = Text(zh="{value!r} 不是十六进制字节", en="{value!r} is not bytes in hexadecimal")
NOT_A_PORT = Text(zh="{value!r} 不是端口号", en="{value!r} is no port number")

ARGPARSE: Final[Mapping[str, str]] = {
    r"the following arguments are required: (.*)": "缺少参数 {0}",
    r"unrecognized arguments: (.*)": "多余的参数 {0}",
    r"argument (.*?): expected one argument": "{0} 后面要有一个值",
    r"argument (.*?): expected at least one argument": "{0} 后面至少要有一个值",
    r"argument (.*?): expected (\d+) arguments": "{0} 后面要有 {1} 个值",
    r"argument (.*?): not allowed with argument (.*)": "{0} 不能与 {1} 同时使用",
    r"argument (.*?): ignored explicit argument (.*)": "{0} 不带值，而写了 {1}",
    r"one of the arguments (.*) is required": "{0} 之中要有一个",
    r"argument (.*?): (.*)": "{0}：{1}",
}
"""Patterns of what argparse says, and the same in Chinese."""

NO_ADDRESS = Text(zh="{name}：{why}", en="{name}: {why}")
NAME_UNKNOWN = Text(zh="不认识这个名称", en="Name or service not known")
NAME_SERVERS_SILENT = Text(zh="域名服务器没有应答", en="Temporary failure in name resolution")
TIMED_OUT = Text(zh="超时，没有应答", en="timed out")
NO_FOLDER = Text(zh="此控制台没有可写文件的文件夹", en="this console has no folder to write files in")
OUTSIDE_FOLDER = Text(zh="{name!r} 不是本文件夹中的文件名", en="{name!r} is no file name in this folder")
CANNOT_WRITE = Text(zh="无法写 {name}：{why}", en="cannot write {name}: {why}")
CONNECTING_FAILED = Text(zh="无法连接 {host}:{port}：{why}", en="cannot connect to {host}:{port}: {why}")

ERRORS: Final[Mapping[int, Text]] = {
    errno.ECONNREFUSED: Text(zh="连接被拒绝（该端口没有程序在听）", en="Connection refused"),
    errno.EHOSTUNREACH: Text(zh="无法到达主机", en="No route to host"),
    errno.ENETUNREACH: Text(zh="没有到达该网络的路由", en="Network is unreachable"),
    errno.ECONNRESET: Text(zh="连接被对方复位", en="Connection reset by peer"),
    errno.ECONNABORTED: Text(zh="连接中断", en="Connection aborted"),
    errno.ETIMEDOUT: TIMED_OUT,
    errno.EADDRINUSE: Text(zh="端口已被占用", en="Address already in use"),
    errno.EADDRNOTAVAIL: Text(zh="不是本机的地址", en="Cannot assign requested address"),
    errno.EMSGSIZE: Text(zh="报文太长", en="Message too long"),
    errno.EPIPE: Text(zh="对方已关闭连接", en="Broken pipe"),
    errno.EACCES: Text(zh="没有权限", en="Permission denied"),
    errno.ENOENT: Text(zh="没有这个文件或文件夹", en="No such file or directory"),
    errno.EISDIR: Text(zh="这是文件夹", en="Is a directory"),
    errno.ENOSPC: Text(zh="磁盘已满", en="No space left on device"),
}
