"""Fields in which quick typing stays in order."""

from __future__ import annotations

from textual import events
from textual.widget import Widget
from textual.widgets import Input


async def take_in_order(widget: Widget, event: events.Key) -> None:
    """Carry out a key's binding as the key comes; for the `on_key` of what one types into.

    Textual lets such a key climb to the app first, one message queue after the other, while letters are taken at once:
    on a busy loop, what is typed after a Backspace would come before it.
    """
    active = widget.screen.active_bindings.get(event.key)
    if active is not None and active.enabled and not active.binding.priority and not event.is_printable:
        event.stop()
        event.prevent_default()
        await widget.app.run_action(active.binding.action, active.node)


class Field(Input):
    """One line to type in."""

    async def on_key(self, event: events.Key) -> None:
        await take_in_order(self, event)
