"""The whole station in real processes: agent, broker, headquarters, ptys, Modbus TCP, camera."""
