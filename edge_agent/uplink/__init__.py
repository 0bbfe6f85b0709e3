"""MQTT: the wire to headquarters."""
