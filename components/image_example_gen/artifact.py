"""The artifact type of the account's rows."""

from tfx.types.artifact import Artifact


class AccountFiles(Artifact):
    """Files of JSON lines: every rejected file and every warning, with path, class, reason, detail and outcome."""

    TYPE_NAME = "AccountFiles"
