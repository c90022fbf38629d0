"""What the screens say."""

from __future__ import annotations

from lab.text import Text

PROGRAM = Text(zh="工业互联网实训平台", en="Industrial internet training lab")
CATALOGUE = Text(zh="练习目录", en="Exercises")
FILTER = Text(zh="输入文字筛选…", en="Type to filter …")
NOTHING_FOUND = Text(zh="没有符合的练习", en="No exercise matches")
COLUMN_TITLE = Text(zh="练习", en="Exercise")
COLUMN_LEVEL = Text(zh="等级", en="Level")
COLUMN_MINUTES = Text(zh="时间", en="Time")
COLUMN_DIFFICULTY = Text(zh="难度", en="Difficulty")
LEVELS = {
    "junior": Text(zh="初级", en="junior"),
    "intermediate": Text(zh="中级", en="intermediate"),
    "advanced": Text(zh="高级", en="advanced"),
}
MINUTES = Text(zh="{minutes} 分钟", en="{minutes} min")
OPENING = Text(zh="正在启动工厂…", en="Switching the plant on …")
CLOSING = Text(zh="正在关闭工厂…", en="Switching the plant off …")

BRIEF = Text(zh="任务书", en="Brief")
PLANT = Text(zh="工厂", en="Plant")
FILES = Text(zh="配置", en="Files")
TRAFFIC = Text(zh="报文", en="Traffic")
TASKS = Text(zh="任务", en="Tasks")
POINTS = Text(zh="{points} 分", en="{points} pts")
SEED = Text(zh="种子 {seed}", en="seed {seed}")
LIVE = Text(zh="实时", en="live")

SAVED = Text(zh="已保存并应用：{file}", en="Saved and applied: {file}")
NOT_SAVED = Text(
    zh="未应用：{file} 有错误，工厂保持原样", en="Not applied: {file} has errors; the plant stays as it was"
)
SOUND = Text(zh="没有发现错误", en="No errors found")
PROBLEMS = Text(zh="{count} 处错误（Ctrl+N 跳转）", en="{count} problems (Ctrl+N jumps)")
UNSAVED = Text(zh="未保存", en="unsaved")
CHANGED_OUTSIDE = Text(
    zh="{file} 在编辑器之外被修改；这里的内容尚未保存", en="{file} was changed elsewhere; what is here is not saved"
)
WAITING_FOR_TRAFFIC = Text(zh="还没有报文", en="No traffic yet")
PAUSED = Text(zh="已暂停（按 P 继续）", en="paused (P goes on)")
TRAFFIC_FILTER = Text(zh="筛选：主机、协议…", en="Filter: host, protocol …")

HINT_TITLE = Text(zh="提示", en="Hint")
NO_HINTS = Text(zh="没有更多提示", en="There are no more hints")
HINTS_USED = Text(zh="已用提示 {count} 个", en="{count} hints used")

HAND_IN = Text(zh="交卷", en="Hand in")
HAND_IN_QUESTION = Text(
    zh="交卷后配置被冻结，验收程序将驱动工厂并评分。现在交卷吗？",
    en="Handing in freezes the files; the acceptance run then drives the plant and marks it. Hand in now?",
)
QUIT_QUESTION = Text(
    zh="退出练习？已保存的内容都在工作文件夹中，可以随时继续。",
    en="Leave the exercise? What is saved is in the work folder, and you can go on at any time.",
)
UNSAVED_QUESTION = Text(
    zh="有未保存的修改：{files}。不保存就离开吗？", en="There are unsaved changes: {files}. Leave without saving?"
)
YES, NO = Text(zh="是", en="Yes"), Text(zh="否", en="No")
BACK = Text(zh="返回", en="Back")
QUIT = Text(zh="退出", en="Quit")
HELP = Text(zh="帮助", en="Help")
LANGUAGE = Text(zh="English", en="中文")
SAVE = Text(zh="保存", en="Save")
OPEN = Text(zh="打开", en="Open")
PAUSE = Text(zh="暂停", en="Pause")
NEXT_PROBLEM = Text(zh="下一处错误", en="Next problem")
NEXT_FILE = Text(zh="下一文件", en="Next file")

RESULT = Text(zh="成绩", en="Result")
EVIDENCE = Text(zh="证据文件：{path}", en="Evidence: {path}")
REPORT = Text(zh="报告：{path}", en="Report: {path}")
FAILED = Text(zh="出错了：{reason}", en="Something went wrong: {reason}")
HANDING_IN = Text(zh="正在验收…", en="Acceptance run …")
STAGES = {
    "boot": Text(zh="启动工厂", en="switching the plant on"),
    "settle": Text(zh="等待稳定", en="letting it settle"),
    "drive": Text(zh="注入过程值、进行探测", en="driving process values and probes"),
    "grade": Text(zh="评分", en="marking"),
    "seal": Text(zh="封存证据", en="sealing the evidence"),
}

HELP_TEXT = Text(
    zh="""# 怎样使用

| 键 | 作用 |
|---|---|
| F2 F3 F4 F5 | 任务书、工厂图、配置文件、实时报文 |
| F6 | 显示提示（每个任务两级） |
| F9 | 交卷，验收并评分 |
| F10、Esc | 返回上一屏 |
| Ctrl+S | 保存当前文件并应用到工厂 |
| Ctrl+N | 跳到下一处错误 |
| Ctrl+T | 下一个文件 |
| Tab、Shift+Tab | 切换焦点 |
| F8 | 中文 / English |

指示灯：**○** 未判定，**●** 通过，**✗** 未通过，**◐** 部分得分；右侧说明还缺什么。
部分检查项要在验收时才能判定。

编辑的文件就在工作文件夹中，也可以用任何编辑器修改，保存即生效。有错误的文件不会改变工厂。
""",
    en="""# How to use it

| key | what it does |
|---|---|
| F2 F3 F4 F5 | brief, plant drawing, configuration files, live traffic |
| F6 | a hint (two tiers for every task) |
| F9 | hand in: acceptance run and marks |
| F10, Esc | back to the screen before |
| Ctrl+S | save the file and apply it to the plant |
| Ctrl+N | to the next problem |
| Ctrl+T | the next file |
| Tab, Shift+Tab | move the focus |
| F8 | 中文 / English |

Lamps: **○** undecided, **●** passed, **✗** failed, **◐** partly; beside them stands what is still missing.
Some checks are decided only in the acceptance run.

The files are in the work folder, and any editor may change them; saving applies them. A file with errors changes
nothing.
""",
)
