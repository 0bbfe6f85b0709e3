"""Errors as answers: RFC 9457 problem details with our stable codes and both languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from edge_agent.core.authorisation import PROBLEMS as REASONS
from edge_agent.model.errors import (
    CorruptionError,
    EdgeAgentError,
    Problem,
    ProtocolError,
    RefusedError,
    SaleRefused,
    UnavailableError,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A problem of the API's own, and the HTTP status it is answered with."""

    status: int
    problem: Problem


def _refusal(status: int, code: str, text_zh: str, text_en: str) -> Refusal:
    return Refusal(status, Problem(code, text_zh, text_en))


BODY_UNREADABLE = _refusal(
    400, "body_unreadable", "请求内容无法读取", "the request body cannot be read"
)
NOT_ENROLLED = _refusal(
    401,
    "not_enrolled",
    "此屏幕尚未登记，请在本机运行 edge-agent screen 获取登记码",
    "this screen is not enrolled; run `edge-agent screen` on the station PC for a code",
)
CODE_WRONG = _refusal(
    403, "code_wrong", "登记码错误、已使用或已过期", "the code is wrong, used or expired"
)
ORIGIN_REFUSED = _refusal(
    403, "origin_refused", "请求来自其他网页，已拒绝", "the request came from another web page"
)
HEADER_MISSING = _refusal(
    403, "header_missing", "请求缺少 X-Edge-Agent 标头", "the header X-Edge-Agent is missing"
)
TOKEN_ONLY = _refusal(
    403, "token_only", "仅限本机管理工具", "only a client that knows the API token may do this"
)
NOT_FOUND = _refusal(404, "not_found", "没有这个地址", "there is nothing at this address")
METHOD_NOT_ALLOWED = _refusal(
    405, "method_not_allowed", "此地址不支持该操作", "this address does not take that method"
)
BODY_TOO_LARGE = _refusal(
    413, "body_too_large", "请求内容超过 64 KiB", "the request body is larger than 64 KiB"
)
HOST_REFUSED = _refusal(
    421, "host_refused", "请用本机地址访问", "this name is not one that the agent answers to"
)
REQUEST_INVALID = _refusal(
    422, "request_invalid", "请求内容不符合规则", "the request breaks a rule; see fields"
)
RATE_LIMITED = _refusal(
    429, "rate_limited", "请求过于频繁，请稍后再试", "too many requests, slow down"
)
INTERNAL_ERROR = _refusal(
    500, "internal_error", "程序内部错误，请联系技术支持", "an internal error; call support"
)
TOO_MANY_SCREENS = _refusal(
    503, "too_many_screens", "连接的屏幕过多", "too many screens are listening already"
)

OWN = (
    BODY_UNREADABLE, NOT_ENROLLED, CODE_WRONG, ORIGIN_REFUSED, HEADER_MISSING, TOKEN_ONLY,
    NOT_FOUND, METHOD_NOT_ALLOWED, BODY_TOO_LARGE, HOST_REFUSED, REQUEST_INVALID, RATE_LIMITED,
    INTERNAL_ERROR, TOO_MANY_SCREENS,
)  # fmt: skip
"""Every refusal that the API answers by itself."""

_BY_HTTP_STATUS = {
    400: BODY_UNREADABLE,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: BODY_TOO_LARGE,
}

_STATUS_BY_TYPE: tuple[tuple[type[EdgeAgentError], int], ...] = (
    (RefusedError, 409),
    (UnavailableError, 503),
    (ProtocolError, 502),
    (CorruptionError, 500),
    (EdgeAgentError, 500),
)


PAYMENT_CODES = frozenset(
    {
        "lease_insufficient",
        "points_insufficient",
        "stored_value_insufficient",
        "stored_value_no_account",
        "tender_short",
    }
)
"""Codes of `SaleRefused` that mean: the money, or the points, do not suffice."""

PROOF_CODES = ("second_factor_", "risk_second_factor", "member_code_", "pin_")
"""How codes begin that mean: it takes a proof that was not given, or was not right."""

MAX_FIELDS = 16
MAX_FIELD_NAME = 64


class FieldProblem(BaseModel):
    """What is wrong with one field of a request. The value is not repeated: it may be personal."""

    field: str
    rule: str
    text: str


class ProblemAnswer(BaseModel):
    """An error, as RFC 9457 tells it, with our code and texts."""

    type: str
    title: str
    status: int
    code: str
    text_zh: str
    text_en: str
    detail: str
    fields: list[FieldProblem] = []


def problem_response(
    status: int,
    problem: Problem,
    detail: str = "",
    *,
    fields: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as an HTTP response."""
    answer = ProblemAnswer(
        type=f"urn:edge-agent:problem:{problem.code}",
        title=problem.text_en,
        status=status,
        code=problem.code,
        text_zh=problem.text_zh,
        text_en=problem.text_en,
        detail=detail,
        fields=list(fields),
    )
    return JSONResponse(
        answer.model_dump(),
        status,
        headers=dict(headers or {}),
        media_type="application/problem+json",
    )


def refusal_response(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """Return one of the API's own refusals as an HTTP response."""
    return problem_response(refusal.status, refusal.problem, headers=headers)


def status_of(error: EdgeAgentError) -> int:
    """Return the HTTP status of an error: by what it says is unknown or short, else by its type."""
    code = error.problem.code
    if isinstance(error, RefusedError) and code.endswith("_unknown"):
        return 404
    if isinstance(error, SaleRefused) and code in PAYMENT_CODES:
        return 402
    if isinstance(error, SaleRefused) and code.startswith(PROOF_CODES):
        return 403
    return next(status for kind, status in _STATUS_BY_TYPE if isinstance(error, kind))


def answer_errors(app: FastAPI) -> None:
    """Make an app answer every error as a problem."""
    app.exception_handler(EdgeAgentError)(_on_edge_agent_error)
    app.exception_handler(RequestValidationError)(_on_invalid_request)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(Exception)(_on_bug)


async def _on_edge_agent_error(_request: Request, error: EdgeAgentError) -> Response:
    return problem_response(status_of(error), error.problem, error.detail)


async def _on_invalid_request(_request: Request, error: RequestValidationError) -> Response:
    fields = [_field_problem(found) for found in error.errors()[:MAX_FIELDS]]
    detail = "; ".join(f"{field.field}: {field.text}" for field in fields)
    return problem_response(REQUEST_INVALID.status, REQUEST_INVALID.problem, detail, fields=fields)


def _field_problem(found: Mapping[str, Any]) -> FieldProblem:
    place = [str(part) for part in found["loc"]]
    name = ".".join(place[1:] or place)
    return FieldProblem(field=name[:MAX_FIELD_NAME], rule=found["type"], text=found["msg"])


async def _on_http_exception(_request: Request, error: HTTPException) -> Response:
    refusal = _BY_HTTP_STATUS.get(error.status_code, BODY_UNREADABLE)
    return problem_response(error.status_code, refusal.problem, headers=error.headers)


async def _on_bug(_request: Request, _error: Exception) -> Response:
    # Answered outside the gate, which would have set these.
    return refusal_response(
        INTERNAL_ERROR, {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    )


def texts() -> dict[str, Problem]:
    """Return the problems whose code a view carries without its text, by code."""
    return dict(REASONS)
