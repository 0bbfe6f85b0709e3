"""The forecourt edge agent: dispensers, prices, sales and plates of one petrol station."""

__version__ = "0.1.0"
