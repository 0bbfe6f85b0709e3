"""Wayne DART: dispensers on a two-wire bus, polled by address."""
