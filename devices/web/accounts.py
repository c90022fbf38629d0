"""Users and logins; what a role may do is the business of whoever has it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Generic, Protocol, TypeVar

from devices.web import passwords
from devices.web.reasons import refusal
from lab.text import Text

WRONG_LOGIN: Final = Text(zh="用户名或口令错误", en="wrong user name or password")
LOCKED: Final = Text(
    zh="口令连续错误 {tries} 次，请 {seconds} 秒后再试", en="{tries} wrong passwords in a row; try again in {seconds} s"
)
NOT_LOGGED_IN: Final = Text(zh="请先登录", en="please log in")
EXPIRED: Final = Text(zh="登录已过期，请重新登录", en="the login has expired, please log in again")
_TRIES: Final = 5
_LOCKED_SECONDS: Final = 60
_MOST_SESSIONS: Final = 1000
_MOST_TRIED: Final = 1000


R_co = TypeVar("R_co", bound=str, covariant=True)
R = TypeVar("R", bound=str)


class User(Protocol[R_co]):
    """Somebody who may log in, as a configuration says it: with a password, or its hash."""

    @property
    def role(self) -> R_co: ...
    @property
    def password(self) -> str | None: ...
    @property
    def password_hash(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Session(Generic[R]):
    """Somebody who is logged in."""

    user: str
    role: R
    expires: int
    """Milliseconds since the epoch."""


class Accounts(Generic[R]):
    """Passwords are kept as hashes, tokens too: what is stolen from here opens nothing."""

    def __init__(self, random: Random, now: Callable[[], int]) -> None:
        self._random = random
        self._now = now
        self._users: dict[str, tuple[R, str]] = {}
        """Role and hash of the password."""
        self._made_from: dict[str, User[R]] = {}
        self._sessions: dict[str, Session[R]] = {}
        """By hash of the token, oldest first."""
        self._wrong: dict[str, tuple[int, int]] = {}
        """Wrong passwords in a row and when the last was, by user name."""
        self._nobody = passwords.hashed("", random)

    def replace(self, users: Mapping[str, User[R]]) -> None:
        """Take on users; whoever has gone or has another role or password is logged out."""
        kept = {name for name, user in users.items() if self._made_from.get(name) == user}
        self._users = {
            name: self._users[name] if name in kept else (user.role, self.kept_password(user))
            for name, user in users.items()
        }
        self._made_from = dict(users)
        self._sessions = {digest: each for digest, each in self._sessions.items() if each.user in kept}

    def kept_password(self, user: User[R]) -> str:
        """Its hash."""
        return user.password_hash or passwords.hashed(user.password or "", self._random)

    def login(self, name: str, password: str, hours: float) -> tuple[str, Session[R]]:
        """A token, and what it is good for; raises Refused."""
        tries, last = self._wrong.get(name, (0, 0))
        wait = last + _LOCKED_SECONDS * 1000 - self._now()
        if tries >= _TRIES and wait > 0:
            raise refusal("locked", LOCKED, tries=tries, seconds=-(-wait // 1000))
        known = self._users.get(name)
        # A name that does not exist takes as long as one that does.
        if not passwords.matches(password, self._nobody if known is None else known[1]) or known is None:
            self._wrong.pop(name, None)
            self._wrong[name] = (1 if tries >= _TRIES else tries + 1, self._now())
            if len(self._wrong) > _MOST_TRIED:
                del self._wrong[next(iter(self._wrong))]
            raise refusal("wrong-login", WRONG_LOGIN)
        self._wrong.pop(name, None)
        token = f"{self._random.getrandbits(256):064x}"
        session = Session(name, known[0], self._now() + round(hours * 3_600_000))
        self._sessions[_digest(token)] = session
        if len(self._sessions) > _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return token, session

    def session(self, token: str | None) -> Session[R]:
        """Raises Refused."""
        found = self._sessions.get(_digest(token)) if token else None
        if found is None or token is None:
            raise refusal("not-logged-in", NOT_LOGGED_IN)
        if found.expires <= self._now():
            del self._sessions[_digest(token)]
            raise refusal("login-expired", EXPIRED)
        return found

    def logout(self, token: str) -> None:
        self._sessions.pop(_digest(token), None)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
