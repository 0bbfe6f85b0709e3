"""Use cases on asyncio: the forecourt, sales, plate pay, sync, the point of sale, supervision."""
