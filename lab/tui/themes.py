"""Colours, dark and light."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="plant-dark",
    primary="#6cb6ff",
    secondary="#a5b9d0",
    accent="#ffc66d",
    success="#7fd48a",
    warning="#ffb454",
    error="#ff7b72",
    foreground="#dbe4ee",
    background="#0f151c",
    surface="#151d27",
    panel="#1d2835",
    dark=True,
    variables={
        "text-muted": "#8798ab",
        "border": "#6cb6ff",
        "border-blurred": "#33465a",
        "scrollbar": "#33465a",
        "scrollbar-hover": "#4a627c",
        "scrollbar-active": "#6cb6ff",
        "scrollbar-background": "#131b24",
        "scrollbar-background-hover": "#131b24",
        "scrollbar-background-active": "#131b24",
        "block-cursor-background": "#2f5f8f",
        "block-cursor-foreground": "#ffffff",
    },
)

LIGHT = Theme(
    name="plant-light",
    primary="#0b5cad",
    secondary="#47617c",
    accent="#a34d00",
    success="#12733a",
    warning="#8a5a00",
    error="#b3261e",
    foreground="#1b2733",
    background="#f4f7fa",
    surface="#ffffff",
    panel="#e3eaf1",
    dark=False,
    variables={
        "text-muted": "#5b6b7c",
        "border": "#0b5cad",
        "border-blurred": "#b9c6d3",
        "scrollbar": "#b9c6d3",
        "scrollbar-hover": "#92a5b8",
        "scrollbar-active": "#0b5cad",
        "scrollbar-background": "#e9eef3",
        "scrollbar-background-hover": "#e9eef3",
        "scrollbar-background-active": "#e9eef3",
        "block-cursor-background": "#0b5cad",
        "block-cursor-foreground": "#ffffff",
    },
)
