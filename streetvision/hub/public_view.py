"""What the public finds in a miner's repository: the check that the monitor repeats."""

from __future__ import annotations

import time
from dataclasses import dataclass

from streetvision.errors import OperatorError
from streetvision.hub.card import (
    CARD_FILE,
    CARD_LIMIT_BYTES,
    age_days,
    parse_card,
    problems,
)
from streetvision.hub.client import Hub
from streetvision.hub.errors import is_absent
from streetvision.hub.files import DEFAULT_REVISION, RepoRef, check_repo, check_revision
from streetvision.subnet import PAY_WINDOW, PayWindow


@dataclass(frozen=True, slots=True)
class CardFinding:
    """Something about a published model that an operator should know."""

    code: str
    """`card_unreachable`, `card_missing`, `card_wrong`, `card_foreign` or `card_stale`."""
    title: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Published:
    """What the public sees of a repository."""

    repo: str
    card: object
    """What model_card.json holds, unchecked; None when it could not be read."""
    age_days: float | None
    findings: tuple[CardFinding, ...]


def published(
    repo: str,
    hotkey: str,
    *,
    revision: str = DEFAULT_REVISION,
    now: float | None = None,
    hub: Hub | None = None,
    window: PayWindow = PAY_WINDOW,
) -> Published:
    """What a validator would find in this repository for this hotkey (ss58): read-only, without a token, a few seconds.

    Never raises for what the hub or the card says: that is in the findings. OperatorError for a malformed name.
    """
    check_repo(repo)
    check_revision(revision)
    hub = hub or Hub(anonymous=True, attempts=2, read_s=10.0, longest_wait_s=5.0)
    moment = time.time() if now is None else now
    try:
        data = hub.read(RepoRef(repo, revision), CARD_FILE, CARD_LIMIT_BYTES)
    except OperatorError as error:
        return Published(repo, None, None, (_unread(repo, error),))
    try:
        card = parse_card(data)
    except OperatorError as error:
        return Published(repo, None, None, (_wrong(repo, str(error).rstrip(".")),))
    return Published(repo, card, age_days(card, moment), tuple(_judge(repo, card, hotkey, moment, window)))


def _again(repo: str) -> str:
    return f"publish with `streetvision models publish VERSION --repo {repo}`"


def _wrong(repo: str, title: str) -> CardFinding:
    return CardFinding("card_wrong", title, _again(repo))


def _unread(repo: str, error: OperatorError) -> CardFinding:
    if is_absent(error):
        title = f"nobody can read {CARD_FILE} in {repo}: the repository or the file is missing or private"
        return CardFinding("card_missing", title, f"make the repository public, or {_again(repo)}")
    if error.__cause__ is None:
        return _wrong(repo, str(error).rstrip("."))
    return CardFinding("card_unreachable", str(error).rstrip("."), "check the network; a later check may find it well")


def _judge(repo: str, card: object, hotkey: str, now: float, window: PayWindow) -> list[CardFinding]:
    wrong, found = problems(card, now=now), []
    if wrong:
        found.append(_wrong(repo, f"{CARD_FILE} in {repo} is wrong: {'; '.join(wrong)}"))
    submitter = card.get("submitted_by") if isinstance(card, dict) else None
    if submitter != hotkey:
        title = f"{CARD_FILE} in {repo} was submitted by {submitter!r:.80}, not by this miner's hotkey {hotkey}"
        found.append(CardFinding("card_foreign", title, _again(repo)))
    age = age_days(card, now)
    words = None if age is None else window.words(age)
    if words is not None:
        title = f"the published model is {age:.0f} days old, {words}"
        found.append(CardFinding("card_stale", title, f"train a better one and {_again(repo)}"))
    return found
