"""The button that stops the account: in the corner of every page, also while nothing on it is current."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import panel as pn

from ibdesk.backtest import palette
from ibdesk_server.dashboard.counter import Counter, DashboardUser

_CORNER = ":host { position: fixed !important; right: 16px; bottom: 16px; z-index: 900; width: 330px; }"
_CARD = f"""
:host {{ background: {palette.SURFACE}; border: 1px solid {palette.LOSS}; border-radius: 6px; padding: 4px 8px; }}
"""
_LABELS = f"label, span {{ color: {palette.TEXT}; }}"
_LIFT = "lift"
_CONFIRM = {False: "Stop the account now", True: "Lift the halt"}
_LEVELS = {
    "Halt: open nothing, cancel what would open": "halt",
    "Cancel every order": "cancel",
    "Flatten: cancel every order, close every position": "flatten",
    "Lift the halt of this id": _LIFT,
}


class StopButton:
    """A button, and behind it a form that asks how far, why, and by whom; `view` is the Panel component.

    The same form lifts one halt by its id.

    Who is logged in by name and password acts in that name. Everybody else gives an API key: the dashboard itself
    may change nothing.
    """

    def __init__(self, counter: Counter, reader: Callable[[], DashboardUser | None]) -> None:
        self._counter, self._reader = counter, reader
        self._open = pn.widgets.Button(name="Stop", button_type="danger", align="end", width=90)
        self._level = pn.widgets.RadioBoxGroup(options=_LEVELS, value="halt", stylesheets=[_LABELS])
        self._reason = pn.widgets.TextInput(name="Reason", max_length=500, stylesheets=[_LABELS])
        self._halt_id = pn.widgets.TextInput(name="Halt's id", max_length=100, visible=False, stylesheets=[_LABELS])
        self._account = pn.widgets.TextInput(name="Account (live money needs it)", max_length=32, stylesheets=[_LABELS])
        self._key = pn.widgets.PasswordInput(name="API key (unless you are logged in by name)", stylesheets=[_LABELS])
        self._confirm = pn.widgets.Button(name=_CONFIRM[False], button_type="danger")
        self._cancel = pn.widgets.Button(name="Back")
        self._outcome = pn.pane.HTML("", styles={"color": palette.TEXT, "font": f"13px {palette.FONT}"})
        self._form = pn.Column(
            self._level,
            self._reason,
            self._halt_id,
            self._account,
            self._key,
            pn.Row(self._confirm, self._cancel),
            self._outcome,
            stylesheets=[_CARD],
            visible=False,
        )
        self._open.on_click(lambda _: self._show(is_open=True))
        self._cancel.on_click(lambda _: self._show(is_open=False))
        self._confirm.on_click(self._act)
        self._level.param.watch(lambda _: self._choose(), "value")
        self.view = pn.Column(self._form, self._open, stylesheets=[_CORNER], margin=0)

    def _show(self, *, is_open: bool) -> None:
        self._form.visible, self._open.visible = is_open, not is_open
        self._outcome.object = self._key.value = ""

    def _choose(self) -> None:
        lifts = self._level.value == _LIFT
        self._halt_id.visible, self._account.visible = lifts, not lifts
        self._confirm.name = _CONFIRM[lifts]

    async def _act(self, _: object) -> None:
        headers = self._proof()
        reason = (self._reason.value or "").strip()
        if not headers or not reason:
            what = "Give a reason." if headers else "Give an API key, or log in by name and password."
            self._say(what)
            return
        self._confirm.disabled = True
        try:
            if self._level.value == _LIFT:
                halt_id = (self._halt_id.value or "").strip()
                self._say(await self._counter.resume(halt_id, reason=reason, headers=headers))
                return
            self._say("Stopping ...")
            account = (self._account.value or "").strip()
            self._say(await self._counter.stop(self._level.value, reason=reason, account=account, headers=headers))
        finally:
            self._confirm.disabled = False
            self._key.value = ""

    def _proof(self) -> dict[str, str]:
        """Return the headers by which the server knows who asks, none when nobody does."""
        if self._key.value:
            return {"X-API-Key": self._key.value.strip()}
        reader = self._reader()
        return {"Authorization": f"Bearer {reader.access_token}"} if reader and reader.access_token else {}

    def _say(self, text: str) -> None:
        self._outcome.object = f"<p>{escape(text)}</p>"
