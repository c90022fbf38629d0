"""What the screens say."""

from __future__ import annotations

from lab.text import Text

PROGRAM = Text(zh="工业互联网实训平台", en="Industrial internet training lab")
CATALOGUE = Text(zh="练习目录", en="Exercises")
FILTER = Text(zh="直接输入文字即可筛选", en="Just type to filter")
NOTHING_FOUND = Text(zh="没有符合的练习", en="No exercise matches")
EXERCISE = Text(zh="练习", en="Exercise")
LEVEL = Text(zh="等级", en="Level")
TIME = Text(zh="时间", en="Time")
DIFFICULTY = Text(zh="难度", en="Difficulty")
LAST_RESULT = Text(zh="成绩", en="Result")
BEGUN = Text(zh="进行中", en="begun")
LEVELS = {
    "junior": Text(zh="初级", en="junior"),
    "intermediate": Text(zh="中级", en="intermediate"),
    "advanced": Text(zh="高级", en="advanced"),
}
MINUTES = Text(zh="{minutes} 分钟", en="{minutes} min")
LATER = Text(zh="○ 验收时判定", en="○ decided at acceptance")
POINTS = Text(zh="{points} 分", en="{points} pts")
SEED = Text(zh="种子 {seed}", en="seed {seed}")
OPENING = Text(zh="正在启动工厂…", en="Switching the plant on …")
CLOSING = Text(zh="正在关闭工厂…", en="Switching the plant off …")

OPEN = Text(zh="打开", en="Open")
HELP = Text(zh="帮助", en="Help")
BRIEF = Text(zh="任务书", en="Brief")
PLANT = Text(zh="工厂", en="Plant")
FILES = Text(zh="配置", en="Files")
TRAFFIC = Text(zh="报文", en="Traffic")
CONSOLE = Text(zh="控制台", en="Console")
CONSOLE_KEYS = Text(zh="help 列出程序 · Ctrl+C 停止 · ↑↓ 历史", en="help lists programs · Ctrl+C stops · ↑↓ history")
NO_CONSOLE = Text(zh="这里没有工作站", en="there is no workstation here")
TASKS = Text(zh="任务", en="Tasks")
HINT = Text(zh="提示", en="Hint")
LANGUAGE = Text(zh="English", en="中文")
HAND_IN = Text(zh="交卷", en="Hand in")
LIGHT = Text(zh="明暗", en="Light/dark")
BACK = Text(zh="返回", en="Back")
QUIT = Text(zh="退出", en="Quit")

PLANT_KEYS = Text(
    zh="↑↓←→ 选设备 · Enter 改配置 · c 控制台", en="↑↓←→ choose a device · Enter edits its file · c console"
)
CHOOSE_DEVICE = Text(
    zh="用方向键或鼠标选一台设备，这里显示它的接口和面板。",
    en="Choose a device with the arrow keys or the mouse: here you see its ports and its display.",
)
DOOR = Text(
    zh="本机 127.0.0.1:{port} → {target}（{name}，经 {through}）",
    en="127.0.0.1:{port} here → {target} ({name}, by way of {through})",
)
NOT_YOURS = Text(zh="{host} 的配置在此练习中不能修改", en="The configuration of {host} is not yours to change here")

APPLIED = Text(zh="已应用到工厂：{file}", en="The plant now runs with {file}")
NOT_APPLIED = Text(zh="有错误，未应用；工厂保持原样", en="Not applied: the plant stays as it was")
SAVED = Text(zh="已保存", en="saved")
SOUND = Text(zh="没有发现错误", en="No errors found")
PROBLEMS = Text(zh="{count} 处错误（Ctrl+N 跳转）", en="Errors: {count} (Ctrl+N jumps)")
UNSAVED = Text(zh="未保存（Ctrl+S）", en="not saved (Ctrl+S)")
CHANGED_OUTSIDE = Text(
    zh="{file} 在别处被修改，而这里还有未保存的内容。Ctrl+R 读入磁盘上的版本（可撤销）",
    en="{file} was changed elsewhere, and what is here is not saved. Ctrl+R takes what is on disk (undo brings yours back)",
)
EDITOR_KEYS = (
    ("Ctrl+S", Text(zh="保存", en="save")),
    ("Ctrl+N", Text(zh="下一处错误", en="next error")),
    ("Ctrl+T", Text(zh="下一文件", en="next file")),
    ("Ctrl+/", Text(zh="注释", en="comment")),
)

NO_TRAFFIC = Text(zh="还没有报文", en="no traffic yet")
NOTHING_MATCHES = Text(zh="没有符合筛选的报文", en="nothing matches the filter")
PAUSED = Text(zh="⏸ 已暂停，其间 {count} 条 · P 继续", en="⏸ paused, {count} lines since · P goes on")
TRAFFIC_KEYS = (
    ("P", Text(zh="暂停", en="pause")),
    ("/", Text(zh="筛选", en="filter")),
)
TRAFFIC_FILTER = Text(zh="筛选：设备、协议、内容…", en="Filter: device, protocol, content …")

NO_HINTS = Text(zh="此练习没有提示", en="This exercise has no hints")
HINTS_USED = Text(zh="提示：已看 {count} / {total}", en="Hints: {count} of {total} seen")
SHOW_HINT = Text(zh="▸ 看提示 {tier} / {tiers}", en="▸ show hint {tier} of {tiers}")

