"""The reference headquarters: takes in what stations send, re-prices it, publishes catalogues."""
