"""Dispensers and converters on Modbus RTU or TCP, by a register map from the configuration."""
