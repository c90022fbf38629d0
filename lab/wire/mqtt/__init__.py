"""MQTT 3.1.1 and 5 (OASIS Standards, 2014 and 2019), and 3.1 as far as it is the same.

A rule broken is Malformed with the number of its normative statement. Where both standards have the rule, the number
is that of MQTT 3.1.1.
"""

from lab.wire.mqtt.decoder import Decoder, Packet
from lab.wire.mqtt.properties import NO_PROPERTIES, Properties
from lab.wire.mqtt.publish import Puback, Pubcomp, Publish, Pubrec, Pubrel, TopicAliases
from lab.wire.mqtt.reasons import ReasonCode, ReturnCode
from lab.wire.mqtt.session import Auth, Connack, Connect, Disconnect, Pingreq, Pingresp, Will
from lab.wire.mqtt.subscribe import Suback, Subscribe, Subscription, Unsuback, Unsubscribe
from lab.wire.mqtt.topics import matches

__all__ = [
    "NO_PROPERTIES",
    "Auth",
    "Connack",
    "Connect",
    "Decoder",
    "Disconnect",
    "Packet",
    "Pingreq",
    "Pingresp",
    "Properties",
    "Puback",
    "Pubcomp",
    "Publish",
    "Pubrec",
    "Pubrel",
    "ReasonCode",
    "ReturnCode",
    "Suback",
    "Subscribe",
    "Subscription",
    "TopicAliases",
    "Unsuback",
    "Unsubscribe",
    "Will",
    "matches",
]