HAND_IN_QUESTION = Text(
    zh="交卷后配置被冻结，验收程序用它重新启动整个工厂并评分。现在交卷吗？\n（之后可以继续修改，再次交卷。）",
    en="Your files are frozen, and the whole plant is started afresh from them, tested and marked. Hand in now?\n"
    "(You can go on afterwards and hand in again.)",
)
LEAVE_QUESTION = Text(
    zh="离开练习并关闭工厂吗？保存过的内容都在工作文件夹中，随时可以继续。",
    en="Leave the exercise and switch the plant off? What you saved is in the work folder: go on at any time.",
)
UNSAVED_QUESTION = Text(zh="尚未保存：{files}", en="Not saved yet: {files}")
YES, NO = Text(zh="是", en="Yes"), Text(zh="否", en="No")
SAVE_FIRST = Text(zh="保存", en="Save")
DISCARD = Text(zh="不保存", en="Don't save")
STAY = Text(zh="取消", en="Cancel")

RESULT = Text(zh="成绩", en="Result")
FRAMES = Text(zh="依据报文 {frames}", en="frames {frames}")
EVIDENCE = Text(zh="证据：{path}", en="Evidence: {path}")
REPORT = Text(zh="报告：{path}", en="Report:   {path}")
GO_ON = Text(zh="F10 返回，可以继续修改并再次交卷。", en="F10 goes back: you can go on and hand in again.")
NOT_DONE = Text(zh="没有成功", en="That did not work")
OUR_MISTAKE = Text(zh="程序出错（不是您的错）", en="Our mistake, not yours")
HANDING_IN = Text(zh="正在验收…", en="Acceptance run …")
STAGES = {
    "boot": Text(zh="用您的配置启动工厂", en="switching the plant on with your files"),
    "settle": Text(zh="等待稳定", en="letting it settle"),
    "drive": Text(zh="注入过程值、进行探测", en="driving process values and probes"),
    "grade": Text(zh="按报文评分", en="marking what was on the wire"),
    "seal": Text(zh="封存证据", en="sealing the evidence"),
}

HELP_KEYS = (
    (
        Text(zh="到处可用", en="Everywhere"),
        (
            (
                "F2 F3 F4 F5",
                Text(
                    zh="任务书、工厂、配置、报文；再按一次占满屏幕",
                    en="brief, plant, files, traffic; once more: the whole width",
                ),
            ),
            ("F6", Text(zh="任务和指示灯", en="tasks and lamps")),
            (
                "F11",
                Text(zh="控制台：在工作站上运行 ping、modbus 等", en="console: ping, modbus and more on a workstation"),
            ),
            (
                "F7",
                Text(
                    zh="提示：每个任务两级，看了才算", en="hints: two for every task, and those you look at are counted"
                ),
            ),
            ("F8  L", Text(zh="中文 / English", en="中文 / English")),
            ("F9", Text(zh="交卷：验收并评分", en="hand in: acceptance run and marks")),
            ("F10  Esc", Text(zh="返回上一屏", en="back to the screen before")),
            ("F12", Text(zh="深色 / 浅色", en="dark / light")),
            ("Tab  Shift+Tab", Text(zh="切换焦点", en="move the focus")),
            ("Ctrl+Q  Ctrl+C", Text(zh="退出程序（会先询问）", en="leave the program (you are asked first)")),
        ),
    ),
    (
        Text(zh="配置", en="Files"),
        (
            ("Ctrl+S", Text(zh="保存，没有错误就应用到工厂", en="save; where nothing is wrong, the plant takes it on")),
            ("Ctrl+N", Text(zh="下一处错误", en="to the next error")),
            ("Ctrl+T", Text(zh="下一个文件", en="to the next file")),
            ("Ctrl+/", Text(zh="把选中的行变成注释，或取消注释", en="comment the chosen lines out, or in")),
            ("Alt+→  Alt+←", Text(zh="增加、减少缩进", en="move the chosen lines in or out")),
            ("Ctrl+Z  Ctrl+Y", Text(zh="撤销、重做", en="undo, redo")),
            ("Ctrl+R", Text(zh="重新读入磁盘上的版本", en="take what is on disk")),
        ),
    ),
    (
        Text(zh="工厂与报文", en="Plant and traffic"),
        (
            ("↑ ↓ ← →", Text(zh="选设备，看它的接口和面板", en="choose a device, see its ports and its display")),
            ("Enter", Text(zh="打开所选设备的配置", en="open the file of the chosen device")),
            ("C", Text(zh="打开所选工作站的控制台", en="the console of the chosen workstation")),
            ("P", Text(zh="暂停、继续报文", en="halt the traffic and go on")),
            ("/", Text(zh="筛选报文", en="filter the traffic")),
        ),
    ),
)
HELP_TEXT = (
    Text(
        zh="指示灯：○ 未判定，● 通过，✗ 未通过，◐ 部分得分；下面一行说明还缺什么。有些检查项要到验收时才能判定。",
        en="Lamps: ○ undecided, ● passed, ✗ failed, ◐ partly; the line below says what is still missing. Some checks are "
        "decided only in the acceptance run.",
    ),
    Text(
        zh="配置文件就在工作文件夹里，也可以用任何编辑器修改，保存即生效。有错误的文件不会改变工厂。",
        en="The files are in the work folder, and any editor may change them: saving applies them. A file with errors "
        "changes nothing.",
    ),
)
