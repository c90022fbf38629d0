"""The embedded MQTT 3.1.1 broker: amqtt, with the defects that would spoil a lab mended."""
