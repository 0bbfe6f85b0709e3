"""The local HTTP API and the attendants' screen: the only way in for people and tools."""
