// What the page says, in both languages.

export const WORDS = {
  zh: {
    user: "用户名", password: "口令", log_in: "登录", log_out: "退出", other_language: "English", devices: "设备", alarms: "报警",
    strangers: "未注册", strangers_why: "来自未注册设备、或无法识别的报文，最新在前。", search: "查找设备", broker_on: "代理已连接", broker_off: "代理未连接",
    no_broker: "未配置代理", platform_away: "无法连接平台", latest: "最新值", no_values: "还没有数据", history: "历史", trace: "报文跟踪",
    no_messages: "还没有报文", product: "产品", gateway: "网关", seen: "最近上报", format: "格式", never: "从未", online: "在线", offline: "离线",
    unknown: "未知", only_open: "仅未恢复", no_alarms: "没有报警", severity: "级别", device: "设备", property: "属性", message: "说明",
    raised: "产生", cleared: "恢复", value: "值", state: "状态", acknowledge: "确认", acknowledged: "{user} 已确认", not_acknowledged: "未确认",
    clear: "恢复", bytes: "{size} 字节", choose: "从左边选择一台设备", of: "共 {total} 台，显示 {shown} 台", minutes15: "15 分钟", hour: "1 小时", day: "1 天", week: "7 天",
    no_history: "这段时间没有数值", write: "写入", stale: "无数据", down: "下行", accepted: "已接收", partly: "部分接收", rejected: "拒绝",
    good: "好", bad: "坏", uncertain: "不确定", critical: "严重", major: "重要", minor: "次要", warning: "警告", indeterminate: "不确定",
    viewer: "查看", operator: "操作", admin: "管理", sent: "已发出", succeeded: "设备已执行", failed: "设备拒绝：{answer}", timeout: "{answer}", on: "是", off: "否",
    chart: "{name} 的历史曲线：{count} 点，最小 {min}，最大 {max}", expired: "登录已过期，请重新登录", new_value: "新值",
  },
  en: {
    user: "User name", password: "Password", log_in: "Log in", log_out: "Log out", other_language: "中文", devices: "Devices", alarms: "Alarms",
    strangers: "Strangers", strangers_why: "Messages of devices that are not registered, or that nobody can read; newest first.", search: "Find a device",
    broker_on: "Broker connected", broker_off: "Broker away", no_broker: "No broker", platform_away: "The platform cannot be reached",
    latest: "Latest values", no_values: "Nothing has been reported yet", history: "History", trace: "Messages", no_messages: "No messages yet",
    product: "Product", gateway: "Gateway", seen: "Last seen", format: "Format", never: "never", online: "online", offline: "offline", unknown: "unknown",
    only_open: "Open only", no_alarms: "No alarms", severity: "Severity", device: "Device", property: "Property", message: "Message", raised: "Raised",
    cleared: "Cleared", value: "Value", state: "State", acknowledge: "Acknowledge", acknowledged: "Acknowledged by {user}", not_acknowledged: "Not acknowledged",
    clear: "Clear", bytes: "{size} bytes", choose: "Choose a device on the left", of: "{shown} of {total} devices", minutes15: "15 min", hour: "1 h", day: "1 day", week: "7 days",
    no_history: "No values in this time", write: "Write", stale: "no data", down: "down", accepted: "accepted", partly: "partly accepted", rejected: "rejected",
    good: "good", bad: "bad", uncertain: "uncertain", critical: "critical", major: "major", minor: "minor", warning: "warning", indeterminate: "indeterminate",
    viewer: "viewer", operator: "operator", admin: "admin", sent: "Sent", succeeded: "The device has done it", failed: "The device refuses: {answer}", timeout: "{answer}", on: "true", off: "false",
    chart: "History of {name}: {count} points, lowest {min}, highest {max}", expired: "The login has expired, please log in again", new_value: "New value",
  },
};

let language = localStorage.getItem("language") || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

export const spoken = () => language;

export function speak(wanted) {
  language = wanted;
  localStorage.setItem("language", wanted);
}

export const say = (key, facts = {}) => (WORDS[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => facts[name]);
