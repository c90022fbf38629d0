"""What a trainee writes about commands from the north and about formats that need to know more."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.fields import Name, topic_template
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

NO_DEVICE_LEVEL = Text(
    zh="{topic!r} 中须有一级恰为 {{device}}，否则不知道命令给哪台设备",
    en="{topic!r} needs a level that is just {{device}}: a command has to say which device it is for",
)


def _has_device_level(topic: str) -> str:
    if topic.split("/").count("{device}") != 1 or topic.count("{device}") != 1:
        raise KnownValueError(NO_DEVICE_LEVEL, topic=topic)
    return topic


DeviceTopic = Annotated[
    str, AfterValidator(topic_template("site", "gateway", "device")), AfterValidator(_has_device_level)
]


class CommandTopics(Strict):
    """Where commands come in and are answered."""

    topic: DeviceTopic = Field(
        "v1/{site}/{gateway}/{device}/command",
        description="命令主题（values、tags、template 格式）。 Topic of commands (formats values, tags and template).",
    )
    reply: DeviceTopic = Field(
        "v1/{site}/{gateway}/{device}/command/reply", description="应答主题。 Topic of their answers."
    )


class AlinkOptions(Strict):
    """Which product its devices are of."""

    product_key: Name = Field(description="产品标识 productKey。 The product key.")


class SparkplugOptions(Strict):
    """Who this edge node is."""

    group: Name | None = Field(None, description="Group ID，默认为站点名。 Group ID; the site unless given.")
    node: Name | None = Field(None, description="Edge Node ID，默认为网关名。 Edge Node ID; the gateway's name.")
    primary_host: Name | None = Field(
        None,
        description="主控主机应用的标识；离线时不发布、先缓存。 Primary host application; data waits while it is offline.",
    )
    aliases: bool = Field(True, description="数据消息用别名代替名称。 Aliases instead of names in data.")
