"""The types of arguments that Airflow renders, for type checkers only: nothing imports this module when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from aml_provider.client.models import DataPath
from aml_provider.compat import XComArg

#: Plain values by name; or the name of a file that holds them.
Values: TypeAlias = Mapping[str, Any] | XComArg | str
#: Data paths by name; or the name of a file that holds them.
DataPaths: TypeAlias = Mapping[str, DataPath | Mapping[str, Any] | str | XComArg] | XComArg | str
#: Ids of datasets, or data assets, by name; or the name of a file that holds them.
Datasets: TypeAlias = Mapping[str, str | XComArg] | XComArg | str
