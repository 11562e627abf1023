"""The section `[release]`."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from crackgate.config.section import FilePath, Section


class ReleaseOptions(Section):
    """The release of a model that passed the gate."""

    signing_key: Annotated[
        FilePath,
        Field(
            description="file of an Ed25519 private key (PEM, no passphrase), or env:NAME for the environment variable "
            "that holds one; empty: releases are not signed"
        ),
    ] = ""
    public_key: Annotated[
        FilePath,
        Field(
            description="file of the Ed25519 public key (PEM) that must have signed the versions that a run uses, and "
            "its own; empty: release.pub of the serving directory, if it is there"
        ),
    ] = ""
    keep: Annotated[
        int,
        Field(ge=0, le=10_000, description="released versions to keep, besides those that readers hold; 0: all"),
    ] = 0

    approval: Annotated[
        bool,
        Field(
            description="stage what passes the gate: a person puts it into production by 'crackgate approve', or "
            "rejects it by 'crackgate reject'"
        ),
    ] = False
    allow_other_classes: Annotated[
        bool,
        Field(
            description="release although the version in production has other classes, with which neither images nor "
            "metrics can be compared"
        ),
    ] = False

    @field_validator("signing_key", "public_key")
    @classmethod
    def _names_a_key(cls, source: str) -> str:
        # Summaries, logs and ML Metadata show this value.
        if looks_secret(source):
            raise ValueError("give the path of the key's file or env:NAME, never the key itself")
        return source


def looks_secret(value: Any) -> bool:
    """Tells whether the value is a private key, which must not be shown."""
    return "PRIVATE KEY" in str(value)
