"""Who is let in."""

from edge_agent.api.admission import CODE_VALID_S, MAX_OPEN_CODES, Admission


class Time:
    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


def test_a_code_opens_one_session() -> None:
    admission = Admission("token")
    code = admission.enrolment_code()
    cookie = admission.enrol(code)
    assert cookie is not None
    assert admission.knows_session(cookie)
    assert admission.enrol(code) is None


def test_a_code_may_be_typed_without_its_hyphen_and_in_small_letters() -> None:
    admission = Admission("token")
    code = admission.enrolment_code()
    assert admission.enrol(code.replace("-", " ").lower()) is not None


def test_a_code_expires() -> None:
    time = Time()
    admission = Admission("token", monotonic_s=time)
    code = admission.enrolment_code()
    time.s += CODE_VALID_S
    assert admission.enrol(code) is None


def test_wrong_codes_leave_the_open_ones_alone() -> None:
    admission = Admission("token")
    code = admission.enrolment_code()
    for _ in range(100):
        assert admission.enrol("AAAA-AAAA") is None
    assert admission.enrol(code) is not None


def test_only_so_many_codes_stay_open() -> None:
    admission = Admission("token")
    codes = [admission.enrolment_code() for _ in range(MAX_OPEN_CODES + 1)]
    assert admission.enrol(codes[0]) is None
    assert all(admission.enrol(code) is not None for code in codes[1:])


def test_a_session_outlives_a_restart_and_dies_with_the_token() -> None:
    admission = Admission("token")
    cookie = admission.enrol(admission.enrolment_code())
    assert cookie is not None
    assert Admission("token").knows_session(cookie)
    assert not Admission("another").knows_session(cookie)


def test_a_session_cannot_be_made_up() -> None:
    admission = Admission("token")
    cookie = admission.enrol(admission.enrolment_code())
    assert cookie is not None
    name, seal = cookie.split(".")
    for forged in ("", ".", name, f"{name}.", f"{name}0.{seal}", f"{name}.{seal[:-1]}", "é.é"):
        assert not admission.knows_session(forged)


def test_the_token_is_asked_for_as_a_bearer() -> None:
    admission = Admission("token")
    assert admission.knows_token("Bearer token")
    assert admission.knows_token("bearer token")
    for wrong in ("", "token", "Bearer", "Bearer ", "Bearer Token", "Basic token", "Bearer tokén"):
        assert not admission.knows_token(wrong)


def test_without_a_token_nobody_has_one() -> None:
    admission = Admission(None)
    assert admission.open_to_all
    assert not admission.knows_token("Bearer ")
    assert not admission.knows_session(".")


def test_two_agents_of_one_host_have_different_cookies() -> None:
    assert Admission("one").cookie_name != Admission("other").cookie_name
