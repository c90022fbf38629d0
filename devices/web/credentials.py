"""What a configuration says of somebody who may log in."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from devices.web.passwords import is_hash
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

ONE_PASSWORD: Final = Text(
    zh="password 和 password_hash 必须且只能写一个", en="exactly one of password and password_hash is needed"
)
NOT_A_HASH: Final = Text(
    zh="口令摘要应为 pbkdf2_sha256$次数$盐$摘要", en="a password hash is pbkdf2_sha256$iterations$salt$hash"
)


def _hash(value: str) -> str:
    if not is_hash(value):
        raise KnownValueError(NOT_A_HASH)
    return value


PasswordHash = Annotated[str, AfterValidator(_hash)]


class Credentials(Strict):
    """A password, or its hash."""

    password: str | None = Field(None, min_length=1, max_length=200, description="口令。 Password.")
    password_hash: PasswordHash | None = Field(
        None, description="口令摘要 pbkdf2_sha256$次数$盐$摘要。 Password as a PBKDF2 hash."
    )

    @model_validator(mode="after")
    def _one_password(self) -> Credentials:
        if (self.password is None) == (self.password_hash is None):
            raise KnownValueError(ONE_PASSWORD)
        return self
