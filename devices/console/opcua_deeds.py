"""What `opcua` does with a session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from asyncua import Client, ua
from asyncua.common.ua_utils import data_type_to_variant_type
from asyncua.crypto import security_policies

from devices.console.arguments import Options
from devices.console.opcua import POLICIES
from devices.console.opcua_client import explained, meaning, new_client
from devices.console.process import FAILED, OK, USAGE, Failure, Process
from lab.text import Text

NO_NAMESPACE = Text(zh="服务器没有命名空间 {uri}", en="the server has no namespace {uri}")
NOT_A_VALUE = Text(zh="{value!r} 不是 {form}", en="{value!r} is no {form}")
OTHER_TYPE = Text(zh="不能写 {form} 类型的值", en="values of type {form} cannot be written here")
TYPE_UNKNOWN = Text(
    zh="变量没有值，请用 --type 指明类型", en="the variable has no value yet; name its type with --type"
)
WRITTEN = Text(zh="已写 {node} = {value}（{form}）", en="{node} = {value} ({form}) written")
ENOUGH = Text(zh="（已列出 {most} 个节点；--most 可更多）", en="({most} nodes shown; --most for more)")
USERS = Text(zh="登录", en="users")

_SERVER_OBJECT: Final = ua.NodeId(ua.Int32(ua.ObjectIds.Server))
_WHOLE: Final = {
    "SByte": (-(2**7), 2**7 - 1),
    "Byte": (0, 2**8 - 1),
    "Int16": (-(2**15), 2**15 - 1),
    "UInt16": (0, 2**16 - 1),
    "Int32": (-(2**31), 2**31 - 1),
    "UInt32": (0, 2**32 - 1),
    "Int64": (-(2**63), 2**63 - 1),
    "UInt64": (0, 2**64 - 1),
}
_TRUTHS: Final = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}
_LONGEST: Final = 300


async def endpoints(process: Process, options: Options) -> None:
    """One line for each."""
    names = {
        getattr(security_policies, f"SecurityPolicy{name}").URI: name
        for name in (*POLICIES, "Basic128Rsa15", "Basic256")
    }
    client = new_client(process, options)
    with explained(process, options):
        for each in await client.connect_and_get_server_endpoints():
            policy = names.get(each.SecurityPolicyUri, each.SecurityPolicyUri)
            tokens = ", ".join(sorted({token.TokenType.name for token in each.UserIdentityTokens or ()}))
            mode = each.SecurityMode.name.rstrip("_")
            process.print(f"{each.EndpointUrl}  {policy}  {mode}  {process.say(USERS)}: {tokens}")


async def _node_id(client: Client, text: str) -> ua.NodeId:
    try:
        node = ua.NodeId.from_string(text)
    except (ua.UaError, ValueError, TypeError, AttributeError) as error:
        raise Failure(NOT_A_VALUE, USAGE, value=text, form="NodeId") from error
    if not isinstance(node, ua.ExpandedNodeId):
        return node
    namespaces = await client.get_namespace_array()
    if node.NamespaceUri not in namespaces:
        raise Failure(NO_NAMESPACE, uri=node.NamespaceUri)
    return ua.NodeId(node.Identifier, ua.Int16(namespaces.index(node.NamespaceUri)), node.NodeIdType)


# -- browse ------------------------------------------------------------------------------------------------------------


async def browse(process: Process, options: Options, client: Client) -> int:
    left = options.most
    seen: set[ua.NodeId] = set()

    async def below(node: ua.NodeId, depth: int) -> None:
        nonlocal left
        children = await client.get_node(node).get_children_descriptions()
        values = await _values(client, [each.NodeId for each in children if each.NodeClass == ua.NodeClass.Variable])
        for each in children:
            if left <= 0:
                return
            left -= 1
            at = ua.NodeId(each.NodeId.Identifier, each.NodeId.NamespaceIndex, each.NodeId.NodeIdType)
            value = f" = {_short(values[each.NodeId])}" if each.NodeId in values else ""
            name = each.DisplayName.Text or each.BrowseName.Name
            process.print(f"{'  ' * depth}{name}  [{each.NodeClass.name}]  {at.to_string()}{value}")
            # Every server has the same hundreds of nodes there.
            if depth + 1 < options.depth and at not in seen and at != _SERVER_OBJECT:
                seen.add(at)
                await below(at, depth + 1)

    top = await _node_id(client, options.node)
    await client.get_node(top).read_browse_name()  # of a node that is not there asyncua says that it has no children
    await below(top, 0)
    if left <= 0:
        process.tell(ENOUGH, most=options.most)
    return OK


async def _values(client: Client, nodes: list[ua.NodeId]) -> dict[ua.NodeId, ua.DataValue]:
    if not nodes:
        return {}
    return dict(zip(nodes, await client.uaclient.read_attributes(nodes, ua.AttributeIds.Value), strict=False))


def _short(data: ua.DataValue) -> str:
    status = data.StatusCode
    if status is not None and not status.is_good():
        return str(status.name)
    return _plain(data.Value.Value if data.Value is not None else None)


def _plain(value: Any) -> str:
    if isinstance(value, ua.LocalizedText):
        value = value.Text
    elif isinstance(value, ua.QualifiedName | ua.NodeId):
        value = value.to_string()
    elif isinstance(value, list):
        return "[" + ", ".join(_plain(each) for each in value[:100])[:_LONGEST] + "]"
    elif isinstance(value, bytes):
        value = value.hex(" ")
    elif type(value).__module__.startswith("asyncua.") and not isinstance(value, int):
        value = f"<{type(value).__name__}>"
    return str(value)[:_LONGEST]


# -- read and write ----------------------------------------------------------------------------------------------------


async def read(process: Process, options: Options, client: Client) -> int:
    nodes = [await _node_id(client, text) for text in options.nodes]
    attribute = ua.AttributeIds[options.attribute]
    answers = await client.uaclient.read_attributes(nodes, attribute)
    status = OK
    for text, data in zip(options.nodes, answers, strict=False):
        status = max(status, _show(process, text, data))
    return status


def _show(process: Process, text: str, data: ua.DataValue) -> int:
    code = data.StatusCode
    if code is not None and code.is_bad():
        process.print(f"{text}: {meaning(process, code.name)}")
        return FAILED
    variant = data.Value
    form = variant.VariantType.name if variant is not None and variant.VariantType is not None else "–"
    at = f"  {data.SourceTimestamp.isoformat(timespec='milliseconds')}" if data.SourceTimestamp is not None else ""
    quality = code.name if code is not None else "Good"
    process.print(f"{text} = {_plain(variant.Value if variant is not None else None)}  ({form}, {quality}){at}")
    return OK


def _converted(text: str, form: ua.VariantType) -> ua.Variant:
    name = form.name
    try:
        if name in _WHOLE:
            value: Any = int(text, 0) if text.lower().startswith("0x") else int(text)
            low, high = _WHOLE[name]
            if not low <= value <= high:
                raise ValueError
        elif name in ("Float", "Double"):
            value = float(text)
        elif name == "Boolean":
            value = _TRUTHS[text.lower()]
        elif name == "String":
            value = text
        elif name == "ByteString":
            value = bytes.fromhex(text)
        elif name == "LocalizedText":
            value = ua.LocalizedText(text)
        else:
            raise Failure(OTHER_TYPE, USAGE, form=name)
    except (ValueError, KeyError):
        raise Failure(NOT_A_VALUE, USAGE, value=text, form=name) from None
    return ua.Variant(value, form)


async def write(process: Process, options: Options, client: Client) -> int:
    node = client.get_node(await _node_id(client, options.node))
    if options.form is not None:
        form = ua.VariantType[options.form]
    else:
        form = await data_type_to_variant_type(client.get_node(await node.read_data_type()))
        if form is ua.VariantType.Variant:
            raise Failure(TYPE_UNKNOWN, USAGE)
    # Without times: many servers do not let clients set them.
    await node.write_attribute(ua.AttributeIds.Value, ua.DataValue(_converted(options.value, form)))
    process.tell(WRITTEN, node=options.node, value=options.value, form=form.name)
    return OK


async def call(process: Process, options: Options, client: Client) -> int:
    owner, method = await _node_id(client, options.object), await _node_id(client, options.method)
    forms = await _argument_types(client, method)
    values = [
        _converted(text, forms[place] if place < len(forms) else ua.VariantType.String)
        for place, text in enumerate(options.values)
    ]
    request = ua.CallMethodRequest(ObjectId=owner, MethodId=method, InputArguments=values)
    (answer,) = await client.uaclient.call([request])
    answer.StatusCode.check()
    for each in answer.OutputArguments or ():
        process.print(_plain(each.Value))
    return OK


async def _argument_types(client: Client, method: ua.NodeId) -> list[ua.VariantType]:
    """Of a method's arguments; nothing where it has none."""
    for each in await client.get_node(method).get_properties():
        if (await each.read_browse_name()).Name == "InputArguments":
            listed: Iterable[Any] = await each.read_value() or ()
            return [await data_type_to_variant_type(client.get_node(argument.DataType)) for argument in listed]
    return []


