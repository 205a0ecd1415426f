"""`ibdesk faults` and `ibdesk messages`: what the gateway can be told, from the tables it works by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ibdesk.gateway import FaultScript, random_script
from ibdesk.gateway.faults.kinds import KINDS

Cli = Callable[..., Any]


def test_every_kind_of_fault_is_listed(cli: Cli) -> None:
    told = cli("faults")

    assert (told.code, told.err) == (0, "")
    assert [kind for kind in KINDS if f" {kind} " not in told.out] == []


def test_a_random_script_is_printed_as_the_gateway_reads_it(cli: Cli) -> None:
    told = cli("faults", "--seed", "7", "--lasting", "300", "--kinds", "hang_up,halt", "--intensity", "2")

    assert told.code == 0
    assert FaultScript.from_toml(told.out) == random_script(7, 300, intensity=2, kinds=("hang_up", "halt"))


def test_an_unknown_kind_is_told_in_a_sentence(cli: Cli) -> None:
    told = cli("faults", "--seed", "7", "--kinds", "rain")

    assert told.code == 2
    assert told.err.startswith("ibdesk: random faults: unknown kind 'rain': must be one of break_farm, ")


def test_a_message_is_shown_field_by_field_as_its_version_has_it(cli: Cli) -> None:
    shown = {version: cli("messages", "cancelOrder", "--version", version).out.split() for version in ("168", "169")}

    # The time of a cancel by hand came with version 169.
    assert "manualCancelOrderTime:" not in shown["168"]
    assert shown["169"][-2:] == ["manualCancelOrderTime:", "text"]


def test_the_parts_of_a_message_that_depend_on_others_say_on_what(cli: Cli) -> None:
    out = cli("messages", "99").out

    assert "tickByTick, from the TWS, at server version 178" in out
    assert "reqCompletedOrders, from the client, at server version 178" in out
    assert "  only with tickType 4:\n      midPoint: number\n" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("placeOrders",), "there is no message 'placeOrders': ibdesk messages lists them"),
        (("summary",), "there is no message 'summary': near it are accountSummary, accountSummaryEnd,"),
        (("placeOrder", "--version", "200"), "--version must be from 157 to 178, got 200"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(cli: Cli, arguments: tuple[str, ...], sentence: str) -> None:
    told = cli("messages", *arguments)

    assert told.code == 2
    assert told.err.startswith(f"ibdesk: {sentence}")
