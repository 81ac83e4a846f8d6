"""Modal's errors: each is a trouble that a finding can tell, and one sentence with a remedy; no token is repeated."""

from __future__ import annotations

import pytest

from streetvision.engine.transport import RemoteTrouble
from streetvision.errors import OperatorError
from streetvision.serverless.troubles import PINNED, TROUBLES, failure_of, modal_sentences, other_release, require_modal

pytest.importorskip("modal", reason="the extra `modal` is not installed")

import modal


def error(name: str, words: str = "something") -> Exception:
    found: Exception = getattr(modal.exception, name)(words)
    return found


def test_every_name_is_one_of_modals() -> None:
    assert [name for name in TROUBLES if not hasattr(modal.exception, name)] == []


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (error("AuthError", "Token missing"), RemoteTrouble.REFUSED),
        (error("NotFoundError", "App 'streetvision' not found"), RemoteTrouble.UNREACHABLE),
        (error("ResourceExhaustedError"), RemoteTrouble.QUOTA),
        (error("FunctionTimeoutError"), RemoteTrouble.LATE),
        (error("OutputExpiredError"), RemoteTrouble.LATE),
        (error("VersionError"), RemoteTrouble.SKEW),
        (error("ServiceError"), RemoteTrouble.UNREACHABLE),
        (error("RemoteError", "Workspace spend limit reached"), RemoteTrouble.QUOTA),
        (error("RemoteError", "container exited with exit code 137"), RemoteTrouble.NO_MEMORY),
        (error("RemoteError"), RemoteTrouble.FAILED),
        (ConnectionError("refused"), RemoteTrouble.UNREACHABLE),
        (TimeoutError(), RemoteTrouble.LATE),
        (ImportError("No module named 'modal'"), RemoteTrouble.MISSING),
        (KeyError("a defect"), RemoteTrouble.FAILED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.value,
)
def test_an_error_is_a_trouble(raised: Exception, expected: RemoteTrouble) -> None:
    assert failure_of(raised).trouble is expected


def test_a_token_is_not_repeated() -> None:
    said = str(failure_of(error("AuthError", "the token ak-Secret123456 with as-Secret654321 is not known")))
    assert "Secret" not in said
    assert said.count("(a token)") == 2


def test_an_operator_reads_one_sentence() -> None:
    sentence = r"^deploying the app failed \(Token missing\): run `modal token new`"
    with pytest.raises(OperatorError, match=sentence), modal_sentences("deploying the app"):
        raise error("AuthError", "Token missing\nmore lines")


def test_a_defect_of_ours_stays_one() -> None:
    with pytest.raises(KeyError), modal_sentences("deploying the app"):
        raise KeyError("a defect")


def test_another_release_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert other_release() == ""
    require_modal()
    monkeypatch.setattr("importlib.metadata.version", lambda _: "1.7.0")
    with pytest.raises(OperatorError, match=f"Modal 1.7.0 is installed, and this release knows {PINNED}"):
        require_modal()


def test_a_missing_extra_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.serverless.troubles.find_spec", lambda _: None)
    with pytest.raises(OperatorError, match=r"pip install 'streetvision\[modal\]'"):
        require_modal()
