"""Records mqtt311.pcapng and mqtt5.pcapng anew and has tshark dissect them; run it as root, from anywhere.

Broker and command-line clients are Eclipse Mosquitto's, the third client is Eclipse Paho's.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

HERE = Path(__file__).parent
PORT = 11883
TSHARK = ("-d", f"tcp.port=={PORT},mqtt", "-2", "-Y", "mqtt", "-T", "json", "-J", "frame tcp mqtt")
CONFIG = f"""
listener {PORT} 127.0.0.1
allow_anonymous true
acl_file {{folder}}/acl
persistence false
"""
ACL = "topic readwrite plant/#\ntopic readwrite reply/#\ntopic read $SYS/#\n"


def publish(version: str, *arguments: str) -> None:
    subprocess.run(["mosquitto_pub", "-p", str(PORT), "-V", version, *arguments], check=True)


def subscribe(version: str, *arguments: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["mosquitto_sub", "-p", str(PORT), "-V", version, *arguments])
    time.sleep(0.5)
    return process


def speak_311() -> None:
    will = ("--will-topic", "plant/state", "--will-payload", "gone", "--will-qos", "1", "--will-retain")
    subscriber = subscribe(
        "311",
        "-i",
        "sub-1",
        "-c",
        "-k",
        "5",
        "-q",
        "2",
        "-t",
        "plant/+/temperature",
        "-t",
        "plant/#",
        "-U",
        "reply/old",
        *will,
    )
    publish("311", "-i", "pub-0", "-q", "0", "-t", "plant/boiler/temperature", "-m", "81.5")
    publish("311", "-i", "pub-1", "-q", "1", "-t", "plant/boiler/温度", "-m", '{"v": 82}', "-r")
    publish("311", "-i", "pub-2", "-q", "2", "-t", "plant/boiler/temperature", "-m", "83", "-u", "acq", "-P", "secret")
    publish("311", "-i", "pub-n", "-q", "1", "-t", "plant/boiler/empty", "-n")
    publish("311", "-i", "pub-long", "-q", "0", "-t", "plant/boiler/log", "-m", "x" * 17_000)
    refused = subscribe("311", "-i", "sub-2", "-q", "1", "-t", "secret/#", "-t", "plant/boiler/温度", "-C", "1")
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "paho-1", protocol=paho.MQTTv311)
    talk_with_paho(client, None)
    time.sleep(5.5)  # a PINGREQ of the subscriber
    refused.wait(5)
    subscriber.kill()
    subscriber.wait(5)
    time.sleep(0.5)
    publish("31", "-i", "old", "-t", "plant/old", "-m", "3.1")


def speak_5() -> None:
    subscriber = subscribe(
        "5", "-i", "sub-5", "-c", "-x", "60", "-q", "2", "-t", "plant/#", "-U", "reply/old",
        "-D", "connect", "receive-maximum", "20", "-D", "connect", "topic-alias-maximum", "5",
        "-D", "connect", "user-property", "site", "east", "-D", "subscribe", "subscription-identifier", "200",
        "--will-topic", "plant/state", "--will-payload", "gone", "--will-qos", "1",
        "-D", "will", "will-delay-interval", "1", "-D", "will", "content-type", "text/plain",
    )  # fmt: skip
    publish(
        "5", "-q", "1", "-t", "plant/boiler/temperature", "-m", '{"v": 82}',
        "-D", "publish", "content-type", "application/json", "-D", "publish", "payload-format-indicator", "1",
        "-D", "publish", "message-expiry-interval", "3600", "-D", "publish", "response-topic", "reply/acq",
        "-D", "publish", "correlation-data", "k-17", "-D", "publish", "user-property", "unit", "°C",
        "-D", "publish", "user-property", "unit", "K",
    )  # fmt: skip
    publish("5", "-i", "pub-2", "-q", "2", "-t", "plant/boiler/temperature", "-m", "83", "-r")
    publish("5", "-i", "pub-n", "-q", "1", "-t", "secret/x", "-m", "denied")
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "", protocol=paho.MQTTv5)
    properties = Properties(PacketTypes.PUBLISH)
    properties.TopicAlias = 3
    talk_with_paho(client, properties)
    subscriber.kill()
    subscriber.wait(5)
    time.sleep(2)  # the will, after its delay


def talk_with_paho(client: paho.Client, alias: Properties | None) -> None:
    connected, answered = threading.Event(), threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.on_subscribe = lambda *_: answered.set()
    client.on_unsubscribe = lambda *_: answered.set()
    client.connect("127.0.0.1", PORT, keepalive=1)
    client.loop_start()
    connected.wait(5)
    if alias is None:
        client.subscribe([("plant/boiler/+", 1), ("secret/#", 2), ("plant/state", 0)])
    else:
        options = SubscribeOptions(qos=2, noLocal=True, retainAsPublished=True, retainHandling=1)
        client.subscribe([("plant/boiler/+", options), ("$share/group/plant/state", SubscribeOptions(qos=1))])
    answered.wait(5)
    for count in range(3):
        topic = "" if alias and count else "plant/paho"
        client.publish(topic, f"burst {count}", qos=count, properties=alias).wait_for_publish(5)
    answered.clear()
    client.unsubscribe(["plant/boiler/+", "plant/never"])
    answered.wait(5)
    time.sleep(1.5)  # a PINGREQ
    client.disconnect()
    client.loop_stop()


def record(name: str, speak: Callable[[], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "acl").write_text(ACL)
        Path(folder, "conf").write_text(CONFIG.format(folder=folder))
        Path(folder).chmod(0o755)
        capture = Path(folder, "capture.pcapng")
        broker = subprocess.Popen(["mosquitto", "-c", f"{folder}/conf"])
        sniffer = subprocess.Popen(["tshark", "-q", "-i", "lo", "-f", f"tcp port {PORT}", "-w", str(capture)])
        time.sleep(3)
        speak()
        time.sleep(2)
        sniffer.terminate()
        sniffer.wait(10)
        broker.terminate()
        broker.wait(10)
        (HERE / f"{name}.pcapng").write_bytes(capture.read_bytes())
    dissect(name)


def dissect(name: str) -> None:
    """Write tshark's view, one line per packet: where it ended and its fields in their order."""
    command = ["tshark", "-r", str(HERE / f"{name}.pcapng"), *TSHARK]
    frames = json.loads(subprocess.run(command, check=True, capture_output=True).stdout, object_pairs_hook=list)
    lines = []
    for frame in frames:
        layers = dict(dict(frame)["_source"])["layers"]
        flat = dict(fields(layers))
        place = {
            "frame": int(flat["frame.number"]),
            "stream": int(flat["tcp.stream"]),
            "port": int(flat["tcp.srcport"]),
        }
        for layer, content in layers:
            if layer == "mqtt":
                lines.append(json.dumps({**place, "fields": list(fields(content))}, ensure_ascii=False))
    (HERE / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def fields(tree: list[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    for name, value in tree:
        if isinstance(value, list):
            yield from fields(value)
        else:
            text = str(value)
            yield name, text if len(text) < 500 else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    if "--dissect" not in sys.argv:
        record("mqtt311", speak_311)
        record("mqtt5", speak_5)
    dissect("mqtt311")
    dissect("mqtt5")
