"""Modbus RTU and TCP: dispensers whose register map stands in a file."""

from drivers.modbus.driver import ModbusDriver

DRIVER = ModbusDriver()
"""Found by `drivers.registry` under the word "modbus"."""
