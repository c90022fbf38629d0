"""The embedded MQTT 3.1.1 broker: amqtt, with the defects that would spoil a lab mended.

`mended.py` (connections), `messages.py` (who gets what) and `handler.py` (one connection) are subclasses of amqtt's
classes; `packets.py` checks what clients send before amqtt sees it, `outbox.py` is what a session still owes its client,
`store.py` keeps it on disk, `tls.py`, `access.py` and `passwords.py` say who may come in.

What a plant relies on, so that mosquitto, EMQX or any other broker can stand in the place of this one (a host of kind
`outside` leads to it; see tests/gateway/test_broker_external.py):

1. MQTT 3.1.1 over TCP, on port 1883 unless configured, and over TLS on 8883; the statements of the standard that
   tests/gateway/conformance examines. The suite runs against any broker: `IIOTLAB_MQTT_BROKER=host:port`.
2. QoS 0, 1 and 2, retained messages, wills, persistent sessions and keep-alive, all as the standard has them. A message
   arrives with the lower of the published and the subscribed QoS.
3. A client that has sent nothing for one and a half keep-alives is cut off, at most some seconds later, and
   its will is published.
4. User names and passwords, and anonymous clients where they are allowed; a refused login gets return code 4 or 5.
5. Permissions by topic for each user: what may not be published is acknowledged and goes nowhere, what may not be read
   is not delivered. Whether a SUBSCRIBE is refused with 0x80 (here) or granted in vain (mosquitto) differs.
6. At least 20 messages under way for each client, packets of 256 KiB, topics of 65,535 bytes.
7. $SYS/broker/clients/connected, uptime, publish/messages/received and sent, under mosquitto's names: for people, no
   check rests on them.

MQTT 5 is not spoken here: its CONNECT is answered with reason 0x84, unsupported protocol version, in its own form,
whereupon a client may come again with 3.1.1. A plant whose task needs MQTT 5 takes another broker.
"""
