"""The command line: one file for each command. Its import makes sure that the packages of crackgate are ours."""

import os as _os
import sys as _sys
from pathlib import Path as _Path

from crackgate_cli.environment import keep_own_packages_first as _keep_own_packages_first

_keep_own_packages_first(_sys.path, _os.environ, _Path(), _Path(__file__).resolve().parents[1])