# -- subscribe ---------------------------------------------------------------------------------------------------------


class _Changes:
    """Told by asyncua of every change."""

    def __init__(self, process: Process, count: int | None) -> None:
        self._process, self._count = process, count
        self._told = 0
        self.over = asyncio.Event()
        self.failed = False

    def datachange_notification(self, node: Any, _: Any, data: Any) -> None:
        if self.over.is_set():
            return
        _show(self._process, node.nodeid.to_string(), data.monitored_item.Value)
        self._told += 1
        if self._told == self._count:
            self.over.set()

    def status_change_notification(self, notification: ua.StatusChangeNotification) -> None:
        self.fail(meaning(self._process, notification.Status.name))

    def fail(self, why: str) -> None:
        if not self.over.is_set():
            self._process.print(f"{self._process.name}: {why}")
            self.failed = True
            self.over.set()


async def subscribe(process: Process, options: Options, client: Client) -> int:
    changes = _Changes(process, options.count)

    async def lost(error: Exception) -> None:
        changes.fail(process.why(error))

    client.connection_lost_callback = lost
    nodes = [client.get_node(await _node_id(client, text)) for text in options.nodes]
    subscription = await client.create_subscription(options.interval, changes)
    try:
        results = await subscription.subscribe_data_change(
            nodes, queuesize=1, sampling_interval=ua.Double(options.interval)
        )
        listed = results if isinstance(results, list) else [results]
        refused = [
            (text, code) for text, code in zip(options.nodes, listed, strict=False) if isinstance(code, ua.StatusCode)
        ]
        for text, code in refused:
            process.print(f"{text}: {meaning(process, code.name)}")
        if len(refused) == len(nodes):
            return FAILED
        try:
            async with asyncio.timeout(options.patience):
                await changes.over.wait()
        except TimeoutError:
            return OK
        return FAILED if changes.failed else OK
    finally:
        changes.over.set()
