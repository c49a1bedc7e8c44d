"""`checks.toml` in an adapter's folder: the rules of its domain, and the sheet of its facts.

```toml
facts = "data/facts.md"

[[check]]
name = "risk notice"
kind = "text"
any = ["Risk notice:", "风险提示："]
where = "last line"
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, ValidationError

from lorabay.errors import SetupError
from lorabay.evaluation.rules.case import TABLE
from lorabay.evaluation.rules.fact_sheet import FactSheet
from lorabay.evaluation.rules.facts import FactsRule
from lorabay.evaluation.rules.language import LanguageRule
from lorabay.evaluation.rules.length import LengthRule
from lorabay.evaluation.rules.personal_data import PersonalDataRule
from lorabay.evaluation.rules.refusal import RefusalRule
from lorabay.evaluation.rules.steps import StepsRule
from lorabay.evaluation.rules.texts import TextRule
from lorabay.files.toml_text import read_toml

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from lorabay.evaluation.rules.case import Rule

CHECKS_FILE = "checks.toml"

AnyRule = (
    TextRule | StepsRule | FactsRule | PersonalDataRule | LengthRule | RefusalRule | LanguageRule
)


class _ChecksFile(BaseModel):
    model_config = TABLE

    check: Annotated[
        tuple[Annotated[AnyRule, Field(discriminator="kind")], ...], Field(strict=False)
    ] = ()
    facts: str | None = None


@dataclass(frozen=True, slots=True)
class Checks:
    """The rules of a domain, none if it has no file, and the sheet that `facts` names."""

    rules: tuple[Rule, ...] = ()
    sheet: FactSheet | None = None


def read_checks(adapter_dir: Path) -> Checks:
    """Return the checks of an adapter folder; raises SetupError with everything that is wrong."""
    path = adapter_dir / CHECKS_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Checks()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the checks in {path}: {error}") from error

    try:
        file = _ChecksFile.model_validate(read_toml(text))
    except ValidationError as error:
        problems = "; ".join(_problem(details) for details in error.errors())
        raise SetupError(f"{path}: {problems}") from error
    except ValueError as error:
        raise SetupError(f"{path} is not valid TOML: {error}") from error

    _refuse_confusion(path, file)
    sheet = None if file.facts is None else FactSheet.read(adapter_dir / file.facts)
    return Checks(file.check, sheet)


def _refuse_confusion(path: Path, file: _ChecksFile) -> None:
    """Raise SetupError for names that are there twice, and for a check of facts without any."""
    names = [rule.name for rule in file.check]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SetupError(f"{path}: several checks are called {', '.join(twice)}")

    if file.facts is None and any(isinstance(rule, FactsRule) for rule in file.check):
        raise SetupError(f'{path}: a check of kind facts needs `facts = "data/facts.md"` above it')


def _problem(details: ErrorDetails) -> str:
    """Return one of pydantic's errors as a clause with the place of the field."""
    place = ".".join(str(part) for part in details["loc"])
    if details["type"] == "extra_forbidden":
        return f"unknown key {place}"
    return f"{place}: {details['msg']}"
