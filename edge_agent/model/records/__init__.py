"""Every kind of record that the ledger can hold: all that happens to money, fuel or authority.

A record is written once and read for ever, at the station, at headquarters and by auditors, so a
field is added, never renamed or given another meaning. Bodies carry opaque references only; no
name, phone number or plate may appear in one.
"""

from __future__ import annotations

from edge_agent.model.records.assets import (
    Asset,
    AssetMoved,
    LeaseClosed,
    LeasesTaken,
    LeaseTerms,
    MemberCodeUsed,
    PointsBucket,
    PointsEarned,
    RiskFlagged,
    StoredValueToppedUp,
)
from edge_agent.model.records.body import (
    Fen,
    Millilitres,
    PriceMilli,
    RecordBody,
)
from edge_agent.model.records.fuelling import (
    FuellingAuthorised,
    FuellingCancelled,
    FuellingCompleted,
    FuellingDisputed,
    FuellingOrigin,
    NozzleTotals,
    TotaliserBaseline,
    TotaliserJumped,
)
from edge_agent.model.records.sale import (
    AppliedOffer,
    GivenBenefit,
    NextStep,
    PresentedCoupon,
    QuoteBody,
    RejectedOffer,
    SaleRefunded,
    SaleSettled,
    SoldGoods,
    Tender,
)
from edge_agent.model.records.station import (
    AlarmRecorded,
    CatalogueAccepted,
    DownlinkRefused,
    EpochOpened,
    OperatorAction,
    PriceApplied,
    PriceRefusedByPump,
    StationStarted,
    StationStopped,
    StopAllOrdered,
)

__all__ = [
    "BODIES",
    "AlarmRecorded",
    "AppliedOffer",
    "Asset",
    "AssetMoved",
    "CatalogueAccepted",
    "DownlinkRefused",
    "EpochOpened",
    "Fen",
    "FuellingAuthorised",
    "FuellingCancelled",
    "FuellingCompleted",
    "FuellingDisputed",
    "FuellingOrigin",
    "GivenBenefit",
    "LeaseClosed",
    "LeaseTerms",
    "LeasesTaken",
    "MemberCodeUsed",
    "Millilitres",
    "NextStep",
    "NozzleTotals",
    "OperatorAction",
    "PointsBucket",
    "PointsEarned",
    "PresentedCoupon",
    "PriceApplied",
    "PriceMilli",
    "PriceRefusedByPump",
    "QuoteBody",
    "RecordBody",
    "RejectedOffer",
    "RiskFlagged",
    "SaleRefunded",
    "SaleSettled",
    "SoldGoods",
    "StationStarted",
    "StationStopped",
    "StopAllOrdered",
    "StoredValueToppedUp",
    "Tender",
    "TotaliserBaseline",
    "TotaliserJumped",
]

BODIES: dict[str, type[RecordBody]] = {
    body.kind: body
    for body in (
        EpochOpened,
        StationStarted,
        StationStopped,
        FuellingAuthorised,
        FuellingCancelled,
        FuellingCompleted,
        FuellingDisputed,
        TotaliserJumped,
        TotaliserBaseline,
        SaleSettled,
        SaleRefunded,
        LeasesTaken,
        LeaseClosed,
        AssetMoved,
        PointsEarned,
        StoredValueToppedUp,
        MemberCodeUsed,
        RiskFlagged,
        PriceApplied,
        PriceRefusedByPump,
        CatalogueAccepted,
        DownlinkRefused,
        AlarmRecorded,
        StopAllOrdered,
        OperatorAction,
    )
}
"""The body of each kind of record, by the kind's name."""
