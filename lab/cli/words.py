"""What the command line says."""

from __future__ import annotations

from lab.text import Text

PROGRAM = Text(
    zh="工业互联网实训：模拟工厂说真实的协议，成绩由捕获的报文算出。",
    en="A hands-on industrial-internet lab: simulated plants speak real protocols, marks come from captured traffic.",
)
EPILOG = Text(
    zh="""不带命令：打开目录和工作台。每个命令都有 --help 和示例。

示例：
  iiotlab list
  iiotlab run first-poll
  iiotlab grade evidence.zip --html report.html

退出码：0 成功；1 未满分、证明不成立、证据被改动；2 用法错误或文件无法使用。""",
    en="""Without a command: the catalogue and the workbench. Every command has --help with examples.

examples:
  iiotlab list
  iiotlab run first-poll
  iiotlab grade evidence.zip --html report.html

exit codes: 0 all is well; 1 it is not (marks missing, a proof broken, evidence changed); 2 wrong usage or an unusable file""",
)
EXAMPLES = Text(zh="示例：", en="examples:")
COMMANDS = Text(zh="命令", en="commands")
COMMAND = Text(zh="命令", en="COMMAND")
OPTIONS = Text(zh="选项", en="options")
ARGUMENTS = Text(zh="参数", en="arguments")
USAGE = Text(zh="用法：", en="usage: ")
HELP = Text(zh="显示帮助并退出", en="show this help and exit")
VERSION = Text(zh="显示版本并退出", en="show the version and exit")
LANG = Text(zh="zh 或 en；默认按系统语言", en="zh or en; by default the system's language")
JSON = Text(zh="输出 JSON", en="print JSON")
SEED = Text(zh="种子，决定参数；默认 1", en="the seed that decides the parameters; 1 unless given")
DIR = Text(zh="工作文件夹；默认在用户数据目录中", en="the work folder; by default one in the user's data directory")
ID = Text(zh="场景的 id 或文件夹", en="a scenario: its id or its folder")

LIST = Text(zh="列出场景", en="list the scenarios")
RUN = Text(zh="打开一个场景的工作台", en="open the workbench on a scenario")
RUN_HEADLESS = Text(
    zh="不开屏幕，让工厂一直运行到 Ctrl-C",
    en="no screen: keep the plant running until Ctrl-C, for vim and foreign tools",
)
CHECK = Text(zh="检查工作文件夹并试验收", en="check the files of a work folder and try the acceptance run on them")
CHECK_DIR = Text(zh="工作文件夹；默认为当前目录", en="the work folder; the current directory unless given")
PROVE = Text(
    zh="证明场景：空手 0 分，参考与另一正解 100 分，错解恰好丢该丢的分",
    en="prove scenarios: untouched 0, right solutions 100, every wrong one loses exactly what it should",
)
PROVE_ALL = Text(zh="目录中的全部场景", en="every scenario of the catalogue")
PROVE_SEEDS = Text(zh="用种子 1 到 N 各证明一遍；默认 1", en="with each of the seeds 1 to N; 1 unless given")
PROVE_JOBS = Text(zh="并行进程数；默认为处理器数", en="processes at work; as many as processors unless given")
GRADE = Text(zh="由封存的证据（或 pcapng）评分", en="marks from sealed evidence, or from a pcapng file")
GRADE_FILE = Text(zh="evidence.zip，或 .pcapng", en="evidence.zip, or a .pcapng file")
GRADE_HTML = Text(zh="把报告写成网页", en="write the report as a web page")
GRADE_SCENARIO = Text(
    zh="场景的 id 或文件夹；pcapng 必须给出", en="the scenario, by id or folder; needed with a pcapng file"
)
REPLAY = Text(
    zh="由冻结的文件重做验收，结论必须一致",
    en="the acceptance run again from the frozen files: the same verdicts, or exit 1",
)
LINT = Text(zh="检查场景文件夹", en="say what is wrong with scenarios")
NEW = Text(zh="新建一个可运行的小场景", en="make a small scenario that works, to grow from")
NEW_PATH = Text(zh="新文件夹；名称即场景 id", en="the new folder; its name becomes the id")
DEMO = Text(zh="演示参考答案：逐步应用、验收、报告", en="watch a reference solution being applied, accepted and marked")
DOCTOR = Text(zh="这台计算机能做什么", en="what this computer can do")

ERROR = Text(zh="错误", en="error")
UNKNOWN_CHOICE = Text(zh="没有 {wrong!r}", en="there is no {wrong!r}")
ARGPARSE = {
    r"the following arguments are required: (.*)": "缺少参数 {0}",
    r"unrecognized arguments: (.*)": "多余的参数 {0}",
    r"argument (.*): expected one argument": "{0} 后面要有一个值",
    r"argument (.*): invalid number value: (.*)": "{0} 应为正整数，而不是 {1}",
    r"argument (.*): not allowed with argument (.*)": "{0} 不能与 {1} 同时使用",
}
"""By what argparse says in English."""
INTERRUPTED = Text(zh="已中断", en="interrupted")
OUR_MISTAKE = Text(
    zh="程序出错：{error}。详情：{path}", en="this is our mistake, not yours: {error}. Details are in {path}"
)

NO_TERMINAL = Text(
    zh="""这里没有终端，无法打开屏幕。可以：
  iiotlab list                    列出场景
  iiotlab run ID --headless       不开屏幕运行
  iiotlab --help                  全部命令
现在改为播放演示。
""",
    en="""There is no terminal here, so the screens cannot open. What works without one:
  iiotlab list                    the scenarios
  iiotlab run ID --headless       a plant without a screen
  iiotlab --help                  everything else
Playing the demonstration instead.
""",
)
NEEDS_TERMINAL = Text(
    zh="这里没有终端，无法打开工作台；请加 --headless",
    en="there is no terminal here for the workbench; use --headless",
)
