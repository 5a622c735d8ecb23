"""Tokens: they identify the actor on the command line. Only the SHA-256 of a token's text is stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.database.engine import Database
from core.database.tables import Moment, metadata
from core.entities import BY_TOKEN, Actor, Role, Token
from core.errors import NotFound, NotSignedIn

# Secret scanners and people recognize a token by this prefix.
PREFIX = "mlt_"

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("issued_by", sa.Text, nullable=False),
    sa.Column("created", Moment, nullable=False),
    sa.Column("expires", Moment, nullable=False),
    sa.Column("revoked", Moment),
    sa.Column("revoked_by", sa.Text),
)
sign_outs = sa.Table(
    "sign_outs",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("expires", Moment, nullable=False),
)


class Tokens:
    """The tokens in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(self, *, name: str, role: Role, issued_by: str, now: datetime, expires: datetime) -> tuple[Token, str]:
        """Store a new token and return it with its text, which is not stored."""
        token = Token(id=uuid4().hex[:12], name=name, role=role, issued_by=issued_by, created=now, expires=expires)
        with self._database.write() as connection:
            return token, _insert(connection, token)

    def issue_first(
        self, connection: Connection, *, name: str, issued_by: str, now: datetime, expires: datetime, but: Sequence[str]
    ) -> tuple[Token, str] | None:
        """Issue the first admin's token within a caller's transaction; None where anybody not in *but* issued one."""
        token = Token(
            id=uuid4().hex[:12], name=name, role=Role.ADMIN, issued_by=issued_by, created=now, expires=expires
        )
        if self._database.is_postgres:
            connection.execute(sa.text("LOCK TABLE tokens IN EXCLUSIVE MODE"))
        if connection.execute(sa.select(tokens.c.id).where(tokens.c.issued_by.not_in(but)).limit(1)).first():
            return None
        return token, _insert(connection, token)

    def list(self) -> tuple[Token, ...]:
        """Return all tokens ever issued, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(tokens).order_by(tokens.c.created, tokens.c.id)).mappings().all()
        return tuple(_token(row) for row in rows)

    def get(self, token_id: str) -> Token:
        """Return one token. Raises NotFound."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.id == token_id)).mappings().first()
        if row is None:
            raise NotFound("There is no token {token_id!r}. `token list` shows all tokens.", token_id=token_id)
        return _token(row)

    def revoke(self, token_id: str, *, by: str, now: datetime) -> Token:
        """Revoke a token at once. A revoked token does not change. Raises NotFound."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(tokens)
                .where(tokens.c.id == token_id, tokens.c.revoked.is_(None))
                .values(revoked=now, revoked_by=by)
            )
        return self.get(token_id)

    def revoke_within(
        self, connection: Connection, *, issued_by: Sequence[str], by: str, now: datetime
    ) -> tuple[str, ...]:
        """Revoke the tokens that *issued_by* issued, within a caller's transaction; return their ids."""
        issued = sa.and_(tokens.c.issued_by.in_(issued_by), tokens.c.revoked.is_(None))
        token_ids = tuple(connection.execute(sa.select(tokens.c.id).where(issued).order_by(tokens.c.created)).scalars())
        connection.execute(sa.update(tokens).where(issued).values(revoked=now, revoked_by=by))
        return token_ids

    def actor(self, text: str, now: datetime) -> Actor:
        """Return the actor of the token *text*. Raises NotSignedIn for an unknown, expired or revoked token."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.digest == _digest(text))).mappings().first()
        if row is None:
            raise NotSignedIn("MODELLEDGER_TOKEN is not a token of this server. Ask an admin for a token.")
        token = _token(row)
        require_valid(token, now)
        return actor_of(token)


class SignOuts:
    """Sign-ins that ended before they expired: a copy of their cookie is no longer accepted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, digest: str, *, expires: datetime, now: datetime) -> None:
        """Store an ended sign-in until the time when it would have expired."""
        with self._database.write() as connection:
            connection.execute(sa.delete(sign_outs).where(sign_outs.c.expires < now))
            if connection.execute(sa.select(sign_outs).where(sign_outs.c.digest == digest)).first() is None:
                connection.execute(sa.insert(sign_outs).values(digest=digest, expires=expires))

    def holds(self, digest: str) -> bool:
        with self._database.read() as connection:
            return connection.execute(sa.select(sign_outs).where(sign_outs.c.digest == digest)).first() is not None


def actor_of(token: Token) -> Actor:
    """Return the actor of *token*; its channel names the token and the person who issued it."""
    return Actor(
        name=f"{BY_TOKEN}{token.name}",
        roles=frozenset({token.role}),
        channel=f"token {token.id}, issued by {token.issued_by}",
        token=token.id,
    )


def require_valid(token: Token, now: datetime) -> None:
    """Raise NotSignedIn where *token* was revoked or has expired."""
    if token.revoked is not None:
        raise NotSignedIn(
            "Token {token_id} of {name} was revoked on {date}. Ask an admin for another token.",
            token_id=token.id,
            name=token.name,
            date=f"{token.revoked:%Y-%m-%d}",
        )
    if not now < token.expires:
        raise NotSignedIn(
            "Token {token_id} of {name} expired on {date}. Ask an admin for another token.",
            token_id=token.id,
            name=token.name,
            date=f"{token.expires:%Y-%m-%d}",
        )


def _insert(connection: Connection, token: Token) -> str:
    """Store the token and return its text."""
    text = PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        sa.insert(tokens).values(
            id=token.id,
            digest=_digest(text),
            name=token.name,
            role=token.role.value,
            issued_by=token.issued_by,
            created=token.created,
            expires=token.expires,
        )
    )
    return text


def _digest(text: str) -> str:
    """Return the SHA-256 of a token's text: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(text.strip().encode()).hexdigest()


def _token(row: Mapping[Any, Any]) -> Token:
    values = {name: row[name] for name in row if name not in ("digest", "role")}
    return Token(**values, role=Role(row["role"]))
