"""Frames of real buses and worked examples, byte by byte, with what they mean.

`CAPTURED` were taken from buses in service; `WORKED` follow from the rules of the line protocol.
The annotated sale is a worked example at 92# for 7.85 a litre with a preset of 200.00.
"""

from __future__ import annotations

from drivers.dart.orders import (
    AllowNozzles,
    Ask,
    Command,
    Order,
    PresetAmount,
    PresetVolume,
    RequestTotal,
    UpdatePrices,
)
from drivers.dart.reports import (
    Filled,
    NozzleReport,
    PumpStatus,
    Report,
    Status,
    TotalByMeter,
    TotalPair,
)

Meaning = tuple[Order | Report, ...]
Vector = tuple[str, int, int, Meaning]
"""Bytes, address, block number, transactions."""

CAPTURED: list[Vector] = [
    ("51 30 65 01 01 22 83 03 FA", 0x51, 0, (RequestTotal(1),)),
    ("51 30 01 01 00 A2 9C 03 FA", 0x51, 0, (Command(Ask.RETURN_STATUS),)),
    ("50 30 01 01 05 5F 5F 03 FA", 0x50, 0, (Command(Ask.RESET),)),
    ("50 30 01 01 06 1F 5E 03 FA", 0x50, 0, (Command(Ask.AUTHORIZE),)),
    ("50 30 65 01 01 1F 43 03 FA", 0x50, 0, (RequestTotal(1),)),
    ("51 32 02 01 01 92 E4 03 FA", 0x51, 2, (AllowNozzles((1,)),)),
    ("50 30 01 01 00 9F 5C 03 FA", 0x50, 0, (Command(Ask.RETURN_STATUS),)),
    (
        "51 3A 02 08 00 00 00 00 00 00 00 00 03 04 00 11 75 01 01 01 05 60 27 03 FA",
        0x51,
        10,
        (
            Filled(0, 0),
            NozzleReport(1175, 1, is_out=False),
            PumpStatus(Status.FILLING_COMPLETED),
        ),
    ),
    (
        "51 3D 65 10 01 00 00 00 00 02 00 00 00 00 02 00 00 00 00 00 58 F8 03 FA",
        0x51,
        13,
        (TotalByMeter(1, 2, 2, 0),),
    ),
]

WORKED: list[Vector] = [
    ("50 30 04 04 00 00 55 00 10 FA 2B 03 FA", 0x50, 0, (PresetAmount(5500),)),
    ("50 33 03 04 00 00 30 00 E3 CC 03 FA", 0x50, 3, (PresetVolume(3000),)),
    ("50 34 05 03 00 07 85 5B A6 03 FA", 0x50, 4, (UpdatePrices((785,)),)),
    ("50 36 01 01 08 9E 12 03 FA", 0x50, 6, (Command(Ask.STOP),)),
    (
        "50 36 65 0D 01 00 01 23 45 67 89 00 09 87 65 43 21 B1 4E 03 FA",
        0x50,
        6,
        (TotalPair(1, 123456789, 987654321),),
    ),
]

SALE_ORDERS: list[Vector] = [
    ("50 30 01 01 05 5F 5F 03 FA", 0x50, 0, (Command(Ask.RESET),)),
    ("50 31 02 01 01 AF 60 03 FA", 0x50, 1, (AllowNozzles((1,)),)),
    ("50 32 04 04 00 02 00 00 47 7B 03 FA", 0x50, 2, (PresetAmount(20000),)),
    ("50 33 01 01 06 1F 1A 03 FA", 0x50, 3, (Command(Ask.AUTHORIZE),)),
    ("50 34 01 01 04 9F AF 03 FA", 0x50, 4, (Command(Ask.RETURN_FILLING),)),
    ("50 35 65 01 01 1F 8F 03 FA", 0x50, 5, (RequestTotal(1),)),
    ("50 36 01 01 05 5F D7 03 FA", 0x50, 6, (Command(Ask.RESET),)),
]

SALE_REPORTS: list[Vector] = [
    (
        "50 31 03 04 00 07 85 11 01 01 01 1D FD 03 FA",
        0x50,
        1,
        (NozzleReport(785, 1, is_out=True), PumpStatus(Status.RESET)),
    ),
    ("50 32 01 01 02 1F 25 03 FA", 0x50, 2, (PumpStatus(Status.AUTHORIZED),)),
    (
        "50 33 01 01 04 02 08 00 00 12 34 00 00 96 87 D2 03 03 FA",
        0x50,
        3,
        (PumpStatus(Status.FILLING), Filled(1234, 9687)),
    ),
    (
        "50 34 02 08 00 00 25 48 00 02 00 00 03 04 00 07 85 01 01 01 05 0F AE 03 FA",
        0x50,
        4,
        (
            Filled(2548, 20000),
            NozzleReport(785, 1, is_out=False),
            PumpStatus(Status.FILLING_COMPLETED),
        ),
    ),
    ("50 35 02 08 00 00 25 48 00 02 00 00 AE FD 03 FA", 0x50, 5, (Filled(2548, 20000),)),
    (
        "50 36 65 10 01 01 23 45 67 89 01 23 45 67 89 00 00 00 00 00 3B 01 03 FA",
        0x50,
        6,
        (TotalByMeter(1, 123456789, 123456789, 0),),
    ),
]
