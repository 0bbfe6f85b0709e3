"""What is wrong with the form of a policy, in Chinese; pydantic says it in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic_core import ErrorDetails

_IN_CHINESE: Final[Mapping[str, str]] = {
    "missing": "缺少此项",
    "extra_forbidden": "未知的键，请核对拼写",
    "union_tag_not_found": "缺少 kind",
    "union_tag_invalid": "未知的 kind",
    "int_type": "须为整数",
    "int_from_float": "须为整数",
    "bool_type": "须为 true 或 false",
    "string_type": "须为文字",
    "string_too_short": "文字太短，至少{min_length}字",
    "string_too_long": "文字太长，至多{max_length}字",
    "string_pattern_mismatch": "格式不符",
    "literal_error": "只能是：{expected}",
    "greater_than": "须大于{gt}",
    "greater_than_equal": "不得小于{ge}",
    "less_than": "须小于{lt}",
    "less_than_equal": "不得大于{le}",
    "too_short": "至少{min_length}项",
    "too_long": "至多{max_length}项",
    "tuple_type": "须为列表",
    "list_type": "须为列表",
    "dict_type": "须为对象",
    "model_type": "须为对象",
    "model_attributes_type": "须为对象",
    "date_from_datetime_parsing": "须为日期，如 2026-10-01",
    "date_parsing": "须为日期，如 2026-10-01",
    "date_type": "须为日期，如 2026-10-01",
}


def in_chinese(error: ErrorDetails) -> str | None:
    """Return what one complaint of pydantic means; None where only English can say it."""
    words = _IN_CHINESE.get(error["type"])
    return None if words is None else words.format(**error.get("ctx", {}))
