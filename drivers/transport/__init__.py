"""Ways for bytes to reach the other side of a bus; each satisfies `edge_agent.ports.Transport`."""
