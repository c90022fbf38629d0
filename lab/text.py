"""Sentences people read, in Chinese and English, kept beside the code that says them."""

from __future__ import annotations

import locale
import os
from dataclasses import dataclass
from typing import Literal, get_args

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

_language: Language = "en"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages; `{name}` in it is filled from facts when it is said."""

    zh: str
    en: str

    def say(self, **facts: object) -> str:
        """The sentence in the language now spoken, with its facts filled in."""
        sentence = self.zh if _language == "zh" else self.en
        return sentence.format(**facts) if facts else sentence

    def both(self, **facts: object) -> dict[Language, str]:
        """The sentence in every language, for those who choose one elsewhere."""
        return (
            {"zh": self.zh.format(**facts), "en": self.en.format(**facts)} if facts else {"zh": self.zh, "en": self.en}
        )

    def __str__(self) -> str:
        return self.say()


def speak(language: Language) -> None:
    """Choose the language of everything said from now on, in the whole process."""
    global _language
    _language = language


def spoken() -> Language:
    return _language


def language_of_the_user() -> Language:
    """Chinese where the locale is Chinese (IIOTLAB_LANG, LC_ALL, LC_MESSAGES, LANG, then the system), else English."""
    for variable in ("IIOTLAB_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable):
            return "zh" if value.lower().startswith("zh") else "en"
    system = locale.getlocale()[0] or ""
    return "zh" if system.lower().startswith(("zh", "chinese")) else "en"
