"""Routes that let a screen in: one-time codes, sessions."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from edge_agent.api.access import PROBLEM_RESPONSES, AdmissionDep, OperatorDep
from edge_agent.api.admission import CODE_VALID_S, Admission
from edge_agent.api.answers import EnrolmentAnswer, SessionAnswer
from edge_agent.api.problems import CODE_WRONG, TOKEN_ONLY, refusal_response
from edge_agent.api.requests import SessionBody

SESSION_DAYS = 400
"""As long as browsers keep a cookie at most: a screen stays enrolled until the token changes."""

router = APIRouter(tags=["session"], responses=PROBLEM_RESPONSES)


@router.get("/v1/session")
async def session(request: Request, admission: AdmissionDep) -> SessionAnswer:
    """Tell whether this screen may be used."""
    cookie = request.cookies.get(admission.cookie_name, "")
    enrolled = admission.open_to_all or admission.knows_session(cookie)
    return SessionAnswer(enrolled=enrolled, demo=request.app.state.demo)


@router.post("/v1/session", response_model=SessionAnswer)
async def open_session(request: Request, body: SessionBody, admission: AdmissionDep) -> Response:
    """Open a session for this screen with a one-time code."""
    cookie = admission.enrol(body.code)
    if cookie is None:
        return refusal_response(CODE_WRONG)
    answer = SessionAnswer(enrolled=True, demo=request.app.state.demo)
    response = Response(answer.model_dump_json(), media_type="application/json")
    return _with_session(response, request, admission, cookie)


@router.get("/enrol", status_code=303, response_class=RedirectResponse)
async def enrol(
    request: Request, admission: AdmissionDep, code: Annotated[str, Query(max_length=32)] = ""
) -> Response:
    """Open a session by following the link that the agent prints, and go to the screen."""
    cookie = admission.enrol(code)
    if cookie is None:
        return RedirectResponse("/#code-wrong", 303)
    return _with_session(RedirectResponse("/", 303), request, admission, cookie)


@router.post("/v1/enrolments", response_model=EnrolmentAnswer)
async def new_enrolment(admission: AdmissionDep, operator: OperatorDep) -> Response:
    """Make a one-time code for one more screen. Only for a client that knows the API token."""
    if operator != "cli":
        return refusal_response(TOKEN_ONLY)
    answer = enrolment(admission)
    return Response(answer.model_dump_json(), media_type="application/json")


def enrolment(admission: Admission) -> EnrolmentAnswer:
    """Return a fresh one-time code and the path that uses it."""
    code = admission.enrolment_code()
    path = f"/enrol?{urlencode({'code': code})}"
    return EnrolmentAnswer(code=code, path=path, valid_s=int(CODE_VALID_S))


def _with_session(
    response: Response, request: Request, admission: Admission, cookie: str
) -> Response:
    response.set_cookie(
        admission.cookie_name,
        cookie,
        max_age=SESSION_DAYS * 86400,
        httponly=True,
        samesite="strict",
        # Over plain HTTP, which only loopback speaks, a browser would drop a Secure cookie.
        secure=request.url.scheme == "https",
    )
    return response
