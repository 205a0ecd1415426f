from __future__ import annotations

from typing import Any

import pytest

from ibdesk.store.feed import Topic
from ibdesk.views import tables

START = 1_700_000_000_000_000_000


def column(table: tables.KeyedTable, title: str) -> list[str]:
    """Return a column as it is shown, from the top down."""
    return [str(text) for text in table.view.value[title]]


def test_the_newest_order_is_on_top_and_a_change_is_patched_in_its_place(order: Any) -> None:
    table = tables.orders_table()
    table.apply([order(1, "working"), order(2, "sent")])
    shown = table.view.value

    table.apply([order(1, "filled", filled=100.0, average_price=101.5)])

    assert table.view.value is shown
    assert column(table, "Status") == ["sent", "filled"]
    assert column(table, "Average") == ["", "101.50"]


def test_in_a_notebook_values_are_replaced_rather_than_patched(order: Any) -> None:
    table = tables.orders_table(replace_values=True)
    table.apply([order(1, "working")])
    shown = table.view.value

    table.apply([order(1, "filled")])

    assert table.view.value is not shown
    assert column(table, "Status") == ["filled"]


def test_rows_that_change_nothing_on_the_screen_send_nothing(order: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tables.orders_table()
    table.apply([order(1, "working")])
    sent: list[Any] = []
    table.view.param.watch(sent.append, "value")

    table.apply([order(1, "working"), order(1, "working", updated_ns=START)])

    assert sent == []


def test_the_oldest_rows_leave(order: Any) -> None:
    table = tables.KeyedTable(Topic.ORDERS, [tables.Column("Id", 5, lambda row: row["id"])], empty="none", limit=2)

    table.apply([order(n, "filled") for n in range(5)])
    table.apply([order(5, "filled")])

    assert table.texts() == [("order-5",), ("order-4",)]


def test_an_order_shows_the_prices_it_has_and_why_it_was_denied(order: Any) -> None:
    table = tables.orders_table()

    table.apply(
        [
            order(1, "working", type="stop_limit", stop_price=99.0, limit_price=98.5),
            order(2, "denied", reason="largest order allows 100, asked 500"),
        ]
    )

    assert column(table, "Price") == ["", "99.00 / 98.50"]
    assert column(table, "Status") == ["denied", "working"]
    assert column(table, "Reason") == ["largest order allows 100, asked 500", ""]


def test_positions_stay_where_they_first_stood(position: Any) -> None:
    table = tables.positions_table()
    table.apply([position("MSFT", 100), position("AAPL", -50)])

    table.apply([position("IBM", 10), position("MSFT", 0, realized_pnl=12.5)])

    assert column(table, "Symbol") == ["MSFT", "AAPL", "IBM"]
    assert column(table, "Held") == ["0", "-50", "+10"]
    assert column(table, "Realized") == ["+12.50", "0.00", "0.00"]


@pytest.mark.parametrize(
    "make",
    [tables.orders_table, tables.fills_table, tables.positions_table, tables.quotes_table, tables.runs_table],
)
def test_the_columns_of_a_table_fill_its_width(make: Any) -> None:
    table = make()

    assert sum(int(width.removesuffix("%")) for width in table.view.widths.values()) == 100
