"""The station's books on SQLite: the ledger, its projections and the catalogues of headquarters."""
