"""The commands that manage users, logins and API keys, with their options and help."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from ibdesk.cli.app import command, group
from ibdesk.cli.loading import loading

PANEL = "Access"

users = group(PANEL, "users", "Manage the users who can log in to the server.")
keys = group(PANEL, "keys", "Manage the API keys of programs.")


class Role(enum.StrEnum):
    """The rights of a user or key; the values are those of `ibdesk_server.security.principal.Role`."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"


_User = Annotated[str, typer.Argument(metavar="NAME", help="The user's name")]
_PasswordFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Read the password from the first line of a file", show_default="prompt"),
]


@command(
    PANEL,
    "ibdesk users add vera --role viewer",
    "ibdesk users add tom --role trader --password-file /run/secrets/tom",
    of=users,
    name="add",
)
def add_user(
    context: typer.Context,
    name: _User,
    role: Annotated[
        Role, typer.Option(help="A viewer reads, a trader also places orders, an admin also manages users and keys")
    ],
    password_file: _PasswordFile = None,
) -> None:
    """Add a user. The password is prompted for twice and not shown."""
    with loading():
        from ibdesk.cli.users import add

    add(context.obj.config, name, role.value, password_file)


@command(PANEL, "ibdesk login", "ibdesk login --at https://desk.example.com")
def login(
    context: typer.Context,
    at: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of the server", show_default="from server.host and server.port"),
    ] = None,
) -> None:
    """Print a one-time address that logs a browser in with this machine's API key."""
    with loading():
        from ibdesk.cli.login import print_login
    print_login(context.obj.config, url=at)


@command(PANEL, "ibdesk users list", of=users, name="list")
def list_users(context: typer.Context) -> None:
    """List the users and their roles."""
    with loading():
        from ibdesk.cli.users import show

    show(context.obj.config)


@command(PANEL, "ibdesk users passwd vera", of=users)
def passwd(context: typer.Context, name: _User, password_file: _PasswordFile = None) -> None:
    """Change a user's password. Their logins end."""
    with loading():
        from ibdesk.cli.users import set_password

    set_password(context.obj.config, name, password_file)


@command(PANEL, "ibdesk users role vera trader", of=users, name="role")
def set_role(context: typer.Context, name: _User, role: Annotated[Role, typer.Argument(help="The new role")]) -> None:
    """Change a user's role. Their logins end."""
    with loading():
        from ibdesk.cli.users import set_role

    set_role(context.obj.config, name, role.value)


@command(PANEL, "ibdesk users disable vera", of=users)
def disable(context: typer.Context, name: _User) -> None:
    """Disable a user. Their logins end."""
    with loading():
        from ibdesk.cli.users import set_disabled

    set_disabled(context.obj.config, name, disabled=True)


@command(PANEL, "ibdesk users enable vera", of=users)
def enable(context: typer.Context, name: _User) -> None:
    """Enable a disabled user."""
    with loading():
        from ibdesk.cli.users import set_disabled

    set_disabled(context.obj.config, name, disabled=False)


@command(PANEL, "ibdesk users revoke vera", of=users, name="revoke")
def revoke_user(context: typer.Context, name: _User) -> None:
    """End all logins of a user. The user can log in again."""
    with loading():
        from ibdesk.cli.users import revoke

    revoke(context.obj.config, name)


@command(PANEL, "ibdesk users remove vera", of=users)
def remove(context: typer.Context, name: _User) -> None:
    """Remove a user. Their logins end."""
    with loading():
        from ibdesk.cli.users import remove

    remove(context.obj.config, name)


@command(
    PANEL,
    "ibdesk keys create grafana --scope health:read --expires 90d",
    "ibdesk keys create bot --role trader --scope orders --scope feed --file /etc/bot/ibdesk.key",
    of=keys,
)
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A label for the key, shown in the audit log.")],
    role: Annotated[Role, typer.Option(help="The role of the key")] = Role.VIEWER,
    scope: Annotated[
        list[str],
        typer.Option(metavar="AREA", help="Limit the key to an area, such as feed or orders:read; can be repeated"),
    ] = [],  # noqa: B006 - typer takes a copy
    expires: Annotated[str, typer.Option(metavar="TIME", help="Lifetime: 90d, 12h, or ISO 8601 such as P90D")] = "90d",
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the key to a new file that only you can read", show_default="print it"
        ),
    ] = None,
) -> None:
    """Create an API key for a program. It is shown once; only its hash is stored."""
    with loading():
        from ibdesk.cli.keys import create

    scopes = [name.strip() for text in scope for name in text.split(",") if name.strip()]
    create(context.obj.config, name, role.value, scopes=scopes or None, expires=expires, file=file)


@command(PANEL, "ibdesk keys list", of=keys, name="list")
def list_keys(context: typer.Context) -> None:
    """List all keys ever created, without their secrets."""
    with loading():
        from ibdesk.cli.keys import show

    show(context.obj.config)


@command(PANEL, "ibdesk keys revoke grafana", of=keys, name="revoke")
def revoke_key(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", help="Name or prefix of the key")]
) -> None:
    """Revoke a key permanently."""
    with loading():
        from ibdesk.cli.keys import revoke

    revoke(context.obj.config, name)
